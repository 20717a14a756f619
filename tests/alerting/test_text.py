"""The text and the page of an alert, where names are unfriendly and nothing is significant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.core.event import Event
from goldwatch.core.judgement import Confusion, Flip, SliceShare, State
from goldwatch.daemon.alert import Alert, advance
from goldwatch.daemon.alert_explanation import Explanation, Surroundings
from goldwatch.daemon.alert_page import alert_page
from goldwatch.daemon.alert_text import as_text, command_lines
from goldwatch.daemon.status import _alert
from goldwatch.daemon.words import WIDTH, plain, printable

from tests.builders import difference, judgement, verdict

AT = 1_800_000_000.0
AROUND = Surroundings(AT - 300, [], "1 point", "1 false alarm a year", config="goldwatch.yaml")


def opened(around: Surroundings = AROUND, **values: Any) -> Alert:
    worse = verdict("worse", State.ALERTING, evidence=7.9, since=AT)
    found = advance(None, judgement(verdicts=(worse,), difference=difference(**values)), around, 42)
    assert found is not None
    return found


def told(alert: Alert) -> Explanation:
    assert alert.explanation is not None
    return alert.explanation


def page(alert: Alert) -> str:
    return alert_page(_alert(alert) | {"explanation": told(alert).to_json()}, AT + 600)


def flips(*identities: str) -> tuple[Flip, ...]:
    return tuple(Flip(i, "8", "8", "1", identity=name) for i, name in enumerate(identities))


def test_the_worst_slices_and_mistakes_are_listed_though_none_is_beyond_chance() -> None:
    shares = (SliceShare("digit", "8", 9, 60, False, 0.04), SliceShare("ink", "heavy", 20, 200, False, 0.3))
    alert = opened(where=shares, confusions=(Confusion("8", "1", 12, 15, 4, False, 0.0017),))
    assert "where    digit=8     9 of the 50, 10% of the set  not beyond chance\n" in alert.text
    assert "         ink=heavy  20 of the 50, 33% of the set  not beyond chance\n" in alert.text
    assert "mistakes 8 -> 1  12 of the 50, 4 -> 15  not beyond chance\n" in alert.text
    shown = page(alert)
    assert "p = 0.04" in shown
    assert 'class="beyond"' not in shown


def test_every_slice_beyond_chance_is_listed_and_three_if_there_are_fewer() -> None:
    beyond = tuple(SliceShare("digit", str(i), 9, 60, True, 1e-9) for i in range(5))
    rest = tuple(SliceShare("ink", str(i), 9, 60, False, 0.5) for i in range(5))
    assert opened(where=(*beyond, *rest)).text.count("beyond chance") == 5
    assert opened(where=(*beyond[:1], *rest)).text.count("beyond chance") == 3


def test_examples_are_called_by_name_and_else_by_their_text_or_number() -> None:
    named = (*flips("scan_0017.png"), Flip(1, "ice", "ice", "fire", excerpt="What is frozen"), Flip(2, "8", "8", "1"))
    alert = opened(flips=named)
    assert "examples 0 scan_0017.png: 8 -> 1, right is 8\n" in alert.text
    assert '         1 "What is frozen": ice -> fire, right is ice\n' in alert.text
    assert "         2: 8 -> 1, right is 8\n" in alert.text
    assert "scan_0017.png" in page(alert)


def test_a_long_name_keeps_its_ends() -> None:
    name = f"{'a' * 100}/2026/scan_0017.png"
    alert = opened(flips=flips(name), where=(SliceShare("country", "x" * 300, 9, 60),))
    assert "scan_0017.png: 8 -> 1" in " ".join(alert.text.split())
    assert name not in alert.text
    assert max(map(len, alert.text.splitlines())) < 100


@pytest.mark.parametrize(
    "bad", ["\x1b[2J", "\u202etxt.exe", "a\nrollback", "\x00", "\u2066x", "\u2068x", "x\u2069y\u2068", "\x9b31m"]
)
def test_no_name_can_move_the_cursor_or_turn_the_line(bad: str) -> None:
    around = replace(AROUND, events=[Event(AT, "served", "version", f"v1{bad}", f"v2{bad}")])
    shares = (SliceShare(f"s{bad}", f"v{bad}", 9, 60),)
    confusions = (Confusion(f"c{bad}", f"d{bad}", 12, 15, 4, True, 0.001),)
    alert = opened(around, flips=flips(f"e{bad}"), where=shares, confusions=confusions)
    for text in (alert.text, page(alert), *alert.summary().values()):
        assert bad not in text
        assert all(c.isprintable() or c == "\n" or c in "\u2068\u2069" for c in text.replace("❙", ""))


def test_a_name_from_right_to_left_is_isolated_from_its_line() -> None:
    alert = opened(flips=flips("بلد.png"), where=(SliceShare("بلد", "مصر", 9, 60),))
    assert "examples 0 \u2068بلد.png\u2069: 8 -> 1" in alert.text
    assert "where    \u2068بلد\u2069=\u2068مصر\u2069" in alert.text
    assert "<bdi>\u2068بلد.png\u2069</bdi>" in page(alert)


def test_markup_in_a_name_is_text_on_the_page() -> None:
    shown = page(opened(flips=flips("<script>alert(1)</script>"), where=(SliceShare("<b>", '"onload="', 9, 60),)))
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert 'onload="' not in shown.replace("&quot;", "")


def test_digests_have_twelve_digits() -> None:
    before, after = (f"sha256:{digit * 64}" for digit in "ab")
    alert = opened(replace(AROUND, events=[Event(AT, "served", "digest", before, after)]))
    assert "digest sha256:aaaaaaaaaaaa -> sha256:bbbbbbbbbbbb" in alert.text
    assert "a" * 13 not in alert.text + page(alert)
    assert told(alert).events[0].before == before, "the API has the whole one"


def test_an_alert_of_an_older_goldwatch_still_has_its_text_and_its_page() -> None:
    alert = opened()
    old = told(alert).to_json()
    for name in ("sizes", "action", "replay", "silence", "cause", "not_known", "headline"):
        del old[name]
    restored = Explanation.from_json(old)
    assert "evidence 7.9 of 5.6 needed" in as_text(restored)
    assert "golden examples now wrong" in alert_page(_alert(alert) | {"explanation": old}, AT)
    assert "what it said" in alert_page(_alert(replace(alert, text="what it said")) | {"explanation": None}, AT)


def test_a_command_of_several_lines_is_one_command() -> None:
    command = "goldwatch silence goldwatch.yaml --watch digits --for 2h --why 'it -- is --known to be so, I am on it'"
    lines = list(command_lines(command))
    assert len(lines) > 1
    assert " ".join("\n".join(lines).replace("\\\n", " ").split()) == command


@given(st.text(st.characters() | st.sampled_from("\u2068\u2069\u202e\x1bא"), max_size=300))
def test_any_text_from_outside_is_one_bounded_printable_line(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= 162
    assert "\n" not in shown
    assert all(c.isprintable() or c in "\u2068\u2069" for c in shown)
    assert plain(shown) == shown or len(shown) > 160


@given(st.text(st.characters() | st.sampled_from("\n\t\u2068\u2069\u202e\x1bא"), max_size=300))
def test_any_output_keeps_its_lines_and_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    assert shown.count("\n") == text.count("\n")
    assert all(c.isprintable() or c in "\n\t\u2068\u2069" for c in shown)
    assert printable(shown) == shown
    assert printable(plain(text)) == plain(text)


@given(st.lists(st.text(alphabet="abc -", min_size=1, max_size=30), min_size=1, max_size=8))
def test_lines_fit_into_72_columns_where_words_allow_it(names: list[str]) -> None:
    alert = opened(flips=flips(*names))
    assert all(len(line) <= WIDTH for line in alert.text.splitlines() if " " in line.strip())
