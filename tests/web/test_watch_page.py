"""The page of a watch and its history, from a real ledger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.config import load
from goldwatch.core.event import Event
from goldwatch.core.judgement import Check, Passed, Quantile, Score, Severity, State, Validity
from goldwatch.daemon.alert import advance
from goldwatch.daemon.alert_explanation import Surroundings
from goldwatch.daemon.history import History
from goldwatch.daemon.in_force import InForce, assignments
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.status import Status
from goldwatch.daemon.trend import BINS, trend
from goldwatch.daemon.watch_page import watch_page
from goldwatch.golden.facts import GoldenFacts

from tests.builders import description, difference, judgement, verdict

NOW = 1_800_000_000.0
HOUR = 3600.0
SECRET = "very-secret-token-123"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
CONFIG = """\
targets: {served: {probe: open-inference, url: "http://localhost:8000?key=1", model: digits, token: "${TOKEN}"}}
golden: {digits: golden}
watches: {digits: {every: 1h, objectives: {latency: 50ms at p99}}, idle: {every: 1h}}
"""
FACTS = GoldenFacts("somewhere", "digits", "sha256:00", "00", "classification", 600, True, (), ())


def scored(value: float, low: float, high: float) -> tuple[Score, ...]:
    return (Score("accuracy", value, low, high, 600, 0.95),)


def write(path: Path, hours: int, gap: range = range(0)) -> None:
    """Write the ledger of a watch that replays every hour; the replay of ten hours ago was bad."""
    with Ledger(path) as ledger:
        for ago in range(hours, 0, -1):
            if ago in gap:
                continue
            bad = ago == 10
            quantiles = (Quantile(0.5, 0.002), Quantile(0.99, 0.09 if bad else 0.004))
            value = 0.5 if bad else 0.95
            ledger.record(
                judgement(
                    started_at=NOW - ago * HOUR,
                    scores=scored(value, value - 0.02, value + 0.02),
                    quantiles=quantiles,
                    verdicts=(verdict(evidence=4.0 if bad else 0.1), verdict("changed", evidence=None, threshold=None)),
                ),
                {},
                events=[Event(NOW - ago * HOUR, "served", "version", "1", HEBREW)] if bad else [],
            )


@pytest.fixture
def status(tmp_path: Path) -> Iterator[Status]:
    write(tmp_path / "goldwatch.db", 30, range(15, 20))
    (tmp_path / "goldwatch.yaml").write_text(CONFIG)
    config = load(tmp_path / "goldwatch.yaml", {"TOKEN": SECRET})
    wanted = InForce(config, tuple(assignments(config, {"digits": FACTS})))
    status = Status(tmp_path / "goldwatch.db", lambda: wanted, lambda: NOW)
    yield status
    status.close()


def test_a_history_of_many_replays_keeps_the_one_that_was_bad(tmp_path: Path) -> None:
    write(tmp_path / "goldwatch.db", 80)
    with History.open(tmp_path / "goldwatch.db") as history:
        found = trend(history, ("digits", "served"), "accuracy", NOW, 90, HOUR)
    assert len(found.scores) <= BINS
    assert len(found.scores) < 12, "some of 80 replays share a bin of nine hours"
    assert sum(each.replays for each in found.scores) == 80
    assert (min(s.least for s in found.scores), max(s.greatest for s in found.scores)) == (0.5, 0.95)
    assert max(e.evidence for e in found.evidence) == 4.0
    assert {e.monitor for e in found.evidence} == {"worse"}, "a monitor of facts has no evidence"
    assert max(each.greatest_s for each in found.latency if each.q == 0.99) == 0.09
    assert found.gaps == ((found.since, NOW - 80 * HOUR),)


@settings(max_examples=6, deadline=None)
@given(st.sets(st.integers(1, 60), min_size=1, max_size=12))
def test_each_hour_is_in_a_bin_or_in_a_gap(tmp_path_factory: pytest.TempPathFactory, hours: set[int]) -> None:
    path = tmp_path_factory.mktemp("ledger") / "goldwatch.db"
    with Ledger(path) as ledger:
        for ago in sorted(hours, reverse=True):
            ledger.record(judgement(started_at=NOW - ago * HOUR), {})
        ledger.record(judgement(started_at=NOW - HOUR / 2, validity=Validity.INVALID, scores=()), {})
    with History.open(path) as history:
        found = trend(history, ("digits", "served"), "accuracy", NOW, 3, HOUR)
    assert sum(each.replays for each in found.scores) == len(hours)
    moments = [found.since, *(NOW - ago * HOUR for ago in sorted(hours, reverse=True)), found.until]
    pauses = [(a, b) for a, b in pairwise(moments) if min(b, NOW) - a > 3 * HOUR]
    assert list(found.gaps) == pauses


def test_the_page_says_what_is_known_and_shows_no_secret(status: Status) -> None:
    found = status.view("digits", "", 30)
    assert found is not None
    page = watch_page(found)
    assert "digits · served is steady: accuracy 0.9500, reference 0.9500" in page
    assert "accuracy between 0.5000 and 0.9500, now 0.9500" in page
    assert 'class="gap"' in page
    assert "limit 50 ms at p99" in page
    assert "worse 0.1 of 5.6 needed" in page
    assert f"<bdi>\u2068{HEBREW}\u2069</bdi>" in page, "a name that runs from right to left is isolated"
    assert "watches.digits.objectives.accuracy" in page
    assert "no worse than 1 point" in page
    assert SECRET not in page
    assert "key=1" not in page, "an address is shown without its query"
    assert "**********" in page
    assert "<script" not in page


def test_what_was_never_replayed_is_not_shown_as_good(status: Status) -> None:
    found = status.view("idle", "served", 7)
    assert found is not None
    page = watch_page(found)
    assert "not known to be good: no replay yet" in page
    assert "Nothing valid was measured in this time." in page
    assert 'class="badge unknown"' in page
    assert 'class="badge steady"' not in page


@pytest.mark.parametrize(("severity", "other"), [(Severity.PAGE, "ticket"), (Severity.TICKET, "page")])
def test_pages_and_tickets_look_different(tmp_path: Path, status: Status, severity: Severity, other: str) -> None:
    told = judgement(
        started_at=NOW - 60,
        verdicts=(verdict(state=State.ALERTING, evidence=7.9, since=NOW - 60, severity=severity),),
        difference=difference(),
        description=description(model="m" * 200),
    )
    alert = advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1)
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        ledger.record(told, {}, alert)
    found = status.view("digits", "served", 1)
    assert found is not None
    page = watch_page(found)
    assert f'<a href="../alerts/1" class="{severity}"' in page
    assert f'class="badge {severity}"' in page
    assert f'class="badge {other}"' not in page
    assert "m" * 161 not in page, "a name is cut in its middle"


def test_a_page_says_what_of_a_valid_replay_is_not_known(tmp_path: Path, status: Status) -> None:
    learns = verdict("slower", State.UNKNOWN, evidence=None, threshold=None, summary="learns what is usual")
    checks = (Check("repeats", Passed.NO, "2 answers differ when asked twice"),)
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        ledger.record(judgement(started_at=NOW - 60, verdicts=(verdict(), learns), checks=checks), {})
    found = status.view("digits", "served", 1)
    assert found is not None
    page = watch_page(found)
    assert "not known to be good: slower: learns what is usual" in page
    assert re.search("The referee found: .{0,20}2 answers differ when asked twice", page)
    assert "not valid" not in page
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        bad = judgement(started_at=NOW - 30, validity=Validity.INVALID, reasons=("the server is gone",), verdicts=())
        ledger.record(bad, {})
    found = status.view("digits", "served", 7)
    assert found is not None
    page = watch_page(found)
    assert "not known to be good: the server is gone" in page
    assert "The newest replay is not valid: " in page


def test_invalid_replays_have_no_latency_in_the_trend(tmp_path: Path) -> None:
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        for place, validity in enumerate(Validity):
            quantiles = (Quantile(0.5, 1.0 + place),)
            ledger.record(judgement(started_at=NOW - HOUR, validity=validity, scores=(), quantiles=quantiles), {})
    with History.open(tmp_path / "goldwatch.db") as history:
        (found,) = trend(history, ("digits", "served"), "accuracy", NOW, 1, HOUR).latency
    known = [1.0 + place for place, validity in enumerate(Validity) if validity is not Validity.INVALID]
    assert (found.least_s, found.greatest_s) == (min(known), max(known))


def test_events_that_change_back_and_forth_are_each_in_the_trend_and_the_newest_are_kept(tmp_path: Path) -> None:
    versions = [str(n % 2) for n in range(403)]
    changes = [Event(NOW - 500 + n, "served", "version", a, b) for n, (a, b) in enumerate(pairwise(versions))]
    again = [replace(each, at=each.at + 0.5) for each in changes]  # as another watch of the target saw it
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        ledger.record(judgement(started_at=NOW - 500), {}, events=[*changes, *again])
    with History.open(tmp_path / "goldwatch.db") as history:
        found = trend(history, ("digits", "served"), "accuracy", NOW, 1, HOUR)
        assert list(found.events) == changes[-200:]


def test_more_gaps_than_are_marked_are_told(tmp_path: Path, status: Status) -> None:
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        for place in range(8, 210):
            ledger.record(judgement(started_at=NOW - place * 4 * HOUR), {})
    found = status.view("digits", "served", 90)
    assert found is not None
    assert found.trend.older_gaps
    assert "only the newest 200 of these times are marked" in watch_page(found)
    month = status.view("digits", "served", 7)
    assert month is not None
    assert not month.trend.older_gaps


def test_a_page_is_read_once_a_minute_unless_something_changes(tmp_path: Path, status: Status) -> None:
    moments = iter([NOW, NOW + 59, NOW + 60, NOW + 61])
    status._clock = lambda: next(moments)
    views = [status.view("digits", "served", 1) for _ in range(3)]
    assert views[0] is views[1] is not views[2]
    told = judgement(started_at=NOW, verdicts=(verdict(state=State.ALERTING, evidence=7.9, since=NOW),))
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        ledger.record(told, {})
    found = status.view("digits", "served", 1)
    assert found is not None
    assert found.row["state"] is State.ALERTING
    status._clock = lambda: NOW
    for days in range(1, 20):
        status.view("digits", "served", days)
    assert len(status._views) == 8


def test_there_is_no_page_of_another_watch_or_target(status: Status) -> None:
    assert status.view("nothing", "", 1) is None
    assert status.view("digits", "other", 1) is None
