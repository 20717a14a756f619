"""The pages of `golden show`, `sweep` and `backtest`: what they say, and that names are escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands import backtest_page, sweep_page
from goldwatch.commands.backtest import AlertEpisode, Played
from goldwatch.commands.common_rules import Fired
from goldwatch.commands.histogram import Histogram, bin_of
from goldwatch.commands.sweep import RateTrial, SweepOptions, SweepResult, SweepStep, SweepVerdict
from goldwatch.config import LatencyObjective
from goldwatch.core.judgement import Severity, Validity
from goldwatch.worker.monitors.past import ReplayRecord

GOLDEN = Path(__file__).parents[2] / "agent/goldwatch/demo/digits/golden"
NAME = "<script>fraud</script>"
START = 1_790_000_000


class Balanced(HTMLParser):
    """Fails for an element that is closed where another is open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> None:
    assert not Balanced(page).open
    assert "<script" not in page
    assert " src=" not in page
    assert len(page) < 400_000


def test_a_golden_set_shows_its_classes_its_slices_and_its_reference(tmp_path: Path) -> None:
    file = tmp_path / "digits.html"
    result = CliRunner().invoke(app, ["golden", "show", str(GOLDEN), "--output", str(file)])
    assert result.exit_code == 0, result.output
    page = file.read_text()
    check(page)
    assert (
        "571 of 600 examples were right in all replays of the reference, 29 in none. Mean share right: 0.9517." in page
    )
    assert page.count('<th scope="row" role="rowheader">') >= 10


def played(accuracies: list[int], *episodes: AlertEpisode) -> Played:
    records = [
        ReplayRecord(START + 300.0 * i, Validity.VALID, accuracy=(right, 100)) for i, right in enumerate(accuracies)
    ]
    return Played(records, {"worse": episodes, "failing": [], "slow": None})


def test_a_backtest_shows_when_alerts_would_have_been_open() -> None:
    alert = AlertEpisode(None, START + 3e5, None, Severity.PAGE, f"41 of {NAME} now wrong")
    page = backtest_page.as_html(NAME, played([95] * 999 + [20], alert), [Fired("three sigma", 86, 999, START + 0.0)])
    check(page)
    assert "1 alert would have opened" in page
    assert "0.2000 to 0.9500" in page  # one bad replay of 1,000 stays visible
    assert "Not known, the history does not say: slow." in page
    assert "Never: failing." in page
    assert "86 times in 999 replays" in page


@pytest.mark.parametrize("accuracies", [[95], []])
def test_without_accuracies_a_backtest_says_that_there_is_no_chart(accuracies: list[int]) -> None:
    history = played(accuracies or [95])
    if not accuracies:
        history = Played([ReplayRecord(START + 0.0, Validity.INVALID)], {"worse": None})
    page = backtest_page.as_html(NAME, history, [])
    check(page)
    assert "There is no chart: the history has accuracies of fewer than two replays." in page


def step(rate: float, latency_s: float, word: SweepVerdict, requests: int = 1000) -> SweepStep:
    seen = RateTrial(requests, 3, 0, requests, 0, 0, Histogram({bin_of(round(latency_s * 1e9)): requests}))
    return SweepStep(rate, word, seen, 8, 1, (f"because of {NAME}",))


def swept(*steps: SweepStep, found: float | None = None) -> SweepResult:
    assignment: Any = SimpleNamespace(
        key=(NAME, NAME), golden="g@41ab", target=SimpleNamespace(probe="http", name=NAME)
    )
    bound = next((each for each in steps if each.word is not SweepVerdict.MET), None)
    return SweepResult(assignment, LatencyObjective(0.05, 0.99), SweepOptions(10, 80), steps, found, bound)


def test_a_sweep_shows_latency_by_rate_against_the_limit() -> None:
    steps = (step(10, 0.002, SweepVerdict.MET), step(20, 0.004, SweepVerdict.MET), step(40, 0.3, SweepVerdict.MISSED))
    page = sweep_page.as_html(swept(*steps, found=20.0))
    check(page)
    assert "FOUND" in page
    assert "20 per second keeps 50ms at p99" in page
    assert "Latency by rate on logarithmic axes, 3 steps; the limit is 50 ms" in page


def test_a_sweep_without_answers_says_that_there_is_no_chart() -> None:
    page = sweep_page.as_html(swept(step(10, 0.002, SweepVerdict.INVALID, requests=0)))
    check(page)
    assert "NOT MEASURED" in page
    assert "There is no chart: no step had enough answers to know a quantile." in page
