"""The states of a monitor, in one order and with one colour each, on every dashboard."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DashboardSpecialValueMapOptions,
    RangeMap,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMapping,
    ValueMappingResult,
)

from goldwatch.core.judgement import State
from goldwatch.export import catalogue as c

from dashboards.query import of

UNKNOWN = "#787e86"
"""Grey, readable on light and dark. Unknown is neither good nor an alert."""
COLOURS: Mapping[State, str] = {
    State.STEADY: "green",
    State.RECOVERED: "blue",
    State.SUSPECT: "orange",
    State.UNKNOWN: UNKNOWN,
    State.ALERTING: "red",
}
"""From the best to the worst."""
RANKS = {state: rank for rank, state in enumerate(COLOURS)}
GONE = len(RANKS)
"""The rank of a watch that no agent reports any more: worse than all, since its state is not known."""


def ranked(by: str) -> str:
    """Return the rank of the worst state, by labels."""
    each = " or ".join(f"{RANKS[state]} * {of(c.VERDICT, state=state)}" for state in reversed(RANKS))
    return f"max by ({by}) ({each})"


def words(*, gone: bool = False) -> list[ValueMapping]:
    """Return the words and colours for ranks. Digits after the decimal point order the rows of a state."""
    named = {RANKS[state]: (str(state), colour) for state, colour in COLOURS.items()}
    if gone:
        named[GONE] = ("gone", UNKNOWN)
    return [between(rank, rank + 0.99, text, colour) for rank, (text, colour) in named.items()]


def unknown_word(text: str = "unknown") -> ValueMapping:
    """Return what a number is called and how it is coloured where it is not known."""
    result = ValueMappingResult(text=text, color=UNKNOWN if text else "transparent", index=0)
    return SpecialValueMap(options=DashboardSpecialValueMapOptions(SpecialValueMatch.NULL_AND_NAN, result))


def between(low: float, high: float, text: str, colour: str) -> ValueMapping:
    """Return a word and a colour for the numbers of a range, its bounds included."""
    return RangeMap(DashboardRangeMapOptions(low, high, ValueMappingResult(text, colour, index=0)))
