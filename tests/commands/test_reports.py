"""Texts of the gate and of compare: figures that state something, one test of accuracy, no failure hidden."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from goldwatch.commands.compare import Speed
from goldwatch.commands.compare_report import _speed
from goldwatch.commands.exhibits import Exhibits
from goldwatch.commands.gate import ObjectiveResult, Report, Result, _errors, accuracy
from goldwatch.commands.gate_page import as_html
from goldwatch.commands.gate_report import FORMATS
from goldwatch.config import format_figure, format_seconds
from goldwatch.core.judgement import Difference, OutputDifference, Score, SliceStanding
from goldwatch.core.outcome import Outcome
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.golden.facts import GoldenPlace
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.judging_jobs import ExhibitRequest
from goldwatch.ipc.workers import Workers
from goldwatch.worker.jobs.exhibit import exhibit
from goldwatch.worker.jobs.opening import layout

from tests.builders import difference, judgement

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits/golden"


def assignment(**objectives: float) -> Any:
    golden = SimpleNamespace(deterministic=True, examples=200)
    load = SimpleNamespace(samples=1)
    watch = SimpleNamespace(
        load=load, objectives=SimpleNamespace(**({"accuracy_loss": 0.01, "error_rate": 0.05} | objectives))
    )
    return SimpleNamespace(golden=golden, watch=watch, key=("w", "w"))


def seen(harmful: int, helpful: int, largest: float | None = 0.5, **changes: Any) -> Any:
    moved = harmful + helpful
    difference = Difference(200, moved, harmful, helpful, 0, largest, (), ())
    score = Score("accuracy", 0.9, 0.85, 0.95, 200, 0.9 + (harmful - helpful) / 200)
    return judgement(difference=difference, scores=(score,), **changes)


@pytest.mark.parametrize(
    ("harmful", "helpful", "result"),
    [
        (2, 0, Result.PASS),
        (3, 0, Result.UNMEASURED),  # p = 0.25: `compare` takes this for noise
        (8, 0, Result.REGRESSION),  # p = 0.0078
        (40, 33, Result.UNMEASURED),
    ],
)
def test_a_loss_that_compare_takes_for_noise_is_no_regression(harmful: int, helpful: int, result: Result) -> None:
    found = accuracy(assignment(), seen(harmful, helpful))
    assert found.result is result
    assert "p = " in found.reason


def test_each_of_several_outputs_has_a_line() -> None:
    outputs = (
        OutputDifference("box", 3, 1.25, 0.5),
        OutputDifference("why", 1, None, 0),
        OutputDifference("boxes", 2, None, 0.5),
    )
    found = seen(0, 0)
    apart = replace(
        found, findings=replace(found.findings, difference=Difference(9, 4, 0, 0, 0, None, (), (), (), outputs))
    )
    report = Report(assignment(), apart, (_errors(assignment(), apart),))
    lines = [line.split() for line in FORMATS["table"]([report]).splitlines()]
    assert ["box", "6", "of", "9", "within", "0.5", "largest", "difference", "1.2"] in lines
    assert ["why", "8", "of", "9", "the", "same"] in lines
    assert ["boxes", "7", "of", "9", "within", "0.5"] in lines
    assert next(line for line in lines if line[:1] == ["outputs"])[-1] == "right"
    (listed,) = json.loads(FORMATS["json"]([report]))["watches"]
    assert [each["moved"] for each in listed["difference"]["outputs"]] == [3, 1, 2]
    assert listed["difference"]["largest"] is None


def test_failed_requests_within_the_budget_are_in_the_table() -> None:
    failing = seen(0, 0, outcomes={"ok": 197, "bad_answer": 3}, errors={"the answer holds NaN or infinity": 3})
    table = {}
    for name, one in (("failing", failing), ("sound", seen(0, 0, outcomes={"ok": 200}))):
        finding = _errors(assignment(), one)
        assert finding.result is Result.PASS
        table[name] = FORMATS["table"]([Report(assignment(), one, (finding,))])
    assert "3 of 200 requests failed, 5% allowed; most often: the answer holds NaN or infinity" in table["failing"]
    assert "failed" not in table["sound"]


def test_figures_that_mean_nothing_are_left_out() -> None:
    slow = FORMATS["table"]([Report(assignment(), seen(1, 0, None, task="generation", throughput=0.2841), ())])
    assert "throughput     0.284 /s" in slow
    assert "largest difference" not in slow
    assert "199 of 200 the same" in slow
    assert "throughput" not in FORMATS["table"]([Report(assignment(), seen(0, 0, throughput=float("nan")), ())])
    assert [format_figure(x) for x in (0.28, 9.996, 99.96, 1234.4, -0.5)] == ["0.28", "10", "100", "1,234", "-0.5"]
    assert [format_seconds(x) for x in (4e-6, 0.00099999, 0.99999, 1500.0)] == ["4 µs", "1 ms", "1 s", "1,500 s"]


def test_a_speed_that_the_rounds_do_not_tell_is_no_figure() -> None:
    def words(speed: Speed | None) -> str:
        row: Any = SimpleNamespace(speed=speed, parity=object())
        return _speed(row)

    assert words(Speed(0.19, 0.001, 24.64)) == words(None) == "too few rounds"
    assert words(Speed(1.05, 0.9, 1.2)) == "1.05x [0.9, 1.2] noise"
    assert words(Speed(0.004, 0.001, 0.01)) == "0.004x [0.001, 0.01]"


def test_what_a_server_says_ends_no_command_of_github() -> None:
    finding = ObjectiveResult("errors", Result.UNMEASURED, "50% of\n::error::x")
    said = FORMATS["github"]([Report(assignment(), seen(0, 0), (finding,))])
    assert said == "::warning title=w errors%3A could not measure::50%25 of%0A::error::x\n"


def test_what_a_server_says_is_no_markup_in_a_summary() -> None:
    finding = ObjectiveResult("errors", Result.UNMEASURED, "a | b\n<img src=x> [y](z) `k`")
    row = FORMATS["markdown"]([Report(assignment(), seen(0, 0), (finding,))]).splitlines()[4]
    assert row == r"| w | errors | could not measure | a \| b \<img src=x\> \[y\](z) \`k\` |"


def page_of(score: Score, *specs: ScoreSpec, url: str = "http://h", **values: Any) -> str:
    golden = SimpleNamespace(deterministic=True, examples=200)
    watch = SimpleNamespace(load=SimpleNamespace(samples=1), objectives=SimpleNamespace(latency=None))
    target = SimpleNamespace(name="t", probe="http", options={"url": url})
    of: Any = SimpleNamespace(golden=golden, watch=watch, target=target, key=("w", "t"), scores=specs)
    return as_html([Report(of, judgement(scores=(score,)), (), **values)])


@pytest.mark.parametrize(("lower_is_better", "colours"), [(False, ["loss", "gain"]), (True, ["gain", "loss"])])
def test_the_colour_of_a_slice_follows_the_direction_of_its_score(lower_is_better: bool, colours: list[str]) -> None:
    slices = (SliceStanding("s", "less", 50, 0.5, 0.75), SliceStanding("s", "more", 50, 0.9, 0.75))
    page = page_of(
        Score("mine", 0.7, 0.6, 0.8, 100, 0.75, slices), ScoreSpec("mine", "m:f", lower_is_better=lower_is_better)
    )
    assert re.findall(r'<td class="h-(loss|gain)"', page) == colours


def test_a_report_without_its_charts_says_so_and_why() -> None:
    score = Score("accuracy", 0.7, 0.6, 0.8, 100, 0.75)
    assert "could not be made: <bdi>the worker was killed</bdi>" in page_of(score, not_shown="the worker was killed")
    assert "What this report lacks" not in page_of(score)


def test_a_report_says_how_many_replays_it_is_of_and_why_no_more_followed() -> None:
    score = Score("accuracy", 0.7, 0.6, 0.8, 100, 0.75)
    whole = page_of(score, replays=3, stopped="600 requests do not fit into 5s")
    assert "up to 3 replays each" in whole
    assert "latency and failed requests of all, the rest of the first; 600 requests do not fit into 5s" in whole
    assert "as far as 3 replays can show" in whole
    assert "one replay each" in page_of(score)
    report = Report(assignment(), seen(0, 0), (), replays=3, stopped="why")
    (told,) = json.loads(FORMATS["json"]([report]))["watches"]
    assert (told["replays"], told["stopped"]) == (3, "why")


def test_a_report_holds_no_secret_of_an_address() -> None:
    page = page_of(Score("accuracy", 0.7, 0.6, 0.8, 100, 0.75), url="https://h/api?code=hunter2")
    assert "https://h/api" in page
    assert "hunter2" not in page


@pytest.mark.parametrize(("scale", "bins"), [(1.0, True), (9.0, False)])
def test_there_is_a_calibration_only_of_probabilities(scale: float, bins: bool) -> None:
    golden = GoldenSet.open(DIGITS)
    columns = Columns.create(layout(golden), range(golden.examples))
    try:
        columns.array("outcome")[:] = Outcome.OK
        columns.array("output.probabilities")[:] = scale * golden.tensor("outputs.probabilities")
        request = ExhibitRequest(GoldenPlace(str(DIGITS), golden.digest), (), 0)
        found = exhibit(request, [os.dup(columns.fd)], lambda _: None)
    finally:
        columns.close()
    assert bool(found.calibration) == bins
    assert sum(map(sum, found.confusion)) == golden.examples


def test_what_a_report_cannot_show_costs_no_verdict(tmp_path: Path) -> None:
    of: Any = SimpleNamespace(golden=SimpleNamespace(place=GoldenPlace(str(tmp_path / "gone"), "")), key=("w", "t"))
    columns = Columns.create(layout(GoldenSet.open(DIGITS)), range(600))
    replay: Any = SimpleNamespace(columns=columns)
    judged: Any = judgement(difference=difference())
    workers = Workers()
    shown = Exhibits(workers, 1)
    try:
        shown.take(of, replay, judged)
    finally:
        workers.close()
        columns.close()
    assert shown.of == {}
    assert "gone" in shown.missing["w", "t"]
