"""The page of what was measured, in Markdown, from the raw figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.alerts.false_alarms import Rate

_HEAD = """\
# Alerts, measured

Written by `make bench-alerts` from the figures in `benchmarks/results/alerts/`; do not edit. Seeds are fixed. What is simulated
is the monitors' own code, at a budget of one false alarm a year shared by four monitors (0.25 each) and a replay every five
minutes, but for *drift*, which looks at a window of 200 rows every hour.
"""

_FALSE = """\
## False alarms

One line for each kind of monitor and of noise, over so many model-years without a change, each with a reference of its own
(*drift* and the bounded means: 10 and 20 references, shared). *Promised*: the budget is a guarantee under what
[monitors](monitors.md) states. *Calibrated*: it is not, and the line shows how far it goes. "Within the tolerance" means that
the model moves to and fro between its reference and what is tolerated.
"""

_DELAYS = """\
## Delay

Median replays from a change to the page, after a quiet day, and false pages in 90 days of a stream (the budget is 0.062). Beside
it, in brackets, the figures of the prototype that goldwatch was planned with, on streams of the same description; a prototype's
latency is one p99 a replay, goldwatch's the mean of logs.

The streams. *Accuracy*: 200 examples, 288 reference replays, no tolerance; *same examples*: 180 always right, 12 never, 8
coins, and the change turns right ones wrong for good. *Latency*: 200 requests a replay, log-normal of sigma .35 around 100 ms, a
daily sine of 10 %, an AR(1) level of .9 and sd .05; 14 days of baseline. *Features*: windows of 200 rows, 10,000 reference
rows; six normal columns, two log-normal, one uniform, one of two modes. *Bounded score*: 200 examples with means of Beta(8, 2),
noise of sd .03, 288 reference replays, no tolerance.
"""


def page(found: Mapping[str, Any]) -> str:
    """Return the page of the parts that were measured."""
    parts = [_HEAD]
    if rows := found.get("false_alarms"):
        parts.append(_FALSE + "\n" + _false_alarms(rows) + _runs(rows))
    if rows := found.get("pod"):
        parts.append(_pod(rows[0]) + _runs(rows))
    if rows := found.get("delays"):
        parts.append(_DELAYS + "\n" + _delays(rows) + _runs(rows))
    return "\n".join(parts)


def _runs(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which run the rows of a table come from: they may be measured one by one."""
    runs = sorted({str(row["run"]) for row in rows}, reverse=True)
    if len(runs) == 1:
        return f"\nMeasured {runs[0]}.\n"
    latest, *older = runs
    named = (", ".join(_name(row) for row in rows if row["run"] == run) for run in older)
    return (
        f"\nMeasured {latest}; but "
        + "; ".join(f"of {run}: {names}" for run, names in zip(older, named, strict=True))
        + ".\n"
    )


def _name(row: Mapping[str, Any]) -> str:
    return str(row["stream"]) if "stream" in row else f"{row['monitor']} ({row['noise']})"


def _false_alarms(rates: Sequence[Mapping[str, Any]]) -> str:
    heads = ("monitor", "noise", "rate is", "pages", "a year", "95 % interval", "budget of 0.25")
    rows = [Rate(**{key: value for key, value in rate.items() if key not in ("seeds", "run")}).row() for rate in rates]
    years = sorted({rate["years"] for rate in rates})
    return f"{', '.join(f'{year:,}' for year in years)} model-years a line.\n\n" + _table(heads, rows)


def _pod(found: Mapping[str, Any]) -> str:
    share = found["paged"] / found["pods"]
    noises = "; ".join(f"{monitor} ({noise})" for monitor, noise in found["noises"])
    return f"""\
## A pod's first month

Of {found["pods"]:,} simulated pods with four monitors each, {found["paged"]:,} had any false page or ticket in 30 days:
**{share:.2%}** (95 % interval {found["low"]:.2%} to {found["high"]:.2%}). If the budget were spent evenly and in full, it would
be {found["bound"]:.1%}. The monitors and their noise: {noises}.
"""


def _delays(rows: Sequence[Mapping[str, Any]]) -> str:
    def cells() -> Iterator[Sequence[str]]:
        for row in rows:
            each = [f"{delay['change']}: {_beside(delay['median'], delay['prototype'])}" for delay in row["delays"]]
            yield row["stream"], _beside(row["false_in_90_days"], row["prototype_false"]), *each

    return _table(("stream", "false in 90 days", "small change", "middle", "large"), list(cells()))


def _beside(value: float | None, prototype: float | None) -> str:
    ours = "> 3,000" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
    return ours if prototype is None else f"{ours} ({prototype:g})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
