"""A language model that samples long answers, from `golden build` to the alert, over HTTP on loopback."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.core.judgement import Judgement, Verdict
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.pipeline import run
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers

from tests.loopback import JsonHandler, serving

pytestmark = pytest.mark.slow

PROMPTS = 100
FILLERS = ("well", "since", "one", "may", "consider", "that", "many", "reasons", "speak", "for", "it", "in", "general")
OTHER = ("qq", "zz", "xx", "vv", "kk", "jj", "ww", "yy")
CONFIG = """\
targets: {{m: {{probe: openai, url: "{url}", model: m}}}}
golden: {{g: {{path: ./{golden}}}}}
watches: {{w: {{golden: g, every: 5m, objectives: {{accuracy: no worse than 5 points{objectives}}}}}}}
"""


class Sampler:
    """The model behind the server: `right` of its answers have the word that counts, among words drawn at random."""

    def __init__(self) -> None:
        self.url, self.right = "", 1.0
        self.words: tuple[str, ...] = FILLERS
        self._random = random.Random(16)

    def answer(self, question: str) -> str:
        """Return 43 words, the answer to the question among the first."""
        word = f"answer{question.rsplit(maxsplit=1)[-1]}" if self._random.random() < self.right else "nonsense"
        return f"It is {word}, " + " ".join(self._random.choice(self.words) for _ in range(40)) + "."


@pytest.fixture
def model() -> Iterator[Sampler]:
    with sampling() as served:
        yield served


@contextmanager
def sampling() -> Iterator[Sampler]:
    served = Sampler()

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer({"object": "list", "data": [{"id": "m", "owned_by": "test"}]})

        def do_POST(self) -> None:
            body = self.received()
            text = served.answer(body["messages"][-1]["content"])
            self.answer({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served.url = f"http://127.0.0.1:{http.server_port}/v1"
        with serving(http):
            yield served


def config(folder: Path, model: Sampler, golden: str = "golden", objectives: str = "") -> Path:
    file = folder / f"{golden}.yaml"
    file.write_text(CONFIG.format(url=model.url, golden=golden, objectives=objectives))
    return file


def goldwatch(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def built(folder: Path, model: Sampler, replays: int, labelled: bool = True, objectives: str = "") -> Path:
    """Return the config of a set that was built from the model as it is."""
    examples, file = folder / "examples.jsonl", config(folder, model, objectives=objectives)
    lines = (
        {"inputs": {"prompt": f"Word {i}"}} | ({"answers": [f"answer{i}"]} if labelled else {}) for i in range(PROMPTS)
    )
    examples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    who = ["--name", "g", "--licence", "CC0-1.0", "--source", "made up", "--replays", replays]
    result = goldwatch("golden", "build", file, examples, *who)
    assert result.exit_code == 0, result.output
    return file


def watched(file: Path, workers: Workers, replays: int, states: Mapping[str, Any]) -> tuple[list[Judgement], Any]:
    """Replay and judge as the agent does, with the monitors' states."""
    (assignment,) = prepare(file, workers).assignments
    found = []
    for _ in range(replays):
        judged = run(assignment, workers, states)
        states = judged.states
        found.append(judged.judgement)
    return found, states


def verdict(judgement: Judgement, monitor: str) -> Verdict:
    return next(v for v in judgement.verdicts if v.monitor == monitor)


def notices(file: Path, monitor: str) -> dict[str, int | None]:
    (watch,) = json.loads(goldwatch("explain-budget", file, "--json").stdout)["watches"]
    return {n["effect"]: n["replays"] for n in watch["notices"] if n["monitor"] == monitor}


def test_where_there_are_labels_a_loss_of_accuracy_pages_and_explain_budget_states_it(
    tmp_path: Path, model: Sampler, workers: Workers
) -> None:
    file = built(tmp_path, model, replays=4)
    assert GoldenSet.open(tmp_path / "golden").tensor("reference.scores").mean() < 0.1  # of 43 words, two count
    effects = notices(file, "worse")
    assert all("accuracy" in effect for effect in effects)
    after = effects["20 points of accuracy are lost, at random"]
    assert after is not None
    assert after <= 3
    judgements, states = watched(file, workers, 3, {})
    assert {str(verdict(j, "worse").state) for j in judgements} == {"steady"}
    model.right = 0.8
    judgements, _ = watched(file, workers, 3, states)
    paged = next(v for v in (verdict(j, "worse") for j in judgements) if v.state == "alerting")
    assert (str(paged.severity), paged.summary.startswith("accuracy 0.")) == ("page", True)


def test_the_reference_is_the_mean_of_its_replays_at_the_gate_and_in_calibrate(tmp_path: Path, model: Sampler) -> None:
    model.right = 0.69
    file = built(tmp_path, model, replays=6)
    golden = GoldenSet.open(tmp_path / "golden")
    same = goldwatch("check", file, "--format", "json")
    (watch,) = json.loads(same.stdout)["watches"]
    assert same.exit_code == 0, same.output
    reference = {score["name"]: score["reference"] for score in watch["scores"]}
    assert reference["accuracy"] == pytest.approx(golden.tensor("reference.right").sum() / 600)
    assert reference["token_f1"] == pytest.approx(golden.tensor("reference.scores").mean())
    assert reference["chrf"] == pytest.approx(1 - golden.tensor("reference.distances").mean())
    assert reference["agreement"] == 0
    for run_ in range(2):
        again = goldwatch("golden", "calibrate", file, "--replays", 2, "--to", tmp_path / f"again{run_}")
        assert again.exit_code == 0, again.output
    model.right = 0.43
    lost = goldwatch("check", file)
    assert (lost.exit_code, "regression" in lost.stdout) == (1, True), lost.output
    other = goldwatch("golden", "calibrate", file, "--replays", 2, "--to", tmp_path / "other")
    assert (other.exit_code, "this is not the model of g@" in other.stderr) == (2, True), other.output


def test_without_labels_worthless_answers_are_seen_by_the_score_and_by_the_distance(
    tmp_path: Path, model: Sampler, workers: Workers
) -> None:
    file = built(tmp_path, model, replays=4, labelled=False, objectives=", outputs: 5%")
    assert notices(file, "worse")["50% of answers become worthless"] in (1, 2)
    assert notices(file, "moved")["outputs are 10% further from the reference"] is not None
    judgements, states = watched(file, workers, 3, {})
    assert {str(v.state) for j in judgements for v in j.verdicts} == {"steady"}
    assert goldwatch("check", file).exit_code == 0
    model.words = OTHER
    judgements, _ = watched(file, workers, 2, states)
    assert {m: str(verdict(judgements[-1], m).state) for m in ("worse", "moved")} == dict.fromkeys(
        ("worse", "moved"), "alerting"
    )
    gate = json.loads(goldwatch("check", file, "--format", "json").stdout)["watches"][0]
    assert {f["objective"]: f["result"] for f in gate["findings"]} == {
        "accuracy": "regression",
        "errors": "pass",
        "outputs": "regression",
    }
