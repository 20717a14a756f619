"""False alarms over a thousand model-years for each kind of monitor and noise, and in a pod's first month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.alerts.cells import CELLS, HOUR_S
from benchmarks.alerts.fleet import INTERVAL_S, MONTH, SHARE, YEAR, alpha, pages
from benchmarks.alerts.parallel import Jobs
from benchmarks.alerts.seasons import season_pages

_CHUNK = 50  # streams of a job: few enough that all cores work to the end of a cell


@dataclass(frozen=True, slots=True)
class Rate:
    """False pages over a number of model-years: a rate with its exact 95 % interval, and the budget of the monitor."""

    monitor: str
    noise: str
    promised: bool
    years: float
    pages: int
    low: float
    high: float
    budget: float = SHARE

    def row(self) -> tuple[str, ...]:
        """Return the cells of its line."""
        rate = f"{self.pages / self.years:.4f}"
        held = (
            "held" if self.high <= self.budget else ("within the error" if self.low <= self.budget else "**not held**")
        )
        kind = "promised" if self.promised else "calibrated"
        return (
            self.monitor,
            self.noise,
            kind,
            f"{self.years:,}",
            f"{self.pages:,}",
            rate,
            f"{self.low:.4f} to {self.high:.4f}",
            held,
        )


def measure(jobs: Jobs, years: int, only: str) -> Iterator[dict[str, Any]]:
    """Simulate every cell for `years` model-years, a year for each stream, and yield its row."""
    chunks = max(1, years // _CHUNK)
    cells = [i for i, cell in enumerate(CELLS) if f"{cell.monitor}: {cell.noise}".startswith(only)]
    found = jobs.map(_chunk, [(cell, chunk, min(_CHUNK, years)) for cell in cells for chunk in range(chunks)])
    for i in cells:
        counts = np.concatenate([next(found) for _ in range(chunks)])
        low, high = _poisson(int(counts.sum()), len(counts))
        rate = Rate(CELLS[i].monitor, CELLS[i].noise, CELLS[i].promised, len(counts), int(counts.sum()), low, high)
        yield asdict(rate) | {"seeds": f"(1, cell, chunk of {_CHUNK})"}


def _chunk(work: tuple[int, int, int]) -> Any:  # noqa: ANN401 - an array, through a pipe
    index, chunk, streams = work
    cell = CELLS[index]
    if cell.season is not None:
        hours = round(YEAR * INTERVAL_S / HOUR_S)
        return season_pages(cell.season, streams, np.random.default_rng((1, index, chunk)), hours)
    source = cell.make(streams, np.random.default_rng((1, index, chunk)))
    replays = round(YEAR * INTERVAL_S / cell.interval_s)
    return pages(source, replays, alpha(cell.interval_s))


def pod(jobs: Jobs, pods: int) -> Iterator[dict[str, Any]]:
    """Simulate a month of pods with four monitors each: one row, with the share that had any false page."""
    chunks = max(1, pods // _CHUNK)
    found = np.concatenate(list(jobs.map(_pods, [(chunk, min(_CHUNK, pods)) for chunk in range(chunks)])))
    low, high = _binomial(int(found.sum()), len(found))
    bound = 1 - float(np.exp(-4 * SHARE * MONTH / YEAR))
    yield {
        "pods": len(found),
        "paged": int(found.sum()),
        "low": low,
        "high": high,
        "bound": bound,
        "noises": list(_POD),
    }


_POD = (
    ("worse", "flaky: 8 of 200 examples are coins"),
    ("failing, slow", "all requests of a replay together"),
    ("failing, slow", "heavy-tailed shares, at the edge of the objective"),
    ("slower", "autocorrelated (0.9), daily cycle"),
)


def _pods(work: tuple[int, int]) -> Any:  # noqa: ANN401 - as above
    chunk, streams = work
    random = np.random.default_rng((2, chunk))
    paged = np.zeros(streams, dtype=np.bool_)
    for cell in _cells():
        looks = round(MONTH * INTERVAL_S / cell.interval_s)
        paged |= pages(cell.make(streams, random), looks, alpha(cell.interval_s)) > 0
    return paged


def _cells() -> Iterator[Any]:
    for wanted in _POD:
        yield next(cell for cell in CELLS if (cell.monitor, cell.noise) == wanted)


def _poisson(count: int, years: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a rate, after Garwood (1936)."""
    from scipy.special import gammaincinv  # noqa: PLC0415 - only here

    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low / years, float(gammaincinv(count + 1, 0.975)) / years


def _binomial(count: int, trials: int) -> tuple[float, float]:
    from goldwatch.worker.monitors.bounds import lower, upper  # noqa: PLC0415 - only here

    return lower(count, trials, 0.025), upper(count, trials, 0.025)
