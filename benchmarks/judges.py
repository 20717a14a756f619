"""`python -m benchmarks.judges`: how often *judge:NAME* pages without a change, and how soon it notices one.

Simulated with the monitor's own code: a judge with noise of 0.1 of its scale, controls half good and half bad, frozen
by 5 + 20 judgings, a replay every five minutes, and a budget of 0.25 false alarms a year. Replays are drawn from pools.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np

from goldwatch.core.score_spec import FROZEN_JUDGINGS, ScoreSpec
from goldwatch.worker.monitors.detector import FloatArray
from goldwatch.worker.monitors.judge import JudgeMonitor
from goldwatch.worker.monitors.means import Values

from benchmarks.alerts.fleet import YEAR, alpha, delays, pages

NOISE = 0.1
REFERENCES, POOL, STREAMS = 20, 100, 40
LONGEST = 600


@dataclass(slots=True)
class Judges:
    """Streams of judges whose grades are `change` higher than when their controls were frozen."""

    pools: FloatArray
    random: np.random.Generator
    streams: int
    changed: FloatArray
    log_weights: FloatArray

    @classmethod
    def of(cls, controls: int, change: float, streams: int, pool: int = POOL) -> Judges:
        """Freeze the controls of some judges, and draw their replays before and after the change."""
        random = np.random.default_rng((7, controls, round(1000 * change) % 2**32))
        before, after = [], []
        every = np.ones(controls, np.bool_)
        for _ in range(REFERENCES):
            truth = np.where(np.arange(controls) % 2, 0.15, 0.8) + random.normal(0, 0.05, controls)

            def draw(truth: FloatArray, shift: float) -> FloatArray:
                return np.clip(truth + shift + random.normal(0, NOISE, len(truth)), 0, 1)

            kept = np.stack([draw(truth, 0.0) for _ in range(sum(FROZEN_JUDGINGS))]).astype(np.float32)
            monitor = JudgeMonitor(ScoreSpec("score", "judge"), kept, alpha())
            before.append([monitor.log_e(Values(draw(truth, 0.0), every)) for _ in range(pool)])
            after.append([monitor.log_e(Values(draw(truth, change), every)) for _ in range(pool if change else 1)])
        pools = np.array(before)
        bets = pools.shape[-1]
        return cls(pools, random, streams, np.array(after), np.full(bets, -math.log(bets)))

    def log_e(self, replay: int, change: float) -> FloatArray:  # noqa: ARG002 - the same at any time
        """Draw one replay of each stream."""
        pools = self.changed if change else self.pools
        which = np.arange(self.streams) % len(pools)
        return np.asarray(pools[which, self.random.integers(pools.shape[1], size=self.streams)])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=100, help="model-years for the false alarms")
    years = parser.parse_args().years
    found = pages(Judges.of(40, 0.0, years, pool=1000), YEAR, alpha())
    print(f"40 controls, nothing changes: {int(found.sum())} pages in {years} model-years", flush=True)
    print(f"replays until it notices, median (p90) of {STREAMS}; - is more than {LONGEST:,}")
    for controls in (20, 40, 120):
        cells = []
        for change in (-0.02, -0.05, 0.05, -0.1, 0.1, -0.2):
            took = delays(Judges.of(controls, change, STREAMS), change, LONGEST, alpha())
            median, late = np.quantile(took, [0.5, 0.9], method="higher")
            cells.append(f"{change:+.2f}: {_shown(median)} ({_shown(late)})")
        print(f"{controls:4} controls  " + "  ".join(cells), flush=True)


def _shown(replays: float) -> str:
    return f"{replays:.0f}" if math.isfinite(replays) else "-"


if __name__ == "__main__":
    main()
