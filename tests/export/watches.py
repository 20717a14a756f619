"""All that is published of a watch before it replays."""

from collections.abc import Iterator

from goldwatch.config import CostObjective, LatencyObjective, Load, Objectives, Schedule, Watch
from goldwatch.daemon import promises
from goldwatch.export import measurement
from goldwatch.export.measurement import Measurement


def watch(every: Schedule | None = None, objectives: Objectives | None = None) -> Watch:
    owed = Objectives(latency=LatencyObjective(0.05, 0.99)) if objectives is None else objectives
    return Watch(
        name="fraud",
        golden="fraud-2026q3",
        targets=("fraud-eu",),
        every=every or Schedule(interval_s=300),
        jitter_s=10,
        deadline_s=60,
        load=Load(),
        objectives=owed,
    )


def of_watch() -> Iterator[Measurement]:
    yield from measurement.of_watch("fraud", "fraud-eu")
    owed = Objectives(
        latency=LatencyObjective(0.05, 0.99),
        energy=CostObjective("inference", 2.0, "J"),
        cost=CostObjective("output token", 3.0, "USD", 1_000_000),
    )
    yield from promises.of_promises(watch(objectives=owed), "fraud-eu")
    yield from promises.of_due(watch().name, "fraud-eu", 1.79e9 + 310)
