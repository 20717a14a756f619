"""The page of a watch and its history, from a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.config import load
from goldwatch.core.event import Event
from goldwatch.core.judgement import Quantile, Score, State, Validity
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


def test_pages_and_tickets_look_different(tmp_path: Path, status: Status) -> None:
    told = judgement(
        started_at=NOW - 60,
        verdicts=(verdict(state=State.ALERTING, evidence=7.9, since=NOW - 60),),
        difference=difference(),
        description=description(model="m" * 200),
    )
    alert = advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1)
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        ledger.record(told, {}, alert)
    found = status.view("digits", "served", 1)
    assert found is not None
    page = watch_page(found)
    assert '<a href="../alerts/1" class="page"' in page
    assert 'class="badge page"' in page
    assert "m" * 161 not in page, "a name is cut in its middle"


def test_there_is_no_page_of_another_watch_or_target(status: Status) -> None:
    assert status.view("nothing", "", 1) is None
    assert status.view("digits", "other", 1) is None
