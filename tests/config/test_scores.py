"""The section `scores`, the scores of a watch, and their objectives."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from goldwatch.cluster.watches import compose
from goldwatch.config import ConfigError
from goldwatch.config.scores import ScoreObjective, parse_objective
from goldwatch.core import kinds
from goldwatch.core.kinds import watching
from goldwatch.core.monitors.kind import WatchTerms
from goldwatch.core.monitors.worse import scores_of
from goldwatch.export import cardinality

from tests.config.conftest import Load

START = """\
targets: {fraud: {probe: open-inference, url: 'http://localhost:8000', model: fraud}}
golden: {fraud: ./golden}
scores:
  polite: {uses: "mine.checks:polite", path: evaluators}
  wer: {uses: "jiwer:wer", scale: [0, 10], better: lower}
watches: {fraud: {every: 5m, WATCH}}
"""


def test_a_watch_names_scores_of_the_config_and_built_in_ones(load_text: Load, tmp_path: Path) -> None:
    written = (
        "scores: [polite, wer, exact], objectives: {scores: {polite: at least 95%, exact: no worse than 2 points}}"
    )
    config = load_text(START.replace("WATCH", written))
    watch = config.watches["fraud"]
    specs = scores_of(watch)["scores"]
    assert [(s["name"], s["uses"], s["limit"], s["loss"]) for s in specs] == [
        ("polite", "mine.checks:polite", 0.95, None),
        ("wer", "jiwer:wer", None, None),
        ("exact", "exact", None, 0.02),
    ]
    assert Path(specs[0]["path"]).resolve() == tmp_path / "evaluators"
    assert (specs[1]["scale"], specs[1]["lower_is_better"]) == ((0, 10), True)
    monitors = [kind.name for kind in watching(WatchTerms(watch, deterministic=False, every_s=300.0))]
    assert monitors == ["failing", "worse", "worse:polite", "worse:exact"]
    assert "worse:polite" in str(
        kinds.weights(load_text(START.replace("WATCH", written) + "alerts: {weights: {'worse:polite': 2}}\n"))
    )


@pytest.mark.parametrize(
    ("watch", "said"),
    [
        ("scores: [polit]", 'no score is named "polit" (did you mean "polite"?)'),
        ("scores: [polite, polite]", '"polite" is listed twice'),
        ("objectives: {scores: {polite: at least 95%}}", '"polite" is not one of the scores of this watch; add it to'),
        ("scores: [wer], objectives: {scores: {wer: at least 95%}}", "lower values of wer are better; write at most"),
        ("scores: [polite], objectives: {scores: {polite: at most 5%}}", "values of polite are better; write at least"),
        ("scores: [mcc], objectives: {scores: {mcc: at least 50%}}", "scale, which is from -1 to 1; write a value"),
        ("scores: [mcc], objectives: {scores: {mcc: at least 1}}", "not within the scale; write more than -1 and less"),
        ("scores: [wer], objectives: {scores: {wer: no worse than 11}}", "is more than the scale has; write more than"),
        ("scores: [polite], objectives: {scores: {polite: good}}", '"good" is not an objective of a score; write no'),
        ("scores: [polite], objectives: {scores: {polite: at least 100%}}", "is out of range; write more than 0%"),
        ("objectives: {gap: {at most: 5 points}}", 'missing key "slice"'),
        ("objectives: {gap: {slice: age}}", "write one of `at most` and `no worse than`"),
        ("objectives: {gap: {slice: age, at most: 5%}}", '"5%" is not a difference of a score; write 5 points'),
        (
            "objectives: {gap: {slice: age, at most: no worse than 5 points}}",
            '"no worse than 5 points" is not a difference of a score; write 5 points',
        ),
        ("objectives: {gap: {slice: age, at_most: 5 points}}", 'unknown key "at_most" (did you mean "at most"?)'),
        ("objectives: {gap: {score: polit, slice: age, at most: 5 points}}", 'no score of this watch is named "polit"'),
        (
            "scores: [mcc], objectives: {gap: {score: mcc, slice: age, at most: 5 points}}",
            '"mcc" is a score of the whole',
        ),
    ],
)
def test_what_is_wrong_with_them_is_told(load_text: Load, watch: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(START.replace("WATCH", watch))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("polite: {uses: not an evaluator}", '"not an evaluator" is not an evaluator; write module:function'),
        ("polite: {use: exact}", 'unknown key "use" (did you mean "uses"?)'),
        ("polite: {uses: exact, scale: [1, 1]}", "the scale [1, 1] does not rise; write the least value first"),
        ("polite: {uses: brier, over: examples}", "brier is over replay; leave `over` out"),
        ("polite: {uses: 'm:f', scale: [0, null]}", "a scale without an end needs `over: replay`"),
        ("accuracy: {uses: exact}", '"accuracy" is a score of tasks; choose another name'),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(load_text: Load, entry: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(START.replace('polite: {uses: "mine.checks:polite", path: evaluators}', entry).replace(", WATCH", ""))
    assert said in str(caught.value)


def test_a_gap_is_written_as_it_was_read(load_text: Load) -> None:
    for limit in ("at most: 5 points", "no worse than: 2 points"):
        found = load_text(START.replace("WATCH", f"objectives: {{gap: {{slice: age, {limit}}}}}"))
        gap = found.watches["fraud"].objectives.gap
        assert gap is not None
        assert (gap.score, gap.slice) == ("accuracy", "age")
        key, size = limit.split(": ")
        assert gap.model_dump(mode="json", by_alias=True)[key] == size
        assert str(gap) == limit.replace(":", "")


def test_an_objective_is_written_as_it_was_read() -> None:
    for text, objective in {
        "no worse than 1 point": ScoreObjective(loss=0.01, percent=True),
        "at least 99.5%": ScoreObjective(limit=0.995, percent=True),
        "at most 5%": ScoreObjective(limit=0.05, at_most=True, percent=True),
        "at most 0.2": ScoreObjective(limit=0.2, at_most=True),
        "at least -0.5": ScoreObjective(limit=-0.5),
        "no worse than 0.05": ScoreObjective(loss=0.05),
    }.items():
        assert (parse_objective(text), str(objective)) == (objective, text)


def test_each_named_score_adds_its_series(load_text: Load) -> None:
    bare, named = (load_text(START.replace("WATCH", w)) for w in ("jitter: 0s", "jitter: 0s, scores: [polite, wer]"))
    slices = {"fraud": 10}
    more = cardinality.series(named, slices) - cardinality.series(bare, slices)
    # Of each score 5 series, up to 5 reasons and 2 of each slice; of its monitor 5 states, 2 severities and 2 numbers.
    assert more == 2 * (5 + 5 + 2 * 10 + 5 + 2 + 2)


def test_a_watch_resource_names_no_code(tmp_path: Path) -> None:
    spec = {
        "target": {"probe": "open-inference", "url": "http://localhost:8000", "model": "fraud"},
        "golden": {"path": "/golden"},
    }
    defaults = {"scores": {"polite": {"uses": "mine.checks:polite"}}}
    allowed = compose({"fraud": spec | {"scores": ["polite", "exact"]}}, defaults)
    assert not allowed.problems
    assert yaml.safe_load(allowed.text)["watches"]["fraud"]["scores"] == ["polite", "exact"]
    refused = compose({"fraud": spec | {"scores": ["os:system"]}}, defaults)
    assert refused.problems["fraud"].startswith('spec.scores[0]: "os:system" is not a name')
    smuggled = compose({"fraud": spec | {"scores": {"polite": {"uses": "os:system"}}}}, defaults)
    assert "spec.scores: must be a list" in smuggled.problems["fraud"]
