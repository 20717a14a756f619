"""`goldwatch check --engine ray`: one replay in shards over a Ray cluster, merged into one replay.

Each shard is a replay of some of the examples, by the same engine, in worker processes of the node that it lands on.
Its columns come back whole, so that the judge sees every example as if it had been replayed here: nothing is averaged.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from goldwatch.config.busy import Busy
from goldwatch.core.disturbances import Found
from goldwatch.core.load_plan import LoadPlan
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.in_force import Assignment, CannotStart
from goldwatch.daemon.pipeline import considerate, plan_of
from goldwatch.daemon.plan import Plan
from goldwatch.installation import install_command
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.ipc.workers import Workers

_RETRIES = 2
"""So often Ray runs a shard again that it lost: a node went, or the process was killed."""

_OUR_OWN = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}


def start() -> int:
    """Join the cluster at RAY_ADDRESS, or one that runs on this machine, or start one; return its number of CPUs.

    Raises CannotStart if Ray is missing or the cluster cannot be reached.
    """
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError:
        raise CannotStart(f"Ray is not installed; {install_command('ray')}") from None
    for name, value in _OUR_OWN.items():
        os.environ.setdefault(name, value)
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CannotStart(f"the Ray cluster cannot be used: {error}") from None
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def replay(assignment: Assignment, shards: int) -> Replay:
    """Replay once, in shards. The caller closes the columns.

    A shard that the cluster loses is run again; if it is lost for good, its examples count as not sent, and the rest is
    merged into a replay that was given up. Raises CannotStart if all shards are lost.
    """
    import ray  # noqa: PLC0415

    whole = plan_of(assignment)
    whole = replace(whole, options=dict(whole.options))
    plans = shared(whole, shards)
    began, at = time.monotonic(), time.time()
    work = ray.remote(num_cpus=1, max_retries=_RETRIES)(run_shard)
    pending = [work.remote(plan, assignment.target.busy) for plan in plans]
    parts, why = list[dict[str, Any] | None](), ""
    for reference in pending:
        try:
            parts.append(ray.get(reference))
        except ray.exceptions.RayError as error:
            parts.append(None)
            why = str(error).strip().splitlines()[-1]
    return merged(whole, filled(whole, plans, parts, why), at, time.monotonic() - began)


def filled(
    whole: Plan, plans: Sequence[Plan], parts: Sequence[dict[str, Any] | None], why: str
) -> list[dict[str, Any]]:
    """Put a shard without a request in the place of each that was lost. Raises CannotStart if all were."""
    lost = sum(part is None for part in parts)
    if lost == len(parts):
        raise CannotStart(f"all shards were lost: {why}")
    told = f"{lost} of {len(parts)} shards were lost: {why}"
    return [_not_sent(whole, plan, told) if part is None else part for plan, part in zip(plans, parts, strict=True)]


def _not_sent(whole: Plan, plan: Plan, why: str) -> dict[str, Any]:
    columns = Columns.create(Layout(len(plan.examples), whole.outputs, whole.tokens), plan.examples)
    return _plain(Replay(columns, 0.0, given_up=why), 0)


def split(examples: int, shards: int, samples: int = 1) -> list[range]:
    """Return that many ranges of examples, fewer if there are too few.

    Their queries, each of `samples` samples, are those of the whole; their numbers of queries differ by one at most.
    """
    queries = LoadPlan(samples=samples).queries(examples)
    count = max(1, min(shards, queries))
    ends = [min(queries * i // count * samples, examples) for i in range(count + 1)]
    return [range(a, b) for a, b in pairwise(ends)]


def shared(whole: Plan, shards: int) -> list[Plan]:
    """Return a plan for each shard: its examples, and its share of the rate and of the budgets.

    Poisson arrivals of several at a share of the rate are, together, Poisson arrivals at the rate. The budget of CPU is
    that of one worker, and so each has it.
    """
    parts = split(len(whole.examples), shards, whole.load.samples)
    load, count = whole.load, len(parts)
    share = replace(
        load,
        rate_per_s=load.rate_per_s / count,
        most_per_s=None if load.most_per_s is None else load.most_per_s / count,
        tokens_per_s=None if load.tokens_per_s is None else load.tokens_per_s / count,
    )
    return [
        replace(whole, examples=part, load=replace(share, seed=load.seed + number)) for number, part in enumerate(parts)
    ]


def run_shard(plan: Plan, busy: Busy | None = None) -> dict[str, Any]:
    """Replay one shard on the node that it is scheduled on, and return its results as plain values.

    It steps back by itself from a target that reports to be `busy`.
    """
    workers = Workers()
    try:
        # Each node has a monotonic clock of its own; what they share is the wall clock, as far as it is kept right.
        return _plain(considerate(plan, busy, workers), time.time_ns() - time.monotonic_ns())
    finally:
        workers.close()


def _plain(found: Replay, clock_ns: int) -> dict[str, Any]:
    """Return a replay as plain values, and close its columns."""
    columns = {name: found.columns.array(name).tobytes() for name in found.columns.layout.columns()}
    found.columns.close()
    kept = (
        *("description", "described_after", "disturbances", "open_s", "first_request_s"),
        *("failure", "given_up", "ended", "restarts", "resent"),
    )
    facts = {name: getattr(found, name) for name in kept}
    return facts | {"errors": dict(found.errors), "columns": columns, "clock_ns": clock_ns}


def merged(plan: Plan, parts: list[dict[str, Any]], started_at: float, duration_s: float) -> Replay:
    """Put the shards of a plan together in the order of the examples."""
    import numpy as np  # noqa: PLC0415 - the agent has no shards

    columns = Columns.create(Layout(len(plan.examples), plan.outputs, plan.tokens), plan.examples)
    shifts_ns = _without_gaps([_span_ns(part) for part in parts])
    for name in columns.layout.columns():
        column = columns.array(name)
        rows = [np.frombuffer(part["columns"][name], column.dtype) for part in parts]
        if name == "sent_ns":
            clocks = [part["clock_ns"] - shift for part, shift in zip(parts, shifts_ns, strict=True)]
            rows = [np.where(ns > 0, ns + clock, ns) for ns, clock in zip(rows, clocks, strict=True)]
        column[:] = np.concatenate(rows).reshape(column.shape)
    found = Replay(columns, started_at, duration_s=duration_s, samples=plan.load.samples, open_load=plan.load.is_open)
    described = [part["description"] for part in parts if part["description"] is not None]
    found.description = described[0] if described else None
    again = [part["described_after"] for part in parts if part["described_after"] is not None]
    same = found.description if again else None
    found.described_after = next((after for after in again if after != found.description), same)
    found.disturbances = _added([part["disturbances"] for part in parts])
    found.open_s = _most(parts, "open_s")
    found.first_request_s = _most(parts, "first_request_s")
    found.failure = _first(parts, "failure")
    found.given_up = _first(parts, "given_up")
    found.ended = _first(parts, "ended")
    found.resent = sum(part["resent"] for part in parts)
    found.restarts = sum(part["restarts"] for part in parts)
    for part in parts:
        found.errors.update(part["errors"])
    if any(other != described[0] for other in described):
        found.ended = found.ended or "the shards met different models: the target reports a different identity to each"
    return found


def _span_ns(part: dict[str, Any]) -> tuple[int, int] | None:
    """Return when a shard sent its first request and when its last ended, by the wall clock; None without any."""
    import numpy as np  # noqa: PLC0415 - as above

    sent_ns, latency_ns = (np.frombuffer(part["columns"][name], np.int64) for name in ("sent_ns", "latency_ns"))
    was_sent = sent_ns > 0
    if not was_sent.any():
        return None
    ends_ns = sent_ns[was_sent] + latency_ns[was_sent]
    return int(sent_ns[was_sent].min()) + part["clock_ns"], int(ends_ns.max()) + part["clock_ns"]


def _without_gaps(spans_ns: Sequence[tuple[int, int] | None]) -> list[int]:
    """Return by how much each shard is moved ahead, so that there is no time in which none was at work.

    Shards start when the cluster has room for them: the time between them is no work, and no throughput is lost in it.
    """
    order = sorted((i for i, span in enumerate(spans_ns) if span is not None), key=lambda i: spans_ns[i] or (0, 0))
    shifts, gaps, end = [0] * len(spans_ns), 0, None
    for i in order:
        first, last = spans_ns[i] or (0, 0)
        if end is not None and first > end:
            gaps += first - end
        shifts[i] = gaps
        end = last if end is None else max(end, last)
    return shifts


def _added(found: list[Found]) -> Found:
    """Add up what disturbed the shards, and for how long they were replayed: shares are those of all of them."""
    return Found(
        seconds=math.fsum(each.seconds for each in found),
        throttled_s=_sum_of_told(each.throttled_s for each in found),
        memory_stalled_s=_sum_of_told(each.memory_stalled_s for each in found),
        collecting_s=math.fsum(each.collecting_s for each in found),
        cpu_s=math.fsum(each.cpu_s for each in found),
    )


def _sum_of_told(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return math.fsum(told) if told else None


def _first(parts: list[dict[str, Any]], name: str) -> str | None:
    return next((part[name] for part in parts if part[name] is not None), None)


def _most(parts: list[dict[str, Any]], name: str) -> float | None:
    return max((part[name] for part in parts if part[name] is not None), default=None)
