"""The page of what was measured, in Markdown, from the raw figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.alerts.false_alarms import Rate
from benchmarks.alerts.fleet import QUARTER

_HEAD = """\
# Alerts, measured

Written by `make bench-alerts` from the figures in `benchmarks/results/alerts/`; do not edit. Seeds are fixed. What is simulated
is the monitors' own code, at a budget of one false alarm a year shared by four monitors (0.25 each) and a replay every five
minutes, but for *slower*, which looks at a block of three hours, *drift*, which looks at a window of 200 rows every hour, and
*costly*, which looks at a measurement every hour. Lines of *drift* with a season are of `live.season: weekly`: two columns of numbers and one of categories
(ten columns of numbers where delays are measured), each with a daily cycle of 0.5 standard deviations at a phase of its own and 0.3 more at weekends, 200 rows
an hour, and a reference of four weeks, 40,000 rows with times unless the line names another. A page of any level counts.

In lines of *drift* with sessions a row is that of its session with a probability of 0.7, so two rows of a session are the same in half of the cases.
"""

_FALSE = """\
## False alarms

One line for each kind of monitor and of noise, over so many model-years without a change, each with a reference of its own
(*drift*, *drift* with a season and the bounded means: 10, 5 and 20 references, shared). *Promised*: the budget is a guarantee under what
[monitors](monitors.md) states. *Calibrated*: it is not, and the line shows how far it goes. "Within the tolerance" means that
the model moves to and fro between its reference and what is tolerated.
"""

_DELAYS = """\
## Delay

Median replays from a change to the page, after a quiet day, and false pages in 90 days of a stream (the budget is 0.062). Beside
it, in brackets, the figures of the prototype that goldwatch was planned with, on streams of the same description; a prototype's
latency is one p99 a replay, goldwatch's the mean of logs. *Slower* looks at blocks of
three hours, 36 replays, so its delays are longer; a change begins at any replay of a block.

The streams. *Accuracy*: 200 examples, 288 reference replays, no tolerance; *same examples*: 180 always right, 12 never, 8
coins, and the change turns right ones wrong for good. *Latency*: 200 requests a replay, log-normal of sigma .35 around 100 ms, a
daily sine of 10 %, an AR(1) level of .9 and sd .05; 14 days of baseline. *Features*: windows of 200 rows, 10,000 reference
rows; six normal columns, two log-normal, one uniform, one of two modes. *Bounded score*: 200 examples with means of Beta(8, 2),
noise of sd .03, 288 reference replays, no tolerance; *worthless* answers score 0, with 40 reference replays and a tolerance of a
point. *One p99 a replay*: the 198th of the 200 latencies in place of the mean of logs.
*Gap*: groups of 50 and 150 examples that are right at 0.90 and 0.92, or, *flaky*, in 4 % of cases by a coin and else always or never; the smaller group
loses. *No worse than* has 288 + 288 reference replays.
*With a season*: hours, after two quiet weeks, from any hour of the week on; the other figures are those of a prototype too.
*Incidents*: seven points of accuracy are lost in two replays, ten minutes, and the next two so many replays later; the delay counts
all replays. What each loses is soon forgotten; what they lose on average is bet on too.
"""

_PEERS = """\
## Beside the usual rules and tools

The same streams through the rules that people write, and through the tools that they install, at their defaults. What each
calls is counted one by one, as an alert rule would fire, and given for a year of a replay, or of a window, every five minutes;
goldwatch's are its pages. Delays are median replays or windows from the change to the first call. Rules that look at one window
by itself have no memory: their delays follow from the share of windows that they flag. "> n" says that none of n was. Evidently
takes seconds for a window, so it was shown very few, which tell which way it leans and no more.
"""

_STREAMS = """\
## Drift in river's streams

The generators of drift that river ships, which are not ours: a decision tree is fitted to 5,000 rows, the next 5,000 are the
reference, then come 50 windows of 200 rows without drift, and 50 with. *Worse* sees which rows the tree gets right, with a
tolerance of a point; *drift* sees the inputs alone, so it is right to be silent where only what they mean has changed. Beside them
river's ADWIN, at its defaults, on the same errors row by row. A call before the drift would be shown.
"""

_DAMAGE = """\
## Real damage

The digits that goldwatch ships, replayed by the agent's own pipeline: the sound model in 20 replays, without an alert, and then
from there each damaged one, in at most 30. Every model is a file that ONNX Runtime really runs. The objectives: `accuracy: no
worse than 1 point`, `outputs: 2%`, `errors: 1%`, at one false alarm a year. The replay by which each monitor alerted counts the one
that confirms what *changed* saw, at once. *Below tolerance* is what no monitor has to call. The checkpoint of 20 passes loses no more
than is tolerated, but trades more examples than that for others, which makes it another model.
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
    if rows := found.get("peers"):
        parts.append(_PEERS + "\n" + _peers(rows, found.get("delays", ())) + _runs(rows))
    if rows := found.get("river_streams"):
        parts.append(_STREAMS + "\n" + _river_streams(rows) + _runs(rows))
    if rows := found.get("damage"):
        parts.append(_DAMAGE + "\n" + _damage(rows) + _runs(rows))
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
    if "monitor" in row:
        return f"{row['monitor']} ({row['noise']})"
    return ": ".join(str(row[key]) for key in ("stream", "rule", "damage") if key in row)


def _false_alarms(rates: Sequence[Mapping[str, Any]]) -> str:
    heads = ("monitor", "noise", "rate is", "model-years", "pages", "a year", "95 % interval", "budget of 0.25")
    rows = [Rate(**{key: value for key, value in rate.items() if key not in ("seeds", "run")}).row() for rate in rates]
    return _table(heads, rows)


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
            false = row["false_in_90_days"]
            yield row["stream"], "not run" if false is None else _beside(false, row["prototype_false"]), *each

    return _table(("stream", "false in 90 days", "small change", "middle", "large"), list(cells()))


_OURS = {
    "accuracy at random": (("accuracy 0.92 to, at random", "goldwatch: worse"),),
    "p99 latency": (
        ("latency again, one p99 a replay", "goldwatch: slower, on the p99"),
        ("latency, AR(1) and daily", "goldwatch: slower, as it is, on the mean of logs"),
    ),
    "one of ten features": (("one of ten features", "goldwatch: drift"),),
}
"""The rows of goldwatch's own delays beside each stream of the peers."""


def _peers(rows: Sequence[Mapping[str, Any]], delays: Sequence[Mapping[str, Any]]) -> str:
    tables = []
    for stream, ours in _OURS.items():
        theirs = [row for row in rows if row["stream"] == stream]
        changes = next((row["changes"] for row in theirs if "changes" in row), ("small", "middle", "large"))
        lines = [_own(name, row) for own, name in ours for row in delays if row["stream"] == own]
        lines += [_peer(row) for row in theirs if "missing" not in row]
        table = _table((stream, "calls a year", "looked at", *changes), lines)
        missing = "".join(f"\nNot measured: {row['rule']}, {row['missing']}.\n" for row in theirs if "missing" in row)
        tables.append(table + missing)
    return "\n".join(tables)


def _own(name: str, row: Mapping[str, Any]) -> Sequence[str]:
    false, looked = row["false_in_90_days"], f"{row['streams'] * QUARTER:,}"
    rate = ("not run", "") if false is None else (f"{false * 365 / 90:.2g}", looked)
    return f"**{name}**", *rate, *(_beside(each["median"], None) for each in row["delays"])


def _peer(row: Mapping[str, Any]) -> Sequence[str]:
    medians = (f"> {row['longest']:,}" if each is None else f"{each:,.4g}" for each in row["medians"])
    return row["rule"], f"{row['a_year']:,.0f}", f"{row['looked']:,}", *medians


def _river_streams(rows: Sequence[Mapping[str, Any]]) -> str:
    def called(row: Mapping[str, Any], name: str) -> str:
        before, first = row["before"][name], row["windows"][name]
        said = "not" if first is None else f"{first}"
        return said + (f" ({before} before)" if before else "")

    lines = [
        (
            row["stream"],
            " to ".join(f"{each:.3f}" for each in row["accuracy"]),
            *(called(row, name) for name in ("worse", "drift", "adwin")),
        )
        for row in rows
    ]
    return _table(("stream", "accuracy", "*worse*: window", "*drift*: window", "ADWIN (river): window"), lines)


def _damage(rows: Sequence[Mapping[str, Any]]) -> str:
    def said(row: Mapping[str, Any], monitor: str) -> str:
        alert = row["alerts"].get(monitor)
        return "-" if alert is None else f"{alert['replay']} ({alert['severity']})"

    def verdict(row: Mapping[str, Any]) -> str:
        if not row["alerts"]:
            return "below tolerance"
        return "detected" if "worse" in row["alerts"] else "detected; the loss is below tolerance"

    lines = [
        (
            row["damage"],
            f"{row['points_lost']:.1f}".replace("-0.0", "0.0"),
            f"{row['moved']} of {row['examples']}",
            *(said(row, monitor) for monitor in ("worse", "changed", "moved")),
            verdict(row),
        )
        for row in rows
    ]
    heads = ("damage", "points lost", "outputs that differ", "*worse*", "*changed*", "*moved*", "so it is")
    return _table(heads, lines)


def _beside(value: float | None, prototype: float | None) -> str:
    ours = "> 3,000" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
    return ours if prototype is None else f"{ours} ({prototype:g})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
