"""Times of the tokens of a streamed answer, from the kernel's receive times.

A read may return what several packets brought; the kernel dates the last of them. So the time of an event is known only
if nothing comes after it in the same read. A client short of a processor, or a proxy that buffers, makes reads of many
events: the times of all but the last are unknown, and are not guessed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_MIN_APART = 0.5
"""Share of the gaps between events that must be known for a mean. Short gaps go unseen sooner than long ones."""

_MAX_RATIO: Final = 1.25
"""Tokens an event, or events a token, up to which an event stands for a token: characters of several tokens exist."""


class TokenTimes(NamedTuple):
    """When tokens came. `first_s` counts from sending; `per_token_s` is the mean between tokens; None if unknown.

    `gaps_s` are the known times between events with tokens that follow each other. The two reasons are why a time is
    unknown: `whole` (not streamed), `together` (received at once), `count` (events are not tokens), `choices`.
    """

    first_s: float | None
    per_token_s: float | None
    gaps_s: tuple[float, ...]
    first_unknown: str = ""
    next_unknown: str = ""

    @classmethod
    def unknown(cls, why: str) -> TokenTimes:
        """Return times that are all unknown."""
        return cls(None, None, (), why, why)


def token_times(
    arrivals: Sequence[tuple[float, int]],
    carrying: Sequence[tuple[int, int]],
    tokens: int | None,
    *,
    several: bool,
) -> TokenTimes:
    """Return the times of an answer.

    `arrivals` are the reads: seconds since sending, and the bytes received by then. `carrying` are the events that
    carried tokens: the bytes up to the end of their last field, and up to the end of the blank line after it. `tokens`
    is the server's count of the streamed tokens, None if unknown; `several` is true if it counts several choices.
    """
    if not carrying:
        return TokenTimes(None, None, ())
    known = _known(arrivals, carrying)
    times = sorted(known.items())
    gaps = tuple(t2 - t1 for (k1, t1), (k2, t2) in pairwise(times) if k2 == k1 + 1)
    first_s = known.get(0)
    if len(carrying) == 1 and tokens != 1:
        first_s = None  # one event with all tokens: when the first was ready is unknown
    first_unknown = "" if first_s is not None else "together"
    if tokens == 1 and len(carrying) == 1:
        return TokenTimes(first_s, None, gaps, first_unknown)
    per_token_s, next_unknown = None, ""
    if several:
        next_unknown = "choices"
    elif len(carrying) == 1 or len(gaps) < _MIN_APART * (len(carrying) - 1):
        next_unknown = "together"
    elif tokens is None or not len(carrying) <= _MAX_RATIO * tokens or not tokens <= _MAX_RATIO * len(carrying) + 1:
        next_unknown = "count"
    else:
        (k1, t1), (k2, t2) = times[0], times[-1]
        an_event = max(1.0, tokens / len(carrying)) if tokens > len(carrying) + 1 else 1.0
        per_token_s = (t2 - t1) / ((k2 - k1) * an_event)
    return TokenTimes(first_s, per_token_s, gaps, first_unknown, next_unknown)


def _known(arrivals: Sequence[tuple[float, int]], carrying: Sequence[tuple[int, int]]) -> dict[int, float]:
    """Return the times that are known, by the number of the event among those that carried tokens."""
    reads: list[tuple[float, int]] = []
    for at_s, upto in arrivals:
        if reads and reads[-1][0] == at_s:  # records of TLS that came in one read
            reads.pop()
        reads.append((at_s, upto))
    bounds = [upto for _, upto in reads]
    known = {}
    for number, (end, upto) in enumerate(carrying):
        read = bisect_left(bounds, end)
        if read < len(reads) and bounds[read] <= upto:
            known[number] = reads[read][0]
    return known
