"""The tap of a watch: requests of live traffic as they came, sampled, counted, and handed on window by window.

It must cost next to nothing: a worker reads the content of requests later. A request with the mark of goldwatch's own
requests is no live traffic, in whatever form it came.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from goldwatch.daemon.tap_follower import Follower
from goldwatch.daemon.tap_sample import Sample
from goldwatch.probe import SYNTHETIC_HEADER

if TYPE_CHECKING:
    from goldwatch.config.live import Live

MOST_REQUEST_BYTES = 2**20
MOST_BYTES = 16 * 2**20
"""What all taps of an agent may hold together."""
MOST_BYTES_EACH = 4 * 2**20
HOUR_S = 3600
"""Requests are counted by hour."""
SAMPLED = 10
"""A window holds at most so many times the requests that it needs."""

log = logging.getLogger("goldwatch")

_MARK = SYNTHETIC_HEADER.encode()


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of live requests: `seen` by the tap; some of these are goldwatch's own, and some could not be taken.

    `sampled_out` were seen and left out of the sample; what remains has been judged.
    """

    seen: int = 0
    synthetic: int = 0
    refused: int = 0
    sampled_out: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """The window that a tap hands on after a replay: its requests, or none while it is not full.

    `hours` [bodies] has the number of the hour when each came, and `requests` counts by hour all requests that were
    sampled. `began_at` and `ended_at` are Unix times in seconds, `waiting` counts the requests of a window that is not
    full, and `problem` is the reason why no request can come. A window that is not judged goes to the tap's
    `give_back`.
    """

    bodies: tuple[bytes, ...]
    counts: Counts
    began_at: float
    ended_at: float
    waiting: int = 0
    problem: str = ""
    sample: Sample | None = field(default=None, repr=False)
    hours: tuple[int, ...] = ()
    requests: Mapping[int, int] = field(default_factory=dict)


class Tap:
    """Takes live requests in, of a watch whose windows have `requests` of them, or come after `window_s`. Thread-safe.

    `clock` returns Unix time in seconds. With a `follower` requests come from a log, which `read` looks at. `key` is
    what those of one session share, if that is stated: an attribute of an event is kept with its request.
    """

    def __init__(
        self,
        requests: int,
        window_s: float,
        most_bytes: int = MOST_BYTES_EACH,
        follower: Follower | None = None,
        clock: Callable[[], float] = time.time,
        key: str = "",
    ) -> None:
        self.requests, self.window_s, self.key = requests, window_s, key
        self._most_bytes = most_bytes
        self._clock = clock
        self._follower = follower
        self._reading = threading.Lock()
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._sample = Sample(SAMPLED * self.requests, self._most_bytes)
        self._synthetic = self._refused = 0
        self._requests: Counter[int] = Counter()
        self._began_at: float | None = None

    @property
    def from_a_log(self) -> bool:
        """Whether requests come from a log, and none over HTTP."""
        return self._follower is not None

    def hold(self, most_bytes: int) -> None:
        """Limit the bytes of a window, from the next one on."""
        with self._lock:
            self._most_bytes = most_bytes

    def offer(self, body: bytes, *marks: str) -> None:
        """Take in one request as it came. `marks` are texts, such as headers, that may mark it as goldwatch's own."""
        ours = any(SYNTHETIC_HEADER in mark.lower() for mark in marks) or _MARK in body.lower()
        with self._lock:
            if ours:
                self._synthetic += 1
            elif len(body) > min(MOST_REQUEST_BYTES, self._most_bytes // 4):
                self._refused += 1
            else:
                now = self._clock()
                if self._began_at is None:
                    self._began_at = now
                hour = int(now // HOUR_S)
                self._requests[hour] += 1
                self._sample.offer(body, hour)

    def refuse(self, count: int = 1) -> None:
        """Count requests that could not be taken in: too large, too many, or no request at all."""
        with self._lock:
            self._refused += count

    def read(self) -> None:
        """Read what has been appended to the log, if there is one."""
        if self._follower is None:
            return
        with self._reading:
            too_long, skipped = self._follower.too_long, self._follower.skipped_bytes
            for line in self._follower.lines():
                self.offer(line)
            self.refuse(self._follower.too_long - too_long)
            if (lost := self._follower.skipped_bytes - skipped) > 0:
                told = {"file": str(self._follower.path), "bytes": lost}
                log.warning("a log of live traffic grows faster than it is read; a part of it was skipped", extra=told)

    def take(self) -> Taken:
        """Return the window if it is full or its time is over, and begin the next one."""
        self.read()
        problem = self._follower.problem if self._follower is not None else ""
        with self._lock:
            now, sample = self._clock(), self._sample
            began_at = self._began_at if self._began_at is not None else now
            if not len(sample) or (len(sample) < self.requests and now - began_at < self.window_s):
                return Taken((), Counts(), began_at, now, len(sample), problem)
            seen = sample.seen + self._synthetic + self._refused
            counts = Counts(seen, self._synthetic, self._refused, sample.seen - len(sample))
            requests = dict(self._requests)
            self._begin()
        return Taken(tuple(sample), counts, began_at, now, 0, problem, sample, sample.hours, requests)

    def give_back(self, taken: Taken) -> None:
        """Put back a window that has not been judged: it is part of the next one."""
        if taken.sample is None:
            return
        with self._lock:
            self._sample.rejoin(taken.sample)
            self._synthetic += taken.counts.synthetic
            self._refused += taken.counts.refused
            self._requests.update(taken.requests)
            self._began_at = taken.began_at

    def close(self) -> None:
        """Let go of the log."""
        with self._reading:
            if self._follower is not None:
                self._follower.close()


@dataclass(slots=True)
class Pace:
    """A rate limit per second, with bursts up to the same number. Not thread-safe."""

    most_per_s: float
    _left: float = 0.0
    _at_s: float = float("-inf")

    def allows(self, now_s: float) -> bool:
        """Say whether one more may pass at a monotonic time in seconds."""
        self._left = min(self.most_per_s, self._left + (now_s - self._at_s) * self.most_per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Taps:
    """The taps of an agent, by watch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Start without taps; `clock` returns Unix time in seconds."""
        self._clock = clock
        self._taps: dict[str, tuple[Live, Tap]] = {}

    def enforce(self, wanted: Mapping[str, Live]) -> None:
        """Have a tap for each watch that has a section `live`; one whose section is as it was stays."""
        before, self._taps = self._taps, {}
        each = min(MOST_BYTES_EACH, MOST_BYTES // max(len(wanted), 1))
        for name, section in wanted.items():
            known = before.get(name)
            if known is not None and known[0] == section:
                self._taps[name] = before.pop(name)
            else:
                follower = Follower(Path(section.file)) if section.file else None
                tap = Tap(section.requests, section.window_s, each, follower, self._clock, section.cluster_key)
                self._taps[name] = section, tap
            self._taps[name][1].hold(each)
        for _, tap in before.values():
            tap.close()

    def of(self, watch: str) -> Tap | None:
        """Return the tap of a watch, if it has one."""
        found = self._taps.get(watch)
        return None if found is None else found[1]

    def read(self) -> None:
        """Read all logs."""
        for _, tap in list(self._taps.values()):
            tap.read()

    def close(self) -> None:
        """Let go of all logs."""
        self.enforce({})
