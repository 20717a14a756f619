"""The judge over the answers of a language model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.core.judgement import Passed, State, Validity, Verdict
from goldwatch.core.outcome import Outcome
from goldwatch.golden.freeze import freeze
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.judging_jobs import JudgeRequest
from goldwatch.worker.evaluators.text import chrf
from goldwatch.worker.jobs.judge import judge
from goldwatch.worker.jobs.opening import layout

from tests.judging.test_judge import FACTS, MANIFEST, SETTINGS, N, by_monitor, composed, place_of

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")


def sampled(rng: np.random.Generator, lost: float) -> list[str]:
    """Answer as a language model that samples: eight words, each another one with probability 0.1 + `lost`."""
    texts = []
    for _ in range(N):
        swapped = rng.random(len(WORDS)) < 0.1 + lost
        texts.append(" ".join("xyzzy" if other else word for word, other in zip(WORDS, swapped, strict=True)))
    return texts


def test_a_language_model_that_samples_is_judged_by_scores_against_its_own_usual(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    reference = " ".join(WORDS)
    scores = [[chrf(text, reference) for text in sampled(rng, 0)] for _ in range(8)]
    manifest = {k: v for k, v in MANIFEST.items() if k not in ("labels", "slices")} | {
        "task": "generation",
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0}},
        "reference": {"replays": [4, 4], "deterministic": False, "keeps": ["scores"]},
    }
    kept = np.array(scores, dtype=np.float32)
    tensors: dict[str, Any] = {"reference.right": np.zeros((2, N), np.int64), "reference.scores": kept}
    lines = [{"inputs": {"prompt": "?"}, "outputs": {"text": reference}}] * N
    golden = freeze(tmp_path / "poems", manifest, tensors, lines)
    settings = {"accuracy_loss": 0.05, "error_rate": 0.01, "alphas": {"worse": 1e-5, "failing": 1e-5}}
    states: dict[str, Any] = {}

    def replayed(lost: float) -> Verdict:
        columns = Columns.create(layout(golden), range(N))
        columns.array("outcome")[:] = Outcome.OK
        columns.array("output.text")[:] = [text.encode() for text in sampled(rng, lost)]
        request = JudgeRequest(place_of(golden), settings, FACTS, states)
        try:
            answer = judge(request, [os.dup(columns.fd)], lambda _: None)
        finally:
            columns.close()
        states.update(answer.states)
        return by_monitor(composed(answer))["worse"]

    assert {replayed(lost=0).state for _ in range(20)} == {State.STEADY}
    damaged = next(verdict for verdict in (replayed(lost=0.4) for _ in range(20)) if verdict.state is State.ALERTING)
    assert damaged.summary.startswith("mean score")


@pytest.mark.parametrize(("words", "passed"), [(8, Passed.NO), (10, Passed.YES)])
def test_answers_of_a_language_model_that_shrink_are_a_finding_and_pairs_are_judged(
    tmp_path: Path, words: int, passed: Passed
) -> None:
    manifest = {k: v for k, v in MANIFEST.items() if k not in ("labels", "slices")} | {
        "task": "generation",
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0}},
    }
    lines = [{"inputs": {"prompt": "?"}, "outputs": {"text": "word " * 10}}] * N
    golden = freeze(tmp_path / "poems", manifest, {"reference.right": np.full((2, N), 10)}, lines)
    columns = Columns.create(layout(golden), range(N))
    columns.array("outcome")[:] = Outcome.OK
    columns.array("output.text")[:] = [b"word " * words] * N
    facts = replace(FACTS, pairs_s=((0.05, 0.002),) * 12)
    try:
        answer = judge(JudgeRequest(place_of(golden), SETTINGS, facts, {}), [os.dup(columns.fd)], lambda _: None)
    finally:
        columns.close()
    found = composed(answer)
    assert {check.name: check.passed for check in found.findings.checks} == {"repeats": Passed.NO, "lengths": passed}
    assert found.findings.validity is Validity.VALID
