"""Evaluators that other projects wrote, as they are installed, and the example of docs/scores.md."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldwatch.config.written import ConfigFile
from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.evaluators.opened import BadScore, Evaluator

DOCS = (Path(__file__).parents[2] / "docs/scores.md").read_text()


def score(uses: str, given: dict[str, Any], **values: Any) -> float:
    """Give each parameter what its role has."""
    evaluator = Evaluator(ScoreSpec("theirs", uses, **values))
    return evaluator({parameter: given[source] for parameter, source in evaluator.takes.items()})


@pytest.mark.parametrize(
    ("package", "name", "value"),
    [
        ("autoevals", "Levenshtein", 10 / 11),
        ("autoevals", "ExactMatch", 0.0),
        ("autoevals", "NumericDiff", None),
        ("jiwer", "wer", 0.5),
        ("jiwer", "cer", 0.1),
    ],
)
def test_scores_of_one_example_run_as_they_are(package: str, name: str, value: float | None) -> None:
    pytest.importorskip(package)
    numbers = value is None
    given = {"output": 10, "expected": 8} if numbers else {"output": "hello world", "expected": "hello worl"}
    found = score(f"{package}:{name}", given)
    assert 0.8 < found < 1 if value is None else found == pytest.approx(value)


def test_a_sentence_score_takes_what_takes_says() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    takes = {"hypothesis": "output", "references": "answers"}
    given = {"output": "a cat sat", "answers": ["the cat sat"]}
    found = score("sacrebleu:sentence_chrf", given, takes=takes, scale=(0.0, 100.0))
    assert found == pytest.approx(sacrebleu.sentence_chrf("a cat sat", ["the cat sat"]).score)


def test_a_metric_of_scikit_learn_is_one_of_the_whole_replay() -> None:
    given = {"expected": ["a", "b", "a", "c"], "output": ["a", "b", "b", "c"]}
    options = {"average": "macro"}
    found = score("sklearn.metrics:f1_score", given, over="replay", options=options)
    assert found == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_the_example_of_the_docs_is_a_complete_score(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n# evaluators/manners.py\n(.*?)```", DOCS, re.DOTALL)
    written = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)[0])
    (tmp_path / "manners.py").write_text(code)
    entry = written["scores"]["polite"]
    try:
        evaluator = Evaluator(ScoreSpec("polite", entry["uses"], path=str(tmp_path)))
        assert [evaluator({"output": text}) for text in ("Yes, please.", "No.")] == [1.0, 0.0]
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("manners", None)
    rest = {"targets": {"t": {"probe": "openai"}}, "golden": {"support": {"path": "g"}}}
    config = ConfigFile.model_validate(rest | written)
    assert config.watches["support"].scores == ("polite",)
    assert config.watches["support"].objectives.scores["polite"].loss == 0.02


FACTORIES = """
def make(limit: int):
    def short(output: str) -> bool:
        return len(output) <= limit
    return short

class Metric:
    def compute(self, predictions=None, references=None):
        return {"same": float(predictions == references)}

def load(path: str):
    if path == "mistyped":
        raise FileNotFoundError("no metric at mistyped")
    return Metric()

def counted(**given) -> float:
    return given["n"] / 10

def constant() -> float:
    return 1.0
"""


def test_a_function_may_make_the_evaluator(tmp_path: Path) -> None:
    (tmp_path / "factories.py").write_text(FACTORIES)
    options: dict[str, Any] = {"path": str(tmp_path)}
    try:
        assert score("factories:make", {"output": "abc"}, options={"limit": 3}, **options) == 1
        takes = {"predictions": "output", "references": "expected"}
        given = {"output": "a", "expected": "a"}
        assert score("factories:load", given, options={"path": "x"}, takes=takes, **options) == 1
        with pytest.raises(BadScore, match=r"factories:load, called .*: FileNotFoundError: no metric at mistyped"):
            score("factories:load", given, options={"path": "mistyped"}, **options)
        assert score("factories:counted", {"output": 5}, takes={"n": "output"}, **options) == 0.5
        with pytest.raises(BadScore, match="takes no argument by name"):
            score("factories:constant", {}, **options)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["factories"]
