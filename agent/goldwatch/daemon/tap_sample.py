"""A uniform sample of what came, of bounded size: every request has a random key, and those with the smallest stay.

So requests can be left out one by one as more come, and two samples of disjoint traffic can be put together, without
knowing their number in advance. With large requests the bound on bytes makes the sample smaller.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sample:
    """At most `most` requests, of at most `most_bytes` together. Not thread-safe."""

    most: int
    most_bytes: int
    random: random.Random = field(default_factory=random.Random)
    seen: int = 0
    """How many there were, whether they stayed or not."""
    held_bytes: int = 0
    _largest_key: float = 1.0
    _count: int = 0
    _kept: list[tuple[float, int, bytes, int]] = field(default_factory=list)
    """A heap with the largest key first: keys are negative."""

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the requests of the sample, in no particular order."""
        return (body for _, _, body, _ in self._kept)

    @property
    def hours(self) -> tuple[int, ...]:
        """The hours of the requests, in the same order."""
        return tuple(hour for _, _, _, hour in self._kept)

    def offer(self, body: bytes, hour: int = 0) -> None:
        """Take one request into account, which came in the hour of this number."""
        self.seen += 1
        self._put(self.random.random(), body, hour)

    def rejoin(self, other: Sample) -> None:
        """Merge the sample of other traffic, as if all of it had been offered here. The keys of both decide."""
        self.seen += other.seen
        self._largest_key = min(self._largest_key, other._largest_key)
        self._shrink()
        for key, _, body, hour in other._kept:
            self._put(-key, body, hour)

    def _put(self, key: float, body: bytes, hour: int) -> None:
        if key >= self._largest_key:
            return
        self._count += 1
        heapq.heappush(self._kept, (-key, self._count, body, hour))
        self.held_bytes += len(body)
        self._shrink()

    def _shrink(self) -> None:
        """Drop the requests with the largest keys, and from then on all with a key as large."""
        while self._kept and (
            len(self._kept) > self.most or self.held_bytes > self.most_bytes or -self._kept[0][0] >= self._largest_key
        ):
            key, _, body, _ = heapq.heappop(self._kept)
            self._largest_key = min(self._largest_key, -key)
            self.held_bytes -= len(body)
