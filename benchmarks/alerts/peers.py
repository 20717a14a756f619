"""The usual rules and tools on the same streams: how often they flag without a change, and how soon after one.

A rule's flags are counted one by one, as it would call; goldwatch's are its pages. Rules of one number a replay are
played over series; rules of a window of rows are memoryless, so the share of flagged windows gives the time until one
is flagged. Tools are at their defaults; those with needs of their own run in environments of their own.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import drift

from goldwatch.worker.monitors.detector import FloatArray

from benchmarks.alerts.delays import ACCURACY, SHIFTS, SLOWER, features
from benchmarks.alerts.fleet import DAY, QUARTER, YEAR
from benchmarks.alerts.sources import ACCURACY as USUAL
from benchmarks.alerts.sources import EXAMPLES, Random, latencies

QUIET, CHANGED, AFTER = 4, 20, 1500
WINDOWS, REFERENCE, ROWS = 200, 10_000, 200
_SLOW = 6
"""So many series, or windows, of a tool that takes a second for one."""

ELSEWHERE = Path("tests/environments")

_STREAM = "one of ten features"

Flags = NDArray[np.bool_]
Series = Callable[[FloatArray], Flags]
"""Says at which replays of a series [replays] a rule flags; the first day is its reference."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of one number a replay. A `slow` one is played over fewer series."""

    name: str
    flags: Series
    slow: bool = False


def measure(only: str = "", *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a row for each stream and rule: its flags a year without a change, and the median delay of each change."""
    for stream, draw, changes, rules in (
        ("accuracy at random", _accuracy, ACCURACY, (*_ON_ACCURACY, *_ON_SERIES)),
        ("p99 latency", _p99, SLOWER, (*_ON_LATENCY, *_ON_SERIES)),
    ):
        for rule in rules:
            if f"{stream}: {rule.name}".startswith(only):
                # Each rule sees the same series.
                yield {"stream": stream, "rule": rule.name} | _played(rule, draw, changes, quick)
    if _STREAM.startswith(only[: len(_STREAM)]):
        yield from _windows(only, quick)


def _accuracy(random: Random, streams: int, replays: int, change: float) -> FloatArray:
    lost = change * (np.arange(replays) >= DAY)
    return np.asarray(random.binomial(EXAMPLES, USUAL - lost, (streams, replays)) / EXAMPLES)


def _p99(random: Random, streams: int, replays: int, change: float) -> FloatArray:
    """Return the p99 of each replay in seconds [streams, replays]."""
    draw = latencies(streams, random, p99=True)
    logs = draw(0, replays) + change * (np.arange(replays) >= DAY)[:, np.newaxis]
    return np.asarray(np.exp(logs.T))


def _played(rule: Rule, draw: Any, changes: Sequence[tuple[str, float]], quick: bool) -> dict[str, Any]:  # noqa: ANN401
    random = np.random.default_rng(4)
    quiet = draw(random, QUIET, QUARTER // 10 if quick else QUARTER, 0.0)
    changed = [draw(random, CHANGED, DAY + AFTER, size) for _, size in changes]
    if rule.slow or quick:
        quiet, changed = quiet[:1], [series[:5] for series in changed]
    flags = sum(int(rule.flags(series)[DAY:].sum()) for series in quiet)
    replays = quiet.shape[0] * (quiet.shape[1] - DAY)
    firsts = [[_first(rule.flags(series)[DAY:]) for series in each] for each in changed]
    medians = [float(np.median(each)) for each in firsts]
    return {
        "a_year": flags / replays * YEAR,
        "looked": replays,
        "changes": [name for name, _ in changes],
        "medians": [median if math.isfinite(median) else None for median in medians],
        "longest": AFTER,
    }


def _first(flags: Flags) -> float:
    return float(np.argmax(flags)) + 1 if flags.any() else math.inf


def _three_sigma(series: FloatArray) -> Flags:
    """Flag what is more than three standard deviations from the mean of the day before."""
    sums, squares = (np.cumsum(np.concatenate([[0.0], part])) for part in (series, series**2))
    mean = (sums[DAY:-1] - sums[: -DAY - 1]) / DAY
    spread = np.sqrt(np.maximum((squares[DAY:-1] - squares[: -DAY - 1]) / DAY - mean**2, 0))
    return np.concatenate([np.zeros(DAY, dtype=np.bool_), np.abs(series[DAY:] - mean) > 3 * spread])


def _binomial(series: FloatArray) -> Flags:
    """Flag an accuracy whose one-sided binomial test against the true one has p < 0.05."""
    from scipy.stats import binom  # noqa: PLC0415 - only here

    return np.asarray(binom.cdf(np.rint(series * EXAMPLES), EXAMPLES, USUAL) < 0.05)


def _river(make: Callable[[], Any]) -> Series:
    """Return the rule of one of river's detectors, fed value by value."""

    def flags(series: FloatArray) -> Flags:
        detector, found = make(), np.zeros(len(series), dtype=np.bool_)
        for replay, value in enumerate(series.tolist()):
            detector.update(value)
            found[replay] = detector.drift_detected
        return found

    return flags


_ON_ACCURACY = (Rule("binomial test at 0.05", _binomial), Rule("three sigma of the day before", _three_sigma))
_ON_LATENCY = (
    Rule("1.3 x the first day's median", lambda series: np.asarray(series > 1.3 * np.median(series[:DAY]))),
    Rule("three sigma of the day before", _three_sigma),
)
_ON_SERIES = (
    Rule("ADWIN (river)", _river(drift.ADWIN)),
    Rule("ADWIN, at every replay (river, clock=1)", _river(lambda: drift.ADWIN(clock=1))),
    Rule("Page-Hinkley (river)", _river(drift.PageHinkley)),
    Rule("KSWIN (river)", _river(lambda: drift.KSWIN(seed=1)), slow=True),
)


Window = Mapping[str, NDArray[Any]]


def _ks(least: float) -> Callable[[Window, Window], bool]:
    from scipy.stats import ks_2samp  # noqa: PLC0415 - only here

    def fires(usual: Window, live: Window) -> bool:
        return bool(min(ks_2samp(usual[name], live[name], method="asymp").pvalue for name in usual) < least)

    return fires


def _psi(usual: Window, live: Window) -> bool:
    """Flag a population stability index over 0.2 in any column, over the deciles of the reference."""
    for name, values in live.items():
        edges = np.quantile(usual[name], np.arange(1, 10) / 10)
        shares = np.maximum(np.bincount(np.searchsorted(edges, values), minlength=10) / len(values), 1e-4)
        if float(((shares - 0.1) * np.log(shares / 0.1)).sum()) > 0.2:
            return True
    return False


_ON_WINDOWS: Mapping[str, Callable[[], Callable[[Window, Window], bool]]] = {
    "KS at 0.05, any column (scipy)": lambda: _ks(0.05),
    "KS at 0.05 over the columns (scipy)": lambda: _ks(0.005),
    "PSI over 0.2, any column": lambda: _psi,
}

_TOOLS = {"alibi": 20, "nannyml": WINDOWS, "evidently": 2}
"""Environments, each with a program that says which windows its tool flags, and how many windows there is time for."""


def _windows(only: str, quick: bool) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(5)
    draw = features(random)
    usual = draw(REFERENCE, 0.0)
    live = {name: [draw(ROWS, size) for _ in range(WINDOWS)] for name, size in (("none", 0.0), *SHIFTS)}
    for rule, make in _ON_WINDOWS.items():
        if f"{_STREAM}: {rule}".startswith(only):
            fires = make()
            count = 50 if quick else WINDOWS
            yield _row(rule, {name: [fires(usual, each) for each in windows[:count]] for name, windows in live.items()})
    for tool, count in _TOOLS.items():
        if f"{_STREAM}: {tool}".startswith(only):
            yield from _elsewhere(tool, usual, {name: each[: 5 if quick else count] for name, each in live.items()})


def _elsewhere(tool: str, usual: Window, live: Mapping[str, Sequence[Window]]) -> Iterator[dict[str, Any]]:
    """Run a tool in its environment, and yield the row of each of its rules, or one with the reason for none."""
    python = Path(f".venv-{tool}/bin/python")
    if not python.exists():
        yield {"stream": _STREAM, "rule": tool, "missing": f"no environment: run `tests/environments/make {tool}`"}
        return
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        source, target = Path(folder, "windows.npz"), Path(folder, "flags.json")
        stacked = {
            name: np.array([np.stack(list(each.values()), axis=1) for each in rows]) for name, rows in live.items()
        }
        np.savez(source, reference=np.stack(list(usual.values()), axis=1), **stacked)  # type: ignore[arg-type] # arrays by name
        program = ELSEWHERE / f"{tool}_rules.py"
        result = subprocess.run([python, program, source, target], check=False, capture_output=True, text=True)
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            yield {"stream": _STREAM, "rule": tool, "missing": f"it failed: {last}"}
            return
        for rule, flags in json.loads(target.read_text()).items():
            yield _row(rule, flags)


def _row(rule: str, flags: Mapping[str, Sequence[bool]]) -> dict[str, Any]:
    """Return the row of a memoryless rule: how soon it flags follows from the share of windows that it does."""
    shares = {name: float(np.mean(each)) for name, each in flags.items()}
    longest = len(flags["none"])
    return {
        "stream": _STREAM,
        "rule": rule,
        "a_year": shares["none"] * YEAR,
        "looked": longest,
        "changes": [name for name, _ in SHIFTS],
        "medians": [_median(shares[name]) for name, _ in SHIFTS],
        "longest": longest,
    }


def _median(share: float) -> float | None:
    """Return the median of how many windows it takes until one is flagged, None if none was."""
    if share in (0.0, 1.0):
        return 1.0 if share else None
    return float(math.ceil(math.log(0.5) / math.log1p(-share)))
