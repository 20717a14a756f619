"""The labels that `golden build` is given: the match of texts, class numbers, and what it refuses or notes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.golden.error import GoldenError
from goldwatch.golden.examples import Examples
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.judging_jobs import FreezeExamplesRequest
from goldwatch.worker.evaluators.tasks import reference_problem
from goldwatch.worker.jobs.examples import frozen
from goldwatch.worker.jobs.labels import chance_problem

from tests.commands.test_building import arrays, asked, build, config, lines_of
from tests.language_server import golden_capitals, language_server

SCORES = (("scores", "float32", (12,)),)


def notes(file: Path, to: Path, **more: Any) -> list[str]:
    """Freeze a file of examples without a model, and return the remarks on it."""
    request = FreezeExamplesRequest(Examples(file, "set", "CC0-1.0", "made up", **more), str(to))
    return list(frozen(request, [], lambda _: None).notes)


def of_text(folder: Path, said: dict[str, tuple[str, str]], *options: str) -> Result:
    """Build a set of prompts, each with what the model gives and the right answer."""
    changes = [{"inputs": {"prompt": prompt}, "answers": [right]} for prompt, (_, right) in said.items()]
    with language_server() as server:
        server.answers = {prompt: text for prompt, (text, _) in said.items()}
        file = config(folder, f"{{probe: openai, url: '{server.url}', stream: false}}")
        return build(file, lines_of(folder / "prompts.jsonl", *changes), *options)


@pytest.mark.parametrize(
    ("answers", "match", "why"),
    [
        (["A", "B", "A"], "choice", "every answer is one letter (a 2, b 1)"),
        (["(A)", "b."], "choice", "every answer is one letter (a 1, b 1)"),
        (["5", "-2.9", "1,000", ""], "number", "every answer is a number"),
        (["007", "008"], "contains", "the answers are words, which a longer text may contain"),
        (["5", "five"], "contains", "the answers are words, which a longer text may contain"),
        (['{"a": 1}', "[2]"], "json", "every answer is JSON"),
        (["yes", "no"] * 3, "choice", "6 answers are one of 2 (no 3, yes 3)"),
        (["Paris", "Lima"], "contains", "the answers are words, which a longer text may contain"),
        (["", " "], "exact", "every answer is empty"),
    ],
)
def test_a_match_is_proposed_from_the_answers(tmp_path: Path, answers: list[str], match: str, why: str) -> None:
    changes = [{"inputs": {"prompt": f"{i}?"}, "answers": [answer]} for i, answer in enumerate(answers)]
    assert notes(lines_of(tmp_path / "examples.jsonl", *changes), tmp_path / "set") == [f"match: {match}, {why}"]
    labels = GoldenSet.open(tmp_path / "set").manifest.labels
    assert labels is not None
    assert labels.match == match


def test_a_match_that_answers_cannot_have_is_refused(tmp_path: Path) -> None:
    file = lines_of(tmp_path / "examples.jsonl", {}, {"answers": ["5 m"]})
    with pytest.raises(GoldenError, match='line 1: the answer "yes" is not one number; take --match exact'):
        asked(file, tmp_path / "set", match="number")
    lines_of(file, {"answers": ["(a+"]})
    with pytest.raises(GoldenError, match="is not a regular expression"):
        asked(file, tmp_path / "set", match="regex")


@pytest.mark.slow
def test_an_article_is_no_letter_and_a_note_is_printed(tmp_path: Path) -> None:
    said = {f"{i}?": ("It is a dog.", "A") for i in range(4)}
    result = of_text(tmp_path, said)
    assert result.exit_code == 0, result.output
    assert "match: choice, every answer is one letter (a 4)" in result.stderr
    assert 'accuracy is 0.0000 of 4 examples; no answer matches by "choice"' in result.stderr
    assert "accuracy 0.0000 over 2 replays" in result.stdout


@pytest.mark.slow
def test_numbers_keep_sign_and_point_also_by_another_match(tmp_path: Path) -> None:
    said = {"1?": ("It is -5.", "5"), "2?": ("It is 2.9", "29"), "3?": ("It is 7.", "7"), "4?": ("", "")}
    proposed = of_text(tmp_path, said)
    assert proposed.exit_code == 0, proposed.output
    assert "match: number, every answer is a number" in proposed.stderr
    assert "accuracy 0.5000 over 2 replays" in proposed.stdout
    by_exact = of_text(tmp_path, said, "--match", "exact", "--to", str(tmp_path / "exact"))
    assert by_exact.exit_code == 0, by_exact.output
    assert "match: exact, by --match" in by_exact.stderr
    assert "accuracy 0.2500 over 2 replays" in by_exact.stdout


@pytest.mark.slow
def test_no_answer_may_be_right(tmp_path: Path) -> None:
    said = {"1?": ("", ""), "2?": ("I do not know", ""), "3?": ("It is Lima.", "Lima"), "4?": ("", "Paris")}
    result = of_text(tmp_path, said)
    assert result.exit_code == 0, result.output
    golden = GoldenSet.open(tmp_path / "golden/digits")
    assert golden.tensor("reference.right").tolist() == [[1, 0, 1, 0]] * 2


@pytest.mark.slow
def test_a_pattern_without_end_ends_with_its_name(tmp_path: Path) -> None:
    result = of_text(tmp_path, {"1?": ("a" * 60 + "b", "(a+)+c")}, "--match", "regex")
    assert result.exit_code == 2, result.output
    assert 'the pattern "(a+)+c" took over 1 s on one text; write a simpler one' in result.stderr
    assert not (tmp_path / "golden/digits").exists()


def test_class_numbers_in_text_are_class_numbers(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).permutation(np.arange(24) % 12)
    digests = set()
    for labels in (numbers, numbers.astype(str), numbers.astype(float), numbers.astype(float).astype(str)):
        file = tmp_path / "examples.npz"
        np.savez(file, x=np.arange(48.0).reshape(24, 2), labels=labels)
        digests.add(asked(file, tmp_path / f"set-{labels.dtype}", outputs=SCORES).digest)
    assert len(digests) == 1


@pytest.mark.parametrize("missing", ["nan", "None", "", "N/A"])
def test_a_word_for_a_missing_label_is_refused(tmp_path: Path, missing: str) -> None:
    file = tmp_path / "examples.npz"
    np.savez(file, x=np.zeros((3, 2)), labels=np.array(["cat", missing, "dog"]))
    with pytest.raises(GoldenError) as error:
        asked(file, tmp_path / "set")
    assert f'the label of example 1, "{missing}", ' in str(error.value)
    assert "correct it, or leave out examples without a label" in str(error.value)


def test_a_word_for_a_missing_label_may_be_named_as_a_class(tmp_path: Path) -> None:
    file = tmp_path / "examples.npz"
    np.savez(file, x=np.arange(6.0).reshape(3, 2), labels=np.array(["cat", "None", "dog"]))
    classes = ("None", "cat", "dog")
    golden = asked(file, tmp_path / "set", classes=classes, outputs=(("scores", "float32", (3,)),))
    assert golden.tensor("labels").tolist() == [1, 0, 2]


def test_an_input_with_several_labels_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "examples.npz"
    np.savez(file, x=np.array([[1.0], [2.0], [1.0], [1.0]]), labels=np.array([0, 1, 3, 0]))
    conflict = "1 inputs appear with several labels, such as those of examples 0 and 2; "
    assert notes(file, tmp_path / "set", outputs=SCORES) == [
        f"{conflict}a model that repeats itself is right on at most 75.0%"
    ]
    lines = lines_of(tmp_path / "examples.jsonl", {}, {"answers": ["no"]})
    assert "1 inputs appear with several labels" in notes(lines, tmp_path / "text")[1]


@pytest.mark.parametrize(
    ("accuracy", "counts", "problem", "refused"),
    [
        (0.0, {"a": 50, "b": 50}, "the classes are in another order than the scores", True),
        (0.45, {"a": 50, "b": 50}, 'always answering "a" has 0.5000', False),
        (0.9, {"a": 90, "b": 10}, 'always answering "a" has 0.9000', False),
        (0.99, {"a": 90, "b": 10}, "", False),
        (0.8, {"a": 50, "b": 50}, "", False),
    ],
)
def test_accuracy_is_compared_with_chance(accuracy: float, counts: dict[str, int], problem: str, refused: bool) -> None:
    found, refuse = chance_problem(accuracy, 100, counts)
    assert (problem in found, bool(found), refuse) == (True, bool(problem), refused)


@pytest.mark.slow
def test_a_model_below_chance_is_refused_and_one_of_the_commonest_class_noted(tmp_path: Path) -> None:
    shipped = arrays(tmp_path)
    labels = np.load(shipped)["labels"]
    below = build(config(tmp_path), arrays(tmp_path, labels=(labels + 1) % 10))
    assert below.exit_code == 2, below.output
    assert "guessing among 10 classes has 0.1000" in below.stderr
    assert not (tmp_path / "golden/digits").exists()
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\ndef answer(request):\n    return np.eye(2, dtype=np.float32)[request['x'] * 0]\n"
    )
    file = tmp_path / "examples.npz"
    np.savez(file, x=np.arange(40), labels=np.arange(40) % 4 // 3)
    target = f"{{probe: python, path: {tmp_path}, callable: 'mine:answer', outputs: [scores]}}"
    common = build(config(tmp_path, target), file, "--output", "scores:float32:2")
    assert common.exit_code == 0, common.output
    assert 'accuracy is 0.7500 of 40 examples; always answering "0" has 0.7500' in common.stderr


@pytest.mark.slow
def test_an_older_set_of_text_works_if_its_counts_hold(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    golden_capitals(tmp_path / "golden/digits")
    manifest = tmp_path / "golden/digits/golden.json"
    found = json.loads(manifest.read_text())

    def check(**changes: Any) -> Result:
        manifest.write_text(json.dumps(found | {"format": 2} | changes))
        with language_server() as server:
            file = config(tmp_path, f"{{probe: openai, url: '{server.url}', stream: false}}")
            return CliRunner().invoke(app, ["check", str(file)])

    holds = check()
    assert holds.exit_code == 0, holds.output
    moving = check(reference={"replays": [1, 1], "deterministic": False})
    refused = "by the text match of format 2, which ignored signs and decimal points; take a new reference with"
    assert moving.exit_code != 0
    assert f"{refused} `goldwatch golden calibrate`" in " ".join(moving.output.split())
    # "It is Paris." is not Paris, and was counted as right.
    manifest.write_text(json.dumps(found | {"format": 2, "labels": {"match": "exact"}}))
    assert refused in reference_problem(GoldenSet.open(manifest.parent))
