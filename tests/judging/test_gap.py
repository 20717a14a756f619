"""The objective of a gap from the golden set to the metrics: of right answers, and of a score of the config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.core.gap import Gap
from goldwatch.core.judgement import Judgement, State, Validity, Verdict
from goldwatch.core.kinds import GAP
from goldwatch.export import catalogue as c
from goldwatch.export.measurement import of_judgement
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.judging_jobs import JudgeRequest, RehearseRequest, SensitivityRequest
from goldwatch.worker.evaluators.slices import Slicing
from goldwatch.worker.jobs.judge import judge, rehearse
from goldwatch.worker.jobs.sensitivity import sensitivity
from goldwatch.worker.monitors.gap import GapMonitor, GapObjective
from goldwatch.worker.monitors.past import ReplayRecord

from tests.judging.test_judge import FACTS, N, by_monitor, composed, place_of
from tests.judging.test_scores import KIND, LINES, RUDE, TEXTS, calibrated, checks, plain, replayed, score

__all__ = ["checks", "plain"]

LAST, WRONG, SMALL = N // 2, "Rome", 3
"""The examples of either half, and an answer that is not right, and a small group."""


def watched(
    golden: GoldenSet, texts: Sequence[str], scores: Sequence[dict[str, Any]] = (), **gap: Any
) -> tuple[Judgement, Verdict]:
    request = JudgeRequest(place_of(golden), settings(scores, **gap), FACTS, {})
    found = composed(replayed(golden, texts, lambda fd: judge(request, [fd], lambda _: None)))
    return found, by_monitor(found)["gap"]


def settings(scores: Sequence[dict[str, Any]] = (), **gap: Any) -> dict[str, Any]:
    written = {"score": "accuracy", "slice": "half", "at_most": None, "growth": None} | gap
    return {"accuracy_loss": 0.01, "error_rate": 0.01, "alphas": {"gap": 1e-6}, "scores": scores, "gap": written}


@pytest.mark.parametrize("limit", [{"at_most": 0.1}, {"growth": 0.1}])
def test_right_answers_of_one_half_alone(plain: GoldenSet, limit: dict[str, Any]) -> None:
    found, verdict = watched(plain, [WRONG] * LAST + [KIND] * LAST, **limit)
    assert found.findings.gap == Gap("accuracy", "half", 1.0, "second", "first", 0.0, 1.0)
    assert (verdict.state, verdict.monitor) == (State.SUSPECT, GAP.name)
    assert verdict.evidence is not None
    assert verdict.evidence > 2  # a regression at the gate
    assert verdict.summary.startswith("accuracy is 0.0000 for half=first and 1.0000 for second: 100 points ")
    shown = {m.metric: (m.value, m.labels["slice"]) for m in of_judgement(found) if "gap" in m.metric.name}
    assert shown == {c.SLICE_GAP: (1.0, "half"), c.SLICE_GAP_REFERENCE: (0.0, "half")}
    _, verdict = watched(plain, [WRONG] * N, **limit)
    assert verdict.state is State.STEADY


def test_a_group_that_is_hardly_known_is_unknown(checks: Path, tmp_path: Path) -> None:
    """A twelfth of the examples have no value, so the score is known, but not that of the small group."""
    tensors = {"reference.right": np.full((2, N), 10), "slices.half": (np.arange(N) >= SMALL).astype(np.int64)}
    golden = freeze(tmp_path / "small", TEXTS, tensors, LINES)
    limit: dict[str, Any] = {"score": "kind", "at_most": 0.1}
    before, verdict = watched(golden, [KIND] * N, [score(checks)], **limit)
    assert verdict.state is State.STEADY
    found, verdict = watched(golden, ["silence"] * SMALL + [KIND] * (N - SMALL), [score(checks)], **limit)
    assert "kind" in {each.name for each in found.findings.scores}
    assert (verdict.state, found.findings.gap) == (State.UNKNOWN, None)
    assert verdict.summary == "not known: 0 of 3 examples of half=first have a value of kind"
    exporter = PrometheusExporter()
    for judgement, exported in ((before, True), (found, False)):
        exporter.publish(of_judgement(judgement))
        assert (b"goldwatch_slice_gap{" in exporter.render()[0]) == exported


def test_half_of_a_group_is_too_few() -> None:
    codes, right = np.repeat([0, 1], (4, 36)), np.ones(N, np.bool_)
    cut = Slicing(codes, ("few", "many"))
    monitor = GapMonitor(GapObjective("accuracy", "size", at_most=0.1), cut, np.ones(N), 1e-6)
    for missing in range(5):
        record = ReplayRecord(0.0, Validity.VALID, right=right, answered=np.arange(N) >= missing)
        assert (monitor.recall(record) is None) == (missing >= 2)


def test_a_score_of_the_config(checks: Path, plain: GoldenSet, tmp_path: Path) -> None:
    rude = [RUDE] * LAST + [KIND] * LAST
    found, verdict = watched(plain, rude, [score(checks)], score="kind", at_most=0.1)
    assert found.findings.gap == Gap("kind", "half", 1.0, "second", "first")
    assert verdict.state in (State.SUSPECT, State.ALERTING)
    silent, verdict = watched(plain, ["silence"] * LAST + [KIND] * LAST, [score(checks)], score="kind", at_most=0.1)
    assert silent.findings.gap is None
    assert verdict.state is State.UNKNOWN
    assert verdict.summary.startswith("not known: kind has no value: example 0")
    frozen = calibrated(plain, tmp_path, [rude] * 6, [score(checks)])
    found, verdict = watched(frozen, rude, [score(checks)], score="kind", growth=0.1)
    assert found.findings.gap == Gap("kind", "half", 1.0, "second", "first", 1.0, 0.0)
    assert verdict.state is State.STEADY
    _, verdict = watched(frozen, [KIND] * LAST + [RUDE] * LAST, [score(checks)], score="kind", growth=0.1)
    assert "kind is 0.0000 for half=second and 1.0000 for first: 200 points further apart" in verdict.summary


@pytest.mark.parametrize(
    ("gap", "says"),
    [
        ({"slice": "age", "at_most": 0.1}, "objectives.gap.slice: the golden set has no slice age; it has half"),
        ({"score": "kind", "growth": 0.1}, "objectives.gap: the golden set has no reference of kind; take one with"),
    ],
)
def test_what_cannot_be_watched_is_refused(checks: Path, plain: GoldenSet, gap: dict[str, Any], says: str) -> None:
    answer = rehearse(RehearseRequest(place_of(plain), settings([score(checks)], **gap)), [], lambda _: None)
    assert answer.problem.startswith(says)


def test_accuracy_needs_labels(plain: GoldenSet, tmp_path: Path) -> None:
    manifest = {key: value for key, value in TEXTS.items() if key != "labels"}
    lines = [{key: line[key] for key in ("inputs", "outputs")} for line in LINES]
    tensors = {"reference.right": np.full((2, N), 10), "slices.half": np.arange(N) * 2 // N}
    bare = freeze(tmp_path / "bare", manifest, tensors, lines)
    answer = rehearse(RehearseRequest(place_of(bare), settings(at_most=0.1)), [], lambda _: None)
    assert answer.problem.startswith("objectives.gap.score: accuracy needs labels, and the golden set has none")


@pytest.mark.parametrize("times", [1, 4])
def test_what_it_would_notice(plain: GoldenSet, times: int) -> None:
    request = SensitivityRequest(place_of(plain), settings(at_most=0.1), N, 50, declared_only=False, copies=times)
    notices = sensitivity(request, [], lambda _: None).notices
    assert [(n.effect, n.declared) for n in notices] == [
        ("accuracy of half=first is 20 points below others, the same examples", True),
        ("accuracy of half=first is 20 points below others, at random", False),
        ("accuracy of half=first is 40 points below others, at random", False),
    ]
    assert all(n.replays is not None for n in notices)


def test_a_score_that_is_usually_low_rises(checks: Path, plain: GoldenSet, tmp_path: Path) -> None:
    frozen = calibrated(plain, tmp_path, [[RUDE] * N] * 6, [score(checks)])
    set_up = settings([score(checks)], score="kind", at_most=0.1)
    request = SensitivityRequest(place_of(frozen), set_up, N, 50, declared_only=False, copies=1)
    notices = sensitivity(request, [], lambda _: None).notices
    assert [n.effect for n in notices] == [
        "kind of half=first is 20 points above others",
        "kind of half=first is 40 points above others",
    ]
    assert all(n.replays is not None for n in notices)
