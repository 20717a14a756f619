"""Whether a model remembers: whether its answers depend on what it was asked before.

A replay of such a model cannot be repeated: another warm-up, or a second replay of a loaded model, looks like a change
of the model. So `goldwatch golden build` and `calibrate` replay under conditions that must not matter: in another
order, after another number of warm-up requests, and, in process, a second time in one loaded model. The answers of some
models vary without a memory, so each such replay is compared with the ordinary ones. If these are equal bit by bit, a
difference that a repetition shows again is the model's memory. Otherwise the differences must be larger than those
between ordinary replays. The jobs run in workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import considerate, plan_of
from goldwatch.daemon.plan import Plan
from goldwatch.ipc.judging_jobs import GAPS, MEMORY, GapsRequest, MemoryRequest
from goldwatch.ipc.workers import JUDGES, WorkerDied, Workers

_OTHER_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class MemoryFinding:
    """Evidence that a model remembers: the condition, how many answers differ, and the first of these examples."""

    after: str
    differing: int
    examples: int
    first: int

    def __str__(self) -> str:
        return (
            f"the model remembers: {self.after}, {self.differing:,} of {self.examples:,} examples were answered "
            f"differently, the first is example {self.first}, and a repetition showed it again"
        )


def fresh(assignment: Assignment) -> Plan:
    """Return the plan of a replay that begins, in process, with a newly loaded model."""
    plan = plan_of(assignment)
    return plan if plan.served else replace(plan, warm=False, key=f"{plan.key} fresh")


def compare(assignment: Assignment, workers: Workers, first: Path, file: Path, descriptor: int) -> None:
    """Write to a file how a replay with the given columns differs from a first one that `keep` wrote."""
    workers.call(JUDGES, GAPS, GapsRequest(assignment.golden.place, str(first), str(file)), (descriptor,))


def remembered(
    assignment: Assignment, workers: Workers, first: Path, ordinary: Sequence[Path], kept: Path
) -> MemoryFinding | None:
    """Return the evidence that the model remembers, None if there is none.

    `first` is the file of the first ordinary replay, with its outputs; `ordinary` are those of the differences of each
    other replay from it; `kept` is a folder for more such files. Raises WorkerDied, and JobFailed, also
    for an example without an answer.
    """
    for number, (after, replays) in enumerate(_histories(fresh(assignment))):
        files: list[str] = []
        for turn in range(2):
            file = kept / f"history-{number}-{turn}.safetensors"
            _replay(assignment, workers, replays, first, file)
            files.append(str(file))
            request = MemoryRequest(tuple(str(path) for path in ordinary), tuple(files))
            found = workers.call(JUDGES, MEMORY, request)
            if not found.suspect:
                break
        else:
            return MemoryFinding(after, found.differing, assignment.golden.examples, found.first)
    return None


def _histories(plan: Plan) -> Iterator[tuple[str, Sequence[Plan]]]:
    """Yield conditions that must not matter, each as text and with its replays; the last replay is compared."""
    other = plan.warmup // 3 or (0 if plan.warmup else _OTHER_WARM_UP)
    yield f"after {other} warm-up requests in place of {plan.warmup}", [replace(plan, warmup=other)]
    if (examples := _reordered(plan)) != list(plan.examples):
        yield "in another order", [replace(plan, examples=examples)]
    if not plan.served:
        yield "in a second replay of the loaded model", [replace(plan, warm=True), plan]


def _reordered(plan: Plan) -> list[int]:
    """Return the examples in another order, in the same requests: one that is smaller stays the last."""
    size, examples = plan.load.samples, list(plan.examples)
    whole = len(examples) // size
    queries = [examples[i * size : (i + 1) * size] for i in range(whole)]
    order = list(range(whole))
    while whole > 1 and order == sorted(order):
        random.Random(whole).shuffle(order) if whole > 2 else order.reverse()  # noqa: S311 - any order will do
    return [example for i in order for example in queries[i]] + examples[whole * size :]


def _replay(assignment: Assignment, workers: Workers, plans: Sequence[Plan], first: Path, file: Path) -> None:
    for number, plan in enumerate(plans, 1):
        result = considerate(plan, assignment.target.busy, workers)
        try:
            if why := result.ended or result.failure or result.given_up:
                raise WorkerDied(f"a replay that looks for a memory of the model: {why}")
            if number == len(plans):
                compare(assignment, workers, first, file, result.columns.fd)
        finally:
            result.columns.close()
