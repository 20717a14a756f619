"""Whether a replay's figures are those of the target: disturbances that are not the target's doing.

The rules are stated in docs/load.md. A replay that breaks one is *invalid*: it is recorded with the reason, adds no
evidence, and raises no page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from goldwatch.core.disturbances import Found
from goldwatch.probe import Description

LATE_S = (0.001, 0.01)
"""A request is dispatched late if goldwatch sends it so much after it was due: a tenth of the latency objective, but
not less than the first of these seconds, and not more than the second."""

MOST_LATE = 0.01
"""The share of an open load's requests that may be dispatched late."""

MOST_DISTURBED = 0.01
"""The share of a replay's time in which the CPU may be throttled, memory stalled, or garbage collected."""

_IDENTITY = ("model", "version", "framework", "framework_version", "digest")


def late_limit_s(latency_limit_s: float | None) -> float:
    """Return by how much a request may leave late, for a latency objective."""
    least, most = LATE_S
    return most if latency_limit_s is None else min(max(latency_limit_s / 10, least), most)


def disturbed(
    late_s: Iterable[float],
    found: Found,
    before: Description | None,
    after: Description | None,
    latency_limit_s: float | None,
) -> tuple[str, ...]:
    """Return why a replay is invalid, a sentence for each reason; nothing if it is not.

    `late_s` has how late goldwatch itself sent each request, in seconds and any order; `before` and `after` are the
    target's descriptions at the beginning and the end.
    """
    return (*_late(late_s, late_limit_s(latency_limit_s)), *_disturbances(found), *_rollout(before, after))


def _late(late_s: Iterable[float], limit_s: float) -> Iterator[str]:
    late = requests = 0
    for each in late_s:
        late, requests = late + (each > limit_s), requests + 1
    if late > MOST_LATE * requests:
        yield (
            f"goldwatch sent {late:,} of {requests:,} requests more than {1e3 * limit_s:g} ms after they were due; "
            "give it more CPU, or lower the rate"
        )


def _disturbances(found: Found) -> Iterator[str]:
    most_s = MOST_DISTURBED * found.seconds
    if (found.throttled_s or 0.0) > most_s:
        yield (
            f"the CPU limit of goldwatch's own container held it up for {_share(found.throttled_s, found)}; "
            "raise the limit, or leave it out"
        )
    if (found.memory_stalled_s or 0.0) > most_s:
        yield f"shortage of memory held everything up for {_share(found.memory_stalled_s, found)}"
    if found.collecting_s > most_s:
        yield f"Python's garbage collector ran for {_share(found.collecting_s, found)}; does the model turn it on?"


def _share(seconds: float | None, found: Found) -> str:
    return f"{1e3 * (seconds or 0.0):.3g} ms of the {found.seconds:.3g} s of the replay"


def _rollout(before: Description | None, after: Description | None) -> Iterator[str]:
    if before is None or after is None:
        return
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in _IDENTITY)
    if changes := [f"{name} {then or '?'} -> {now or '?'}" for name, then, now in pairs if then != now]:
        yield f"the target changed during the replay: {', '.join(changes)}"
