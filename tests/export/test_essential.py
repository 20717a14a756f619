"""The level *essential*: what it leaves out, what it adds up, and that all shipped rules read only what it exports."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.export import catalogue as c
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.essential import essential
from goldwatch.export.metric import Essential, Kind, Metric
from goldwatch.export.prometheus import PrometheusExporter
from goldwatch.export.store import Distribution, Key, Sample
from goldwatch.rules import AlertRule, Scope, groups

from tests.dashboards import day
from tests.rules.causes import CAUSES, Cause

BY_NAME = {metric.name + ("_bucket" if metric.kind is Kind.HISTOGRAM else ""): metric for metric in CATALOGUE}


def exporter(model: day.Model) -> PrometheusExporter:
    """Return an exporter of one watch that has replayed."""
    made = PrometheusExporter(lambda: day.START_S)
    made.publish(day.started(model))
    made.publish(day.Life(model).replay(day.START_S, Random(1)))
    return made


def lines(made: PrometheusExporter) -> list[str]:
    return [line for line in made.render()[0].decode().splitlines() if line.startswith("goldwatch_")]


def of_the_watch(made: PrometheusExporter) -> int:
    return sum('watch="' in line for line in lines(made))


def test_a_watch_has_a_third_of_its_series() -> None:
    made = exporter(day.Model("search", "search"))
    full = of_the_watch(made)
    made.level = "essential"
    assert of_the_watch(made) <= 46 < full / 2.5


def test_the_level_changes_what_is_read_and_nothing_that_is_kept() -> None:
    made = exporter(day.Model("search", "search"))
    before = lines(made)
    made.level = "essential"
    assert lines(made) != before
    made.level = "full"
    assert lines(made) == before


@given(st.lists(st.floats(0, 100), max_size=50), st.sampled_from([None, 0.05]))
def test_coarser_buckets_hold_the_same_observations(values: list[float], limit_s: float | None) -> None:
    bounds = c.latency_buckets(limit_s) or c.REQUEST_LATENCY.buckets
    sample = Distribution.of(values, bounds)
    (found,) = essential(c.REQUEST_LATENCY, {("w", "t"): sample}).values()
    assert isinstance(found, Distribution)
    assert found == Distribution.of(values, found.bounds)
    assert limit_s is None or limit_s in found.bounds


@given(st.dictionaries(st.sampled_from(["ok", "withheld", "not_sent", "timeout", "crashed"]), st.integers(0, 9)))
def test_outcomes_are_added_up(counts: dict[str, int]) -> None:
    found = essential(c.REQUESTS, {("w", "t", outcome): float(n) for outcome, n in counts.items()})
    expected: Counter[str] = Counter()
    for outcome, n in counts.items():
        expected[outcome if outcome in ("ok", "withheld", "not_sent") else "failed"] += n
    assert {key[2]: value for key, value in found.items()} == expected


def test_a_monitor_has_its_own_state_alone() -> None:
    series: dict[Key, Sample] = {
        ("w", "t", "worse", state): float(state == "steady") for state in ("steady", "alerting", "unknown")
    }
    assert essential(c.VERDICT, series) == {("w", "t", "worse", "steady"): 1.0}


@pytest.mark.parametrize("pushed", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_the_rules_read_what_is_essential(*, recorded: bool, pushed: bool) -> None:
    """Each selector of a rule, and of the queries in its texts, has series at this level."""
    seen = 0
    for scope in (Scope(pushed=False), Scope((("w", "t"),), pushed=pushed)):
        for group in groups(scope, recorded=recorded):
            for rule in group.rules:
                texts = [rule.expr, *([rule.details, rule.served_at] if isinstance(rule, AlertRule) else [])]
                for name, matchers in re.findall(r"\b(goldwatch_\w+)(?:\{([^}]*)\})?", " ".join(texts)):
                    metric = BY_NAME.get(name) or BY_NAME.get(f"{name}_bucket")
                    if metric is not None:
                        seen += 1
                        assert there(metric, matchers), f"{rule.name}: {name}{{{matchers}}}"
    assert seen > 50


def there(metric: Metric, matchers: str) -> bool:
    part = metric.essential
    if part is None:
        return False
    written = {label: value for label, equal, value in re.findall(r'(\w+)(!=|=|!~|=~)"([^"]*)"', matchers)}
    for label, *values in filter(None, (part.only, part.kept)):
        if label in written and not set(written[label].split("|")) <= {*values}:
            return False
    return True if not part.nonzero else written.get("state") in (None, "alerting")


def test_a_rule_that_reads_more_is_noticed() -> None:
    assert not there(c.SLICE_RIGHT, "")
    assert not there(c.REPLAYS_SKIPPED, 'reason="busy"')
    assert not there(c.REQUESTS, 'outcome!~"ok|timeout"')
    assert there(c.REQUESTS, 'outcome!~"not_sent|withheld"')


def test_the_words_of_a_level_name_all_that_it_does() -> None:
    assert str(Essential()) == "essential"
    assert (
        str(c.REQUESTS.essential) == "essential (`outcome` ok, not_sent, withheld, and the sum of the rest as failed)"
    )


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.text)
def test_the_causes_of_alerts_are_the_same_series(cause: Cause) -> None:
    """So the table in docs/alerts.md, which promtool makes of these series, is true at this level."""
    of_agents = [name for name in cause.series if name.partition("{")[0] in BY_NAME]
    for series in of_agents:
        name, _, labels = series.rstrip("}").partition("{")
        assert there(BY_NAME[name], labels), series
