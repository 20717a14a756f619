"""A score with a judge, from the golden set to the report: a model whose answers lose their ground."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.core.judgement import State, Verdict
from goldwatch.daemon import pipeline
from goldwatch.daemon.in_force import prepare
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers

from tests.judge_server import MODEL, JudgeServer, judge_server
from tests.language_server import LanguageServer, language_server

pytestmark = pytest.mark.slow

CONFIG = """\
targets:
  capitals: {{probe: openai, url: '{model}', stream: false}}
  referee: {{probe: openai, url: '{judge}', model: {name}, stream: false}}
golden: {{capitals: ./golden}}
scores: {{grounded: {{judge: {{target: referee, prompt: relevance, controls: 20}}}}}}
watches:
  capitals:
    target: capitals
    every: 1d
    load: {{warmup: 0, repeats: 0}}
    scores: [grounded]
    objectives: {{accuracy: no worse than 90 points, errors: 30%, scores: {{grounded: no worse than 0.2}}}}
"""
WHO = ("--name", "capitals", "--licence", "CC0-1.0", "--source", "made up", "--replays", "4", "--match", "contains")
PROMPTS = [f"Where is museum {number}?" for number in range(40)]
GOOD, BAD, UNSURE = "Paris, by the river.", "Paris? Bananas.", "Paris, or Rome?"

Run = Callable[..., Result]


@pytest.fixture
def servers() -> Iterator[tuple[LanguageServer, JudgeServer]]:
    with language_server() as model, judge_server() as judge:
        model.answers = dict.fromkeys(PROMPTS, GOOD)
        judge.says = lambda text: "Score: 1" if "Bananas" in text else "Score: 5"
        yield model, judge


@pytest.fixture
def run(tmp_path: Path, servers: tuple[LanguageServer, JudgeServer]) -> Run:
    """Run a command on the config of a golden set that is built from the good model."""
    model, judge = servers
    lines: list[dict[str, Any]] = [{"inputs": {"prompt": prompt}, "answers": ["Paris"]} for prompt in PROMPTS]
    for line, answer, grade in zip([0, 1, 1], [GOOD, BAD, UNSURE], [5, 4, 1], strict=True):
        lines[line].setdefault("human", []).append({"answer": answer, "grades": {"grounded": grade}})
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = tmp_path / "goldwatch.yaml"
    config.write_text(CONFIG.format(model=model.url, judge=judge.url, name=MODEL))

    def run(*command: str, options: tuple[str, ...] = ()) -> Result:
        return CliRunner().invoke(app, [*command, str(config), *options])

    built = run("golden", "build", options=(str(tmp_path / "prompts.jsonl"), *WHO))
    assert built.exit_code == 0, built.output
    return run


def test_a_judge_that_changes_is_not_a_model_that_is_worse(
    run: Run, servers: tuple[LanguageServer, JudgeServer]
) -> None:
    model, judge = servers
    model.answers = {prompt: f"{GOOD} {i}" for i, prompt in enumerate(PROMPTS)}  # as good, and not judged before
    judge.says = lambda _: "Score: 2"
    found = json.loads(run("check", options=("--format", "json")).stdout)["watches"][0]
    finding = next(f for f in found["findings"] if f["objective"] == "grounded")
    assert finding["result"] == "could not measure"
    assert (
        "its judge has changed: the judge gives its controls 2 on average, 5 when the set was frozen"
        in finding["reason"]
    )
    assert "grounded" not in {score["name"] for score in found["scores"]}

    judge.says = lambda _: "Score: 5"  # rolled back: what it said meanwhile is forgotten
    found = json.loads(run("check", options=("--format", "json")).stdout)["watches"][0]
    assert {score["name"]: score["value"] for score in found["scores"]}["grounded"] == 5


def test_a_judged_score_is_frozen_and_checked(
    run: Run, servers: tuple[LanguageServer, JudgeServer], tmp_path: Path
) -> None:
    model, judge = servers
    golden = GoldenSet.open(tmp_path / "golden")
    assert golden.tensor("reference.scores.grounded").tolist() == [[1.0] * 40] * 4
    assert (golden.manifest.reference.scores or {})["grounded"].startswith(f"judge {MODEL} relevance ")
    # the same answers are not judged again, each control 25 times, and three answers that people have graded
    assert judge.calls == 40 + 25 * 20 + 3
    asked = [body["messages"][-1]["content"] for body in judge.bodies]
    assert sum(UNSURE in text for text in asked) == 1 + 25 * 10  # as a foil
    assert golden.tensor("reference.controls.grounded").shape == (25, 20)
    shown = CliRunner().invoke(app, ["golden", "show", str(golden.path)]).stdout
    assert "grounded: 20 controls, graded 25 times" in shown
    assert "grounded: agrees with people on 1 of 3 answers" in shown

    def check() -> tuple[str, str]:
        found = json.loads(run("check", options=("--format", "json")).stdout)["watches"][0]["findings"]
        finding = next(f for f in found if f["objective"] == "grounded")
        return finding["result"], finding["reason"]

    before = judge.calls
    assert check()[0] == "pass"
    assert judge.calls == before + 40 + 20  # the judge of a reference is asked anew, as is that of another set
    people = "agrees with people on 1 of 3 answers (kappa -0.50), calls 1 of 1 bad ones good, 1 of 2 good ones bad"
    assert people in run("check").stdout
    assert judge.calls == before + 40 + 20 + 20  # the controls alone
    before, judge.overloads = judge.calls, 3
    assert check()[0] == "pass"
    assert judge.calls == before + 20 + 3  # each control has a grade
    model.answers = dict.fromkeys(PROMPTS, BAD)
    assert check() == ("regression", "5.0000 -> 1.0000, no worse than 0.2")

    model.answers = {prompt: f"{BAD} {i}" for i, prompt in enumerate(PROMPTS)}
    judge.says = lambda _: "I would rather not say."
    result, reason = check()
    assert (result, "the judge gave no grade" in reason) == ("could not measure", True), reason
    judge.status = 400
    result, reason = check()
    assert (result, "the judge referee did not answer" in reason) == ("could not measure", True), reason

    config = tmp_path / "goldwatch.yaml"
    config.write_text(config.read_text().replace("controls: 20", "controls: 90"))
    refused = run("check")
    assert "judge.controls: found 90, and the golden set has 20 frozen; write 20, or take a new" in refused.stderr
    refused = run("golden", "calibrate", options=("--to", str(tmp_path / "again")))
    assert "judge.controls: found 90; expected 80 or fewer, two for each of the 40 examples" in refused.stderr

    config.write_text(config.read_text().replace("prompt: relevance", "prompt: fluency"))
    refused = run("check")
    assert refused.exit_code == 3, refused.output
    assert "scores.grounded: the reference of capitals@" in refused.stderr


def test_the_monitor_of_a_judge_says_what_it_knows(
    run: Run, servers: tuple[LanguageServer, JudgeServer], tmp_path: Path, workers: Workers
) -> None:
    """After a replay that only confirms, that is what it knew before; where the judge is down, that, with the error.

    A backtest of a table has nothing for it.
    """
    _, judge = servers
    [assignment] = prepare(tmp_path / "goldwatch.yaml", workers).assignments

    def said(states: Mapping[str, Any], *, confirming: bool = False) -> tuple[Verdict, Mapping[str, Any]]:
        found = pipeline.run(assignment, workers, states, confirming=confirming)
        return next(v for v in found.judgement.verdicts if v.monitor == "judge:grounded"), found.states

    first, states = said({})
    assert first.state is State.STEADY
    calls = judge.calls
    confirmed, same = said(states, confirming=True)
    assert (confirmed.state, same, judge.calls) == (State.STEADY, states, calls)
    judge.status = 400
    down, _ = said(states)
    assert down.state is State.UNKNOWN
    assert "too few controls of grounded have a grade: control 0: the judge referee did not answer" in down.summary

    (tmp_path / "history.csv").write_text("at,right,answered\n1790000000,40,40\n")
    played = run("backtest", options=("--history", str(tmp_path / "history.csv"), "--json"))
    assert played.exit_code == 0, played.output
    alerts = json.loads(played.stdout)["alerts"]  # a table of counts knows of no judge
    assert (alerts["worse"], alerts["worse:grounded"], alerts["judge:grounded"]) == ([], None, None)


def test_a_new_reference_is_that_of_the_judge_of_today(
    run: Run, servers: tuple[LanguageServer, JudgeServer], tmp_path: Path
) -> None:
    _, judge = servers
    assert run("check").exit_code == 0
    judge.says = lambda _: "Score: 3"
    frozen = run("golden", "calibrate", options=("--to", str(tmp_path / "again"), "--replays", "2"))
    assert frozen.exit_code == 0, frozen.output
    assert GoldenSet.open(tmp_path / "again").tensor("reference.scores.grounded").tolist() == [[0.5] * 40] * 2
    config = tmp_path / "goldwatch.yaml"
    config.write_text(config.read_text().replace("./golden", "./again"))
    found = json.loads(run("check", options=("--format", "json")).stdout)["watches"][0]
    assert {score["name"]: score["value"] for score in found["scores"]}["grounded"] == 3
