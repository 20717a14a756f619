"""The judge over scores that a watch names: columns, references, slices, monitors, and what could not be scored."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.core.judgement import Judgement, State, Verdict
from goldwatch.core.outcome import Outcome
from goldwatch.core.score_spec import ScoreSpec, specs_of
from goldwatch.golden.facts import GoldenPlace
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.judging_jobs import FreezeRequest, JudgeRequest, KeepRequest, RehearseRequest, SensitivityRequest
from goldwatch.worker.evaluators.opened import opened
from goldwatch.worker.jobs.calibrate import frozen, keep
from goldwatch.worker.jobs.judge import judge, rehearse
from goldwatch.worker.jobs.opening import layout
from goldwatch.worker.jobs.sensitivity import sensitivity

from tests.judging.test_judge import FACTS, MANIFEST, N, by_monitor, composed, place_of

CHECKS = """
def kind(output, question, tone):
    if output == "silence":
        return None
    return "please" in output

def size(output):
    return len(output)

def share(output, expected):
    if "silence" in output:
        raise ValueError("too quiet")
    return sum("please" in text for text in output) / len(expected)
"""
KIND, RUDE = "Paris, please", "Paris"
LINES = [
    {"inputs": {"chat": {"question": f"{i}?", "tone": "warm"}}, "outputs": {"text": KIND}, "answers": ["Paris"]}
    for i in range(N)
]

TEXTS: dict[str, Any] = MANIFEST | {
    "task": "generation",
    "inputs": {"chat": {"dtype": "json", "shape": []}},
    "labels": {"match": "contains"},
    "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0, "max_bytes": 64}},
    "slices": {"half": {"values": ["first", "second"]}},
}

Judge = Callable[..., tuple[Judgement, dict[str, Verdict]]]


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("checks")
    (folder / "kindness.py").write_text(CHECKS)
    yield folder
    sys.path.remove(str(folder))
    del sys.modules["kindness"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> GoldenSet:
    tensors = {"reference.right": np.full((2, N), 10), "slices.half": np.arange(N) * 2 // N}
    return freeze(tmp_path_factory.mktemp("golden") / "capitals", TEXTS, tensors, LINES)


def score(checks: Path, name: str = "kind", **values: Any) -> dict[str, Any]:
    spec = {"name": name, "uses": f"kindness:{name}", "path": str(checks), "scale": [0.0, 1.0]}
    return spec | values


def replayed(golden: GoldenSet, texts: Sequence[str], call: Callable[[int], Any]) -> Any:
    columns = Columns.create(layout(golden), range(N))
    try:
        columns.array("outcome")[:] = Outcome.OK
        columns.array("output.text")[:] = [text.encode() for text in texts]
        return call(os.dup(columns.fd))
    finally:
        columns.close()


def judged(
    golden: GoldenSet, texts: Sequence[str], scores: Sequence[dict[str, Any]], states: dict[str, Any] | None = None
) -> tuple[Judgement, dict[str, Verdict]]:
    states = {} if states is None else states
    watched = {f"worse:{s['name']}": 1e-6 for s in scores if {"loss", "limit"} & s.keys()}
    settings = {"accuracy_loss": 0.01, "error_rate": 0.01, "alphas": {"worse": 1e-6, **watched}, "scores": scores}
    request = JudgeRequest(place_of(golden), settings, FACTS, states)
    answer = replayed(golden, texts, lambda fd: judge(request, [fd], lambda _: None))
    states.update(answer.states)
    found = composed(answer)
    return found, by_monitor(found)


def kept(request: KeepRequest, descriptor: int) -> None:
    keep(request, [descriptor], lambda _: None)


def calibrated(
    golden: GoldenSet, folder: Path, replays: Sequence[Sequence[str]], scores: Sequence[dict[str, Any]]
) -> GoldenSet:
    """Freeze the set with a reference of these replays, as `golden calibrate` does."""
    place, specs = GoldenPlace(str(golden.path), golden.digest), specs_of(scores)
    files = tuple(str(folder / f"{i}.safetensors") for i in range(len(replays)))
    for file, texts in zip(files, replays, strict=True):
        request = KeepRequest(place, file, outputs=False, scores=specs)
        replayed(golden, texts, partial(kept, request))
    frozen(FreezeRequest(place, str(folder / "new"), files, "2", scores=specs), [], lambda _: None)
    return GoldenSet.open(folder / "new")


def test_a_score_has_a_mean_an_interval_and_slices(checks: Path, plain: GoldenSet) -> None:
    texts = [KIND] * (N // 2) + [RUDE] * (N // 2)
    found, _ = judged(plain, texts, [score(checks), score(checks, "size", scale=[5, 13])])
    kind, size = found.findings.scores[-2:]
    assert (kind.name, kind.value, kind.n, kind.reference) == ("kind", 0.5, N, None)
    assert kind.low == pytest.approx(0.338, abs=0.01)  # Clopper and Pearson, of 20 among 40
    assert kind.high == pytest.approx(0.662, abs=0.01)
    assert (size.name, size.value, size.scale) == ("size", 9.0, (5, 13))
    assert [(cut.value, cut.right, cut.reference) for cut in kind.slices] == [("first", 1, None), ("second", 0, None)]
    assert [(u.score, dict(u.counts), u.unknown) for u in found.findings.unscored] == [
        ("kind", {}, False),
        ("size", {}, False),
    ]


@pytest.mark.parametrize(("silent", "unknown"), [(N // 10, False), (N // 10 + 1, True)])
def test_an_example_without_a_score_is_not_wrong_and_many_are_unknown(
    checks: Path, plain: GoldenSet, silent: int, unknown: bool
) -> None:
    texts = ["silence"] * silent + [KIND] * (N - silent)
    found, verdicts = judged(plain, texts, [score(checks, limit=0.9)])
    [unscored] = found.findings.unscored
    assert (dict(unscored.counts), unscored.unknown) == ({"no_number": silent}, unknown)
    assert unscored.first == "example 0: gave None; expected a number"
    values = [(s.value, s.n) for s in found.findings.scores if s.name == "kind"]
    assert values == ([] if unknown else [(1.0, N - silent)])
    assert verdicts["worse:kind"].state is (State.UNKNOWN if unknown else State.STEADY)
    if unknown:
        assert verdicts["worse:kind"].summary == "not known: kind has no value: example 0: gave None; expected a number"


def test_a_score_that_falls_below_its_limit_pages_whatever_the_reference(checks: Path, plain: GoldenSet) -> None:
    states: dict[str, Any] = {}
    for _ in range(20):
        _, verdicts = judged(plain, [KIND] * N, [score(checks, limit=0.9)], states)
        assert verdicts["worse:kind"].state is State.STEADY
    _, verdicts = judged(plain, [RUDE] * N, [score(checks, limit=0.9)], states)
    assert verdicts["worse:kind"].state is State.ALERTING
    assert verdicts["worse:kind"].summary == "mean kind 0.0000, at least 0.9000 expected"
    assert verdicts["worse"].state is State.STEADY  # the answers are as right as before


def test_a_score_of_the_whole_replay_has_an_interval_and_a_reference(checks: Path, plain: GoldenSet) -> None:
    whole = score(checks, "share", over="replay")
    found, _ = judged(plain, [KIND, RUDE] * (N // 2), [whole, score(checks)])
    share = found.findings.scores[-1]
    assert (share.name, share.value, share.n, share.reference) == ("share", 0.5, N, 1.0)
    assert (share.low, share.high) == pytest.approx((0.34, 0.66), abs=0.06)
    assert [u.score for u in found.findings.unscored] == ["kind", "share"]
    silent, _ = judged(plain, ["silence"] * N, [whole])
    assert [(dict(u.counts), u.unknown) for u in silent.findings.unscored] == [({"raised": N}, True)]
    assert "share" not in [s.name for s in silent.findings.scores]
    settings = {
        "accuracy_loss": 0.01,
        "error_rate": 0.01,
        "alphas": {"worse": 1e-6},
        "scores": [whole | {"loss": 0.1}],
    }
    request = RehearseRequest(GoldenPlace(str(plain.path), plain.digest), settings)
    assert "has no reference of this score; take one with" in rehearse(request, [], print).problem


def test_a_score_of_the_whole_replay_is_kept_and_watched(checks: Path, plain: GoldenSet, tmp_path: Path) -> None:
    entry = score(checks, "share", over="replay", loss=0.05)
    replays = [[KIND] * (N - i % 3) + [RUDE] * (i % 3) for i in range(200)]
    golden = calibrated(plain, tmp_path, replays, [entry])
    kept = golden.manifest.reference.whole
    assert kept is not None
    assert kept["share"].values == pytest.approx([1 - (i % 3) / N for i in range(200)])
    found, verdicts = judged(golden, [KIND] * N, [entry])
    assert found.findings.scores[-1].reference == pytest.approx(np.mean(kept["share"].values))
    assert verdicts["worse:share"].state is State.STEADY
    states: dict[str, Any] = {}
    seen = [judged(golden, [RUDE] * N, [entry], states)[1]["worse:share"].state for _ in range(60)]
    assert State.ALERTING in seen
    assert State.ALERTING not in seen[:20]  # one bet a replay
    assert judged(golden, ["silence"] * N, [entry])[1]["worse:share"].state is State.UNKNOWN
    other = entry | {"lower_is_better": True}
    settings = {"accuracy_loss": 0.01, "error_rate": 0.01, "alphas": {"worse": 1e-6}, "scores": [other]}
    request = RehearseRequest(GoldenPlace(str(golden.path), golden.digest), settings)
    assert "was scored by another version" in rehearse(request, [], print).problem
    settings |= {"alphas": {"worse:share": 1e-6}, "scores": [entry]}
    sensitive = SensitivityRequest(GoldenPlace(str(golden.path), golden.digest), settings, N, 60, declared_only=False)
    notices = [(n.effect, n.declared) for n in sensitivity(sensitive, [], lambda _: None).notices]
    assert notices == [("share is 10 points worse", True), ("share is 20 points worse", False)]


def test_low_values_may_be_the_good_ones(checks: Path, plain: GoldenSet) -> None:
    size = score(checks, "size", scale=[0, 20], lower_is_better=True, limit=14.0)
    states: dict[str, Any] = {}
    assert judged(plain, [KIND] * N, [size], states)[1]["worse:size"].state is State.STEADY
    for _ in range(2):
        _, verdicts = judged(plain, [KIND + " " * 7] * N, [size], states)
    assert verdicts["worse:size"].state is State.ALERTING
    assert verdicts["worse:size"].summary == "mean size 20.0000, at most 14.0000 expected"


def test_a_reference_is_the_mean_of_all_its_replays_and_a_loss_against_it_pages(
    checks: Path, plain: GoldenSet, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)

    def varied(share: float) -> list[str]:
        return [KIND if kind else RUDE for kind in rng.random(N) < share]

    replays = [varied(0.8) for _ in range(20)]
    entry = score(checks, loss=0.05)
    golden = calibrated(plain, tmp_path, replays, [entry])
    assert golden.manifest.format == 6
    kept = golden.tensor("reference.scores.kind")
    assert kept.tolist() == [[float(text == KIND) for text in texts] for texts in replays]
    golden.check_values()
    states: dict[str, Any] = {}
    for _ in range(30):
        found, verdicts = judged(golden, varied(0.8), [entry], states)
        assert verdicts["worse:kind"].state is State.STEADY
    assert found.findings.scores[-1].reference == pytest.approx(kept.mean())
    assert [cut.reference for cut in found.findings.scores[-1].slices] == pytest.approx(
        [kept[:, : N // 2].mean(), kept[:, N // 2 :].mean()]
    )
    assert any(judged(golden, varied(0.3), [entry], states)[1]["worse:kind"].state is State.ALERTING for _ in range(20))


def test_a_reference_of_another_meaning_is_refused_and_none_is_needed_for_a_limit(
    checks: Path, plain: GoldenSet, tmp_path: Path
) -> None:
    golden = calibrated(plain, tmp_path, [[KIND] * N] * 2, [score(checks)])

    def problem(of: GoldenSet, entry: dict[str, Any]) -> str:
        settings = {"accuracy_loss": 0.01, "error_rate": 0.01, "alphas": {"worse": 1e-6}, "scores": [entry]}
        return rehearse(RehearseRequest(GoldenPlace(str(of.path), of.digest), settings), [], lambda _: None).problem

    assert problem(golden, score(checks, loss=0.1)) == ""
    other = score(checks, takes={"output": "expected", "question": "fields.question", "tone": "fields.tone"})
    assert "was scored by another version" in problem(golden, other)
    found, _ = judged(golden, [KIND] * N, [other])
    assert dict(found.findings.unscored[0].counts) == {"unusable": N}
    assert "worse:kind" not in found.findings.unscored[0].first
    assert "has no reference of this score" in problem(plain, score(checks, loss=0.1))
    assert problem(plain, score(checks, limit=0.9)) == ""
    unknown = score(checks, "size", takes={"output": "fields.colour"})
    assert "scores.size: kindness:size takes `colour`, which is no role" in problem(plain, unknown)


def test_too_many_examples_without_a_score_are_no_reference(checks: Path, plain: GoldenSet, tmp_path: Path) -> None:
    texts = ["silence"] * 5 + [KIND] * (N - 5)
    with pytest.raises(Exception, match=r"scores\.kind: 5 of 40 examples could not be scored, the first is example 0"):
        calibrated(plain, tmp_path, [texts] * 2, [score(checks)])


def test_an_example_that_the_reference_left_unscored_is_not_watched(
    checks: Path, plain: GoldenSet, tmp_path: Path
) -> None:
    entry = score(checks, loss=0.01)
    golden = calibrated(plain, tmp_path, [["silence"] + [KIND] * (N - 1)] * 4, [entry])
    states: dict[str, Any] = {}
    for _ in range(10):
        found, verdicts = judged(golden, [RUDE] + [KIND] * (N - 1), [entry], states)
        assert verdicts["worse:kind"].state is State.STEADY
    assert found.findings.scores[-1].reference == 1.0


def test_what_its_monitor_notices_is_known_beforehand(checks: Path, plain: GoldenSet, tmp_path: Path) -> None:
    golden = calibrated(plain, tmp_path, [[KIND] * N] * 4, [score(checks, loss=0.05)])
    settings = {
        "accuracy_loss": 0.3,
        "error_rate": 0.2,
        "alphas": dict.fromkeys(("worse", "failing", "worse:kind"), 1e-6),
    }
    settings["scores"] = [score(checks, loss=0.05)]
    place = GoldenPlace(str(golden.path), golden.digest)
    request = SensitivityRequest(place, settings, requests=N, most=50, declared_only=False)
    notices = sensitivity(request, [], lambda _: None).notices
    of_score = [(n.effect, n.declared, n.replays) for n in notices if n.monitor == "worse:kind"]
    assert [(effect, declared) for effect, declared, _ in of_score] == [
        ("kind is 10 points worse", True),
        ("kind is 20 points worse", False),
        ("kind is 0 for 50% of answers", False),
    ]
    assert all(after is not None and after <= 10 for *_, after in of_score)


def test_an_evaluator_is_made_once(checks: Path) -> None:
    spec = ScoreSpec("kind", "kindness:kind", path=str(checks))
    assert opened(spec) is opened(spec)
