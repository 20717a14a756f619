import dataclasses
import re
from pathlib import Path

import pytest

from goldwatch.export import catalogue as c
from goldwatch.export.catalogue.controllers import CONTROLLERS
from goldwatch.export.metric import LABELS, Kind, Metric, attribute, problems, prometheus_name
from goldwatch.export.reference import markdown

ROOT = Path(__file__).parents[2]
ALL = tuple(dict.fromkeys((*c.CATALOGUE, *CONTROLLERS)))


def test_the_catalogue_keeps_its_rules() -> None:
    assert problems(ALL) == []


def test_each_label_is_used() -> None:
    assert {label for m in ALL for label in m.labels} == LABELS.keys()


def test_no_name_is_a_namespace_of_another() -> None:
    for names in ({m.otel_name for m in ALL}, {attribute(label) for label in LABELS}):
        assert not [(a, b) for a in names for b in names if b.startswith(f"{a}.")]


def test_each_attribute_is_in_our_namespace() -> None:
    assert all(re.fullmatch(r"goldwatch\.[a-z0-9]+(_[a-z0-9]+)*", attribute(label)) for label in LABELS)


def test_the_units_are_those_of_ucum() -> None:
    """A term of UCUM is an atom or an annotation in braces, and may be divided by another."""
    atom = r"(1|s|J|W|g|\{[!-z|~]+\})"
    wrong = [m.otel_name for m in ALL if m.unit and not re.fullmatch(rf"{atom}(/{atom})?", m.unit)]
    assert not wrong


def test_a_metric_that_came_over_otlp_has_the_name_of_the_scraped_one() -> None:
    assert [prometheus_name(m) for m in ALL] == [m.name for m in ALL]


def test_a_name_that_is_a_namespace_is_named() -> None:
    low = dataclasses.replace(c.SCORE_LOW, otel_name="goldwatch.score.low")
    assert "goldwatch.score is also a namespace: of goldwatch.score.low" in problems([c.SCORE, low])


def test_the_reference_is_up_to_date() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    assert page == markdown(), "run: python -m goldwatch.export.reference > docs/metrics.md"


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        (dataclasses.replace(c.SLICE_RIGHT, name="goldwatch_right"), "right in 1 is goldwatch_slice_right_ratio"),
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
    assert problems([c.SCORE, c.SCORE]) == ["goldwatch_score: used 2 times", "goldwatch.score: used 2 times"]


def test_no_label_can_hold_an_example_an_error_or_a_replay() -> None:
    assert not {"example", "error", "message", "replay", "path", "url", "since"} & LABELS.keys()
