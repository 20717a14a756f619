import dataclasses
from pathlib import Path

import pytest

from goldwatch.export import catalogue as c
from goldwatch.export.metric import LABELS, Kind, Metric, problems
from goldwatch.export.reference import markdown

ROOT = Path(__file__).parents[2]


def test_the_catalogue_keeps_its_rules() -> None:
    assert problems(c.CATALOGUE) == []


def test_each_label_is_used() -> None:
    assert {label for m in c.CATALOGUE for label in m.labels} == LABELS.keys()


def test_the_reference_is_up_to_date() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    assert page == markdown(), "run: python -m goldwatch.export.reference > docs/metrics.md"


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (dataclasses.replace(c.SCORE, name="goldwatch_score"), "goldwatch.score in 1 is goldwatch_score_ratio"),
        (dataclasses.replace(c.REQUESTS, name="goldwatch_requests"), "is goldwatch_requests_total in Prometheus"),
        (dataclasses.replace(c.REQUESTS, labels=("watch", "example")), "nothing bounds the values of example"),
        (dataclasses.replace(c.REQUESTS, labels=("watch", "version")), "version may be labels of an info only"),
        (dataclasses.replace(c.REQUESTS, group=("watch",)), "cannot be replaced"),
        (dataclasses.replace(c.SCORE, group=("model",)), "the group must be labels"),
        (dataclasses.replace(c.SCORE, unit="ms"), '"ms" is no unit'),
        (dataclasses.replace(c.SCORE, help="A score"), "must be a sentence"),
        (dataclasses.replace(c.TARGET_INFO, group=None), "must have a group"),
        (dataclasses.replace(c.TARGET_INFO, kind=Kind.GAUGE), "must not end so"),
        (dataclasses.replace(c.REQUEST_LATENCY, buckets=(1, 1)), "in rising order"),
        (dataclasses.replace(c.REQUEST_LATENCY, buckets=()), "a histogram, and nothing else, has buckets"),
        (Metric("goldwatch_x_count", "goldwatch.x.count", Kind.GAUGE, "", (), "It."), "must not end so"),
        (Metric("GoldWatch_x", "goldwatch.x", Kind.GAUGE, "", (), "It."), "be in lower case"),
    ],
)
def test_a_rule_that_is_broken_is_named(metric: Metric, problem: str) -> None:
    assert any(problem in found for found in problems([metric]))


def test_a_name_is_used_once() -> None:
    assert problems([c.SCORE, c.SCORE]) == ["goldwatch_score_ratio: used 2 times", "goldwatch.score: used 2 times"]


def test_no_label_can_hold_an_example_an_error_or_a_replay() -> None:
    assert not {"example", "error", "message", "replay", "path", "url", "since"} & LABELS.keys()
