"""Capacity: the share of an agent that the watches of a config ask for, by how long their replays took.

The agent runs `replays.concurrent` replays at once, but only one on a server, and a model in process alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from goldwatch.config import format_duration
from goldwatch.core.judgement import Validity
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import Judged, worker_key
from goldwatch.daemon.schedule import mean_interval_s
from goldwatch.ipc.workers import IDLE_LIMIT_S

_ENOUGH = 0.8
"""Advice aims at this share: replays do not take the same time each time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How much of the time a watch needs a slot: a replay of `replay_s` seconds in `every_s` seconds.

    `server` is where no other replay may run at that time; "" is the whole agent, for a model in process.
    """

    server: str
    replay_s: float
    every_s: float

    @property
    def share(self) -> float:
        """The share of one slot that it takes."""
        return self.replay_s / self.every_s


@dataclass(frozen=True, slots=True)
class Asking:
    """The total of all watches: the share of what an agent can carry, above 1 if it cannot, and the limit that binds.

    `slots` is whether more slots would help; `shortest_s` is the shortest interval among the watches.
    """

    share: float
    limit: str
    slots: bool
    shortest_s: float


def asked(measured: Sequence[tuple[Assignment, Judged]]) -> list[Asked]:
    """Return what each watch asks for, by one replay of it; nothing of those whose replay is invalid.

    A watch with an interval shorter than the idle limit of workers finds warm ones. The first replay here had to start
    them, so the overhead of such a watch is that of the quickest replay by the same kind of worker.
    """
    rest_s: dict[str, float] = {}
    took_place = [(a, judged) for a, judged in measured if judged.judgement.findings.validity is not Validity.INVALID]
    for assignment, judged in took_place:
        key, taken_s = worker_key(assignment.target), judged.held_s - judged.judgement.run.duration_s
        rest_s[key] = min(taken_s, rest_s.get(key, taken_s))
    found = []
    for assignment, judged in took_place:
        every_s, replay_s = mean_interval_s(assignment.watch.every), judged.held_s
        if every_s < IDLE_LIMIT_S:
            replay_s = judged.judgement.run.duration_s + rest_s[worker_key(assignment.target)]
        found.append(Asked(assignment.target.server, replay_s, every_s))
    return found


def add_up(watches: Sequence[Asked], concurrent: int) -> Asking:
    """Return the share of an agent with `concurrent` slots that all watches ask for."""
    alone = sum(each.share for each in watches if not each.server)
    by_server: dict[str, float] = {}
    for each in watches:
        if each.server:
            by_server[each.server] = by_server.get(each.server, 0.0) + each.share
    slots = sum(by_server.values()) / concurrent
    server = max(by_server, key=lambda name: by_server[name], default="")
    limit = "one at a time (replays.concurrent: 1)" if concurrent == 1 else f"{concurrent} at once (replays.concurrent)"
    busiest = by_server.get(server, 0.0)
    if alone > max(slots, busiest):
        limit = "one model in process at a time"
    elif busiest > slots:
        limit = f"one at a time on {server}"
    return Asking(
        share=alone + max(slots, busiest),
        limit=limit,
        slots=slots >= max(alone, busiest),
        shortest_s=min((each.every_s for each in watches), default=0.0),
    )


def summary(asking: Asking, unknown: int = 0) -> tuple[str, str]:
    """Return the kind of line that `check` prints, note or warning, and its text.

    `unknown` counts the watches that are not in it, since their replay was invalid.
    """
    text = f"the watches ask for {_percent(asking.share)} of what an agent carries, {asking.limit}"
    if unknown:
        text += f"; {unknown} more could not be measured"
    if asking.share <= 1:
        return "note", text
    times = round(asking.share / _ENOUGH, 3)  # or 5.0000001 s would be 6 s
    now, then = format_duration(asking.shortest_s), format_duration(ceil(asking.shortest_s * times))
    advice = [
        f"write an `every` {times:.2g} times as long ({then} in place of {now})",
        f"split the watches over {ceil(times)} agents",
    ]
    if asking.slots:
        advice.append("raise `replays.concurrent`, if there are several servers and the agent has a core for each")
    return "warning", f"{text}. Replays would be late, and some skipped: {'; or '.join(advice)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:,.0f} %"
