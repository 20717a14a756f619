"""Each alert fires when it should and only then: `promtool test rules` plays the series."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldwatch.core.kinds import KINDS
from goldwatch.export.metric import LABELS, pushed_label
from goldwatch.rules import FORMATS, RuleOptions, Scope, groups
from goldwatch.rules.rule import AlertRule

from tests.programs import program

W = 'watch="fraud", target="eu"'
AGENT = 'namespace="ml", job="goldwatch", instance="a:9870"'
ON = f"{W}, {AGENT}"
HERE = {f"goldwatch_watch_interval_seconds{{{ON}}}": "300x12000"}

NAMES = {
    rule.name
    for group in groups(Scope())
    for rule in group.rules
    if isinstance(rule, AlertRule) and group.name != "goldwatch-controllers"  # tests/rules/test_controllers.py
}


@pytest.fixture
def promtool() -> str:
    return program("promtool")


@dataclass(frozen=True)
class Case:
    """Series by name, a minute apart, and whether the alert fires at a minute."""

    alert: str
    fires: bool
    series: Mapping[str, str]
    minute: int = 60


def active(severity: str, values: str) -> dict[str, str]:
    return {f'goldwatch_alert_active{{{ON}, severity="{severity}"}}': values}


def late(share: float, minutes: int, *, objective: float = 0.01, interval: str = "300x6000") -> dict[str, str]:
    """Return 100 requests a minute; a share of them is slow."""
    return {
        f"goldwatch_watch_interval_seconds{{{ON}}}": interval,
        f"goldwatch_requests_late_total{{{ON}}}": f"0+{100 * share:g}x{minutes}",
        f'goldwatch_requests_total{{{ON}, outcome="ok"}}': f"0+100x{minutes}",
        f'goldwatch_objective_ratio{{{ON}, objective="latency"}}': f"{objective:g}x{minutes}",
    }


def replays(**counts: float) -> dict[str, str]:
    """Return replays by validity, with counts a minute."""
    return HERE | {f'goldwatch_replays_total{{{ON}, validity="{v}"}}': f"0+{n:g}x600" for v, n in counts.items()}


def said(state: str) -> dict[str, str]:
    return {f'goldwatch_verdict{{{ON}, monitor="silent", state="{state}"}}': "1x600"}


def due(values: str) -> dict[str, str]:
    return HERE | {f"goldwatch_replay_next_timestamp_seconds{{{ON}}}": values}


def skipped(reason: str) -> dict[str, str]:
    return {f'goldwatch_replays_skipped_total{{{ON}, reason="{reason}"}}': "0x5 1x60"}


def left_out(reason: str, count: float) -> dict[str, str]:
    """Return `count` skipped replays a minute."""
    return {f'goldwatch_replays_skipped_total{{{ON}, reason="{reason}"}}': f"0+{count:g}x600"}


def clock(values: str) -> dict[str, str]:
    return {f"goldwatch_clock_timestamp_seconds{{{AGENT}}}": values}


def pushes(values: str) -> dict[str, str]:
    return {f'goldwatch_pushes_failed_total{{{AGENT}, signal="metrics"}}': values}


def up(values: str, agent: str = AGENT) -> dict[str, str]:
    return {f"up{{{agent}}}": values}


def loaded(values: str, agent: str = AGENT) -> dict[str, str]:
    return {f"goldwatch_config_last_reload_successful{{{agent}}}": values}


def leads(values: str, agent: str = AGENT, lease: str = "fraud") -> dict[str, str]:
    return {f'goldwatch_leader{{{agent}, lease="{lease}"}}': values}


def at(agent: str, series: Mapping[str, str]) -> dict[str, str]:
    """Return the same series of another agent, such as b in another namespace."""
    return {name.replace(AGENT, agent): values for name, values in series.items()}


B = 'namespace="ml", job="goldwatch", instance="b:9870"'
ELSEWHERE = 'namespace="other", job="goldwatch", instance="b:9870"'


def silenced() -> dict[str, str]:
    return {f'goldwatch_alert_silenced{{{ON}, severity="ticket"}}': "1x600"}


HERE_ONCE = {f"goldwatch_watch_interval_seconds{{{ON}}}": "300x10 stale"}
OTHER = {f'goldwatch_watch_interval_seconds{{watch="other", target="eu", {AGENT}}}': "300x12000"}
CLOSED = HERE | {
    f'goldwatch_alert_active{{{ON}, severity="page", monitor="worse"}}': "1x10 stale",
    f'goldwatch_alert_active{{{ON}, severity="page"}}': "_x11 0x10 stale",
    f'goldwatch_alert_active{{{ON}, severity="ticket"}}': "0x21 stale",
}

FAST, SLOW = "GoldwatchLatencyBurnFast", "GoldwatchLatencyBurnSlow"
CASES = [
    Case("GoldwatchPage", True, active("page", "0x10 1x60"), 11),
    Case("GoldwatchPage", True, HERE | active("page", "0x10 1x40 _x100"), 58),  # the agent is restarted
    Case("GoldwatchPage", True, HERE | active("page", "1x10 stale"), 600),  # it died, and no other agent knows better
    Case("GoldwatchPage", False, HERE | active("page", "1x10 stale") | at(B, active("page", "_x20 0x600"))),  # b does
    Case("GoldwatchPage", True, HERE | active("page", "1x10 stale") | at(ELSEWHERE, active("page", "0x600"))),
    Case("GoldwatchPage", False, HERE | active("page", "1x10 0x10 stale"), 60),  # closed, and then it died
    Case("GoldwatchPage", False, CLOSED, 60),  # the same, and its monitor's series ended with the alert
    Case("GoldwatchPage", False, active("page", "0x10 1x40 0x20")),
    Case("GoldwatchPage", False, active("ticket", "1x60")),
    Case("GoldwatchTicket", True, active("ticket", "0x10 1x60"), 17),
    Case("GoldwatchTicket", False, active("ticket", "0x10 1x60"), 14),  # it may still become a page
    Case("GoldwatchTicket", False, active("page", "1x60")),
    Case("GoldwatchAgentGone", True, HERE | up("1x10 0x100"), 16),
    Case("GoldwatchAgentGone", False, HERE | up("1x10 0x100"), 13),
    Case("GoldwatchAgentGone", False, {'up{job="another", instance="b:80"}': "0x100"}),
    Case("GoldwatchAgentGone", True, HERE | up("1x100") | up("0x100", B)),  # never answered, in a job of agents
    Case("GoldwatchAgentGone", False, HERE | up("1x100") | up("0x100", B) | up("1x100", B.replace("b:", "c:"))),
    Case("GoldwatchNobodyLeads", True, HERE_ONCE | leads("1x10 0x60") | leads("0x70", B), 17),
    Case("GoldwatchNobodyLeads", False, HERE_ONCE | leads("1x10 0x60") | leads("0x70", B), 14),
    Case("GoldwatchNobodyLeads", False, HERE_ONCE | leads("1x10 0x60") | leads("0x10 1x60", B)),
    Case("GoldwatchNobodyLeads", True, HERE_ONCE | leads("1x10 stale") | leads("0x70", B)),  # the leader died
    Case("GoldwatchNobodyLeads", True, HERE_ONCE | leads("0x70") | leads("1x70", ELSEWHERE)),
    Case("GoldwatchNobodyLeads", True, HERE_ONCE | leads("0x70") | leads("1x70", B, lease="other")),
    Case("GoldwatchNobodyLeads", False, HERE),  # no lease
    Case("GoldwatchWatchMissing", True, {f"goldwatch_watch_interval_seconds{{{ON}}}": "300x10 _x100"}, 40),
    Case("GoldwatchWatchMissing", False, HERE),
    Case("GoldwatchWatchMissing", True, HERE_ONCE | up("1x10 stale") | at(B, OTHER) | up("1x100", B)),  # pod deleted
    Case("GoldwatchWatchMissing", False, HERE_ONCE | up("1x10 stale") | at(B, HERE) | up("1x100", B)),  # pod replaced
    Case("GoldwatchWatchMissing", False, HERE_ONCE | up("1x100") | OTHER),  # dropped from the config
    Case("GoldwatchNotReplaying", True, due("300x100"), 20),  # due at minute 5, and now more than 10 minutes late
    Case("GoldwatchNotReplaying", False, due("300x100"), 14),
    Case("GoldwatchNotReplaying", False, due("300x100") | said("alerting"), 20),
    Case("GoldwatchNotReplaying", False, due("300+60x100")),
    Case("GoldwatchNotReplaying", True, due("300x100") | at(B, due("300+60x100")), 20),  # a sidecar, with a sound one
    Case("GoldwatchNotReplaying", True, due("300x100") | at(ELSEWHERE, said("alerting")), 20),
    Case("GoldwatchNotReplaying", True, due("300x100") | at(ELSEWHERE, silenced()), 20),
    Case("GoldwatchNotReplaying", False, due("300x100") | silenced(), 20),
    Case("GoldwatchNotReplaying", False, due("-600+60x100") | clock("-900+60x100")),  # its clock is 15 minutes slow
    Case("GoldwatchNotReplaying", True, due("900x100") | clock("600+60x100"), 20),  # ... and here fast, and stuck
    Case("GoldwatchInvalidReplays", True, replays(invalid=0.2, valid=0.05), 400),
    Case("GoldwatchInvalidReplays", False, replays(invalid=0.05, valid=0.2), 400),
    Case("GoldwatchInvalidReplays", True, replays(invalid=0.2) | at(B, replays(valid=1)), 400),
    Case("GoldwatchInvalidReplays", False, replays(invalid=0.2, valid=0.05) | said("alerting"), 400),
    Case("GoldwatchAgentSaturated", True, replays(valid=1) | left_out("waiting", 1), 60),
    Case("GoldwatchAgentSaturated", False, replays(valid=1) | left_out("waiting", 1), 25),  # only if it lasts
    Case("GoldwatchAgentSaturated", False, replays(valid=1) | left_out("waiting", 0.08), 100),
    Case("GoldwatchAgentSaturated", True, HERE | left_out("waiting", 0.2), 60),  # none has ended
    Case("GoldwatchAgentSaturated", False, HERE | left_out("still_running", 0.2), 60),  # *silent* reports it
    Case("GoldwatchAgentSaturated", False, replays(valid=1) | left_out("busy", 1), 60),  # that is the target's doing
    Case("GoldwatchAgentSaturated", False, replays(valid=0.01) | left_out("waiting", 0.01), 100),  # one or two
    Case("GoldwatchAgentSaturated", True, replays(valid=1) | left_out("waiting", 1) | at(B, replays(valid=50)), 60),
    Case("GoldwatchConfigRejected", True, HERE | {f"goldwatch_config_last_reload_successful{{{ON}}}": "1x5 0x60"}, 20),
    Case("GoldwatchConfigRejected", False, {f"goldwatch_config_last_reload_successful{{{ON}}}": "1x5 0x3 1x60"}, 20),
    Case("GoldwatchConfigRejected", True, HERE | loaded("1x60") | loaded("0x60", B), 20),  # never had one
    Case("GoldwatchConfigRejected", False, HERE | loaded("1x60") | loaded("0x5 1x60", B), 20),
    Case("GoldwatchInternalErrors", True, skipped("internal_error"), 10),
    Case("GoldwatchInternalErrors", False, skipped("still_running"), 10),
    Case("GoldwatchPushesFail", True, HERE | pushes("0+1x100"), 50),
    Case("GoldwatchPushesFail", False, pushes("0x10 1x100"), 50),
    Case("GoldwatchPushesFail", True, HERE | pushes("0x100") | at(B, pushes("0+1x100")), 50),  # a standby
    Case(FAST, True, late(0.2, 120), 90),
    Case(FAST, False, late(0.05, 120), 90),
    Case(FAST, False, late(0.2, 120, interval="3600x120"), 90),  # too few replays in the short window
    Case(FAST, False, late(0.2, 120) | active("page", "1x120"), 90),  # *slow* has reported it
    Case(FAST, True, late(0.95, 120, objective=0.5), 90),  # more than 90 % are enough for any objective
    Case(SLOW, True, late(0.04, 200), 190),
    Case(SLOW, False, late(0.005, 200), 190),
]  # fmt: skip


PUSHED = HERE | clock("0+60x600")
ENDED = {f"goldwatch_watch_interval_seconds{{{ON}}}": "300x10 _x100"}
PUSHED_CASES = [
    Case("GoldwatchAgentGone", False, PUSHED),
    Case("GoldwatchAgentGone", True, ENDED | clock("0+60x10 _x100"), 30),
    Case("GoldwatchAgentGone", False, ENDED | clock("0+60x10 _x100"), 22),
    Case("GoldwatchAgentGone", True, HERE | clock("0+60x10 600x100"), 30),  # a collector repeats what came last
    Case("GoldwatchAgentGone", False, ENDED | clock("0+60x10 _x100") | at(B, PUSHED), 30),  # pod replaced
    Case("GoldwatchAgentGone", True, ENDED | clock("0+60x10 _x100") | at(ELSEWHERE, PUSHED), 30),
    Case("GoldwatchAgentGone", False, ENDED | clock("0+60x200"), 30),  # dropped from the config
    Case("GoldwatchWatchMissing", True, {"something": "1x60"}, 30),
    Case("GoldwatchWatchMissing", False, PUSHED),
    Case("GoldwatchWatchMissing", False, ENDED | clock("0+60x10 _x100"), 40),  # the agent is gone
]  # fmt: skip


HOURS = 90
"""The minutes from which a case is long: its rules are evaluated every four minutes."""

LONG = [
    Case("GoldwatchAgentGone", True, HERE_ONCE | up("1x10 0x4000"), 3000),  # for two days
    Case("GoldwatchAgentGone", True, HERE_ONCE | up("1x10 0x16000"), 15000),  # for ten days
    Case("GoldwatchWatchMissing", True, HERE_ONCE | up("1x10 stale") | at(B, OTHER), 9000),  # for six days
    Case("GoldwatchWatchMissing", False, HERE_ONCE | up("1x10 stale") | at(B, OTHER), 11000),  # forgotten after a week
]
"""Cases of days: their rules are evaluated every half an hour."""


def test_each_alert_is_seen_to_fire_and_not_to() -> None:
    assert {case.alert for case in CASES if case.fires} == {case.alert for case in CASES if not case.fires} == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("scope", [Scope(), Scope((("fraud", "eu"),))], ids=["any config", "one config"])
def test_the_alerts_fire_when_they_should(scope: Scope, tmp_path: Path, promtool: str) -> None:
    cases = [case for case in CASES if not (scope.pairs and B in str(case.series) and "up{" in str(case.series))]
    play(tmp_path, promtool, FORMATS["prometheus"](scope, RuleOptions()), cases)


@pytest.mark.slow
@pytest.mark.parametrize("scope", [Scope(), Scope((("fraud", "eu"),))], ids=["any config", "one config"])
def test_they_fire_alike_for_metrics_that_came_over_otlp(scope: Scope, tmp_path: Path, promtool: str) -> None:
    """The same cases, except those of service discovery, which OTLP does not have."""
    discovered = {case.alert for case in PUSHED_CASES}
    cases = [case for case in CASES if case.alert not in discovered and "up{" not in str(case.series)] + PUSHED_CASES
    assert {case.alert for case in cases if case.fires} == {case.alert for case in cases if not case.fires} == NAMES
    rules = FORMATS["prometheus"](replace(scope, pushed=True), RuleOptions())
    play(tmp_path, promtool, rules, [replace(case, series=pushed(case.series)) for case in cases])


def test_an_alert_over_otlp_has_the_labels_of_a_scraped_one(tmp_path: Path, promtool: str) -> None:
    series = {
        f'goldwatch_alert_active{{{ON}, severity="page", monitor="worse"}}': "1x10",
        f'goldwatch_score{{{ON}, score="accuracy"}}': "0.903x10",
        f"goldwatch_alert_number{{{ON}}}": "7x10",
        f'goldwatch_alert_info{{{ON}, headline="It fell.", action="Look:", command="x", page="https://g/7"}}': "1x10",
        f'goldwatch_verdict{{{ON}, monitor="worse", state="alerting"}}': "1x10",
    }
    scraped = {"watch": "fraud", "target": "eu", "severity": "page", "monitor": "worse"}
    labels = {**scraped, **{pushed_label(name): value for name, value in scraped.items()}}
    expected = {
        "exp_labels": labels | {"model": "eu", "namespace": "ml", "job": "ml/goldwatch"},
        "exp_annotations": {
            "summary": "eu needs somebody now (watch fraud): worse",
            "description": (
                "A monitor of goldwatch alerts. The alert's page shows which examples, since when, and what else "
                "changed.\nIt fell.\nFirst action: Look: x\n"
                "Alerting: worse. Accuracy 0.903. Alert 7 of the agent a:9870. https://g/7"
            ),
            "runbook": "worse.md",
        },
    }
    due = {"eval_time": "5m", "alertname": "GoldwatchPage", "exp_alerts": [expected]}
    test = {"interval": "1m", "input_series": written(pushed(series)), "alert_rule_test": [due]}
    run(tmp_path, promtool, FORMATS["prometheus"](Scope(pushed=True), RuleOptions()), [test])


@pytest.mark.slow
def test_an_agent_that_left_is_remembered_for_a_week(tmp_path: Path, promtool: str) -> None:
    rules = FORMATS["prometheus"](Scope(), RuleOptions())
    run(tmp_path, promtool, rules, [played(case) for case in LONG], evaluation_interval="30m")


def test_what_reaches_the_person_on_call(tmp_path: Path, promtool: str) -> None:
    series = {
        f'goldwatch_alert_active{{{ON}, severity="page", monitor="worse"}}': "1x10",
        f'goldwatch_examples_flipped{{{ON}, effect="harmful"}}': "41234x10",
        f'goldwatch_score{{{ON}, score="accuracy"}}': "0.903x10",
        f'goldwatch_score_reference{{{ON}, score="accuracy"}}': "0.922x10",
        f'goldwatch_evidence_log10{{{ON}, monitor="worse"}}': "8.43x10",
        f'goldwatch_evidence_threshold_log10{{{ON}, monitor="worse"}}': "5.62x10",
        f"goldwatch_alert_number{{{ON}}}": "123456x10",
        f'goldwatch_alert_info{{{ON}, headline="eu is worse: 9", action="Roll eu back to v17.", '
        'command="kubectl rollout undo deployment/eu", page="https://gw.example/eu/alerts/123456"}': "1x10",
        f'goldwatch_verdict{{{ON}, monitor="worse", state="alerting"}}': "1x10",
        f'goldwatch_verdict{{{ON}, monitor="changed", state="alerting"}}': "1x10",
        f'goldwatch_verdict{{{ON}, monitor="failing", state="alerting"}}': "0x10",
    }
    labels = {"severity": "page", "model": "eu", "team": "fraud", "watch": "fraud", "target": "eu"}
    expected = {
        "exp_labels": labels | {"namespace": "ml", "job": "goldwatch", "monitor": "worse"},
        "exp_annotations": {
            "summary": "eu needs somebody now (watch fraud): worse",
            "description": (
                "A monitor of goldwatch alerts. The alert's page shows which examples, since when, and what else "
                "changed.\neu is worse: 9\nFirst action: Roll eu back to v17. kubectl rollout undo deployment/eu\n"
                "Alerting: changed, worse. 41234 golden examples are wrong that were right. Accuracy 0.903. "
                "Reference 0.922. Evidence 1.5 times the threshold. Alert 123456: https://gw.example/eu/alerts/123456"
            ),
            "runbook_url": "https://wiki/runbooks/worse.md",
        },
    }
    told = {"eval_time": "5m", "alertname": "GoldwatchPage", "exp_alerts": [expected]}
    options = RuleOptions(runbooks="https://wiki/runbooks/", labels={"team": "fraud"})
    rules = FORMATS["prometheus"](Scope((("fraud", "eu"),)), options)
    run(
        tmp_path,
        promtool,
        rules,
        [{"interval": "1m", "input_series": written(series), "alert_rule_test": [told]}],
    )


@pytest.mark.slow
def test_runbooks_are_linked_by_the_external_url(tmp_path: Path, promtool: str) -> None:
    page = 'page="https://gw.example/eu/alerts/7"'
    series = {
        f'goldwatch_alert_active{{{ON}, severity="page", monitor="slow"}}': "1x10",
        f"goldwatch_alert_number{{{ON}}}": "7x10",
        f'goldwatch_alert_info{{{ON}, headline="eu is slow", action="Look.", {page}}}': "1x10",
    }
    expected = {
        "exp_labels": {
            "severity": "page",
            "model": "eu",
            "watch": "fraud",
            "target": "eu",
            "monitor": "slow",
            "namespace": "ml",
            "job": "goldwatch",
        },
        "exp_annotations": {
            "summary": "eu needs somebody now (watch fraud): slow",
            "description": (
                "A monitor of goldwatch alerts. The alert's page shows which examples, since when, and what else "
                "changed.\neu is slow\nFirst action: Look. \nAlert 7: https://gw.example/eu/alerts/7"
            ),
            "runbook_url": "https://gw.example/eu/runbooks/slow",
        },
    }
    told = {"eval_time": "5m", "alertname": "GoldwatchPage", "exp_alerts": [expected]}
    tests = [{"interval": "1m", "input_series": written(series), "alert_rule_test": [told]}]
    run(tmp_path, promtool, FORMATS["prometheus"](Scope(), RuleOptions()), tests)


@pytest.mark.slow
@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_each_monitor_can_be_routed_and_has_its_runbook(severity: str, tmp_path: Path, promtool: str) -> None:
    name = f"Goldwatch{severity.title()}"
    need = {"page": "needs somebody now", "ticket": "needs a look in working hours"}[severity]
    tests = []
    for kind in KINDS:
        series = {
            f'goldwatch_alert_active{{{ON}, severity="{severity}", monitor="{kind.name}"}}': "1x30",
            f"goldwatch_alert_number{{{ON}}}": "7x30",
        }
        labels = {"severity": severity, "model": "eu", "watch": "fraud", "target": "eu", "monitor": kind.name}
        expected = {
            "exp_labels": labels | {"namespace": "ml", "job": "goldwatch"},
            "exp_annotations": {
                "summary": f"eu {need} (watch fraud): {kind.name}",
                "description": (
                    "A monitor of goldwatch alerts. The alert's page shows which examples, since when, and what else "
                    "changed.\nAlert 7: http://a:9870/alerts/7"
                ),
                "runbook_url": f"http://a:9870/runbooks/{kind.name}",
            },
        }
        due = {"eval_time": "20m", "alertname": name, "exp_alerts": [expected]}
        tests.append({"interval": "1m", "input_series": written(series), "alert_rule_test": [due]})
    run(tmp_path, promtool, FORMATS["prometheus"](Scope(), RuleOptions()), tests)


@pytest.mark.parametrize(
    ("unsent", "share"), [("not_sent", 0.5), ("withheld", 60 / 3660)], ids=["a dead server", "goldwatch held back"]
)
def test_requests_that_a_dead_server_was_not_sent_have_failed(
    unsent: str, share: float, tmp_path: Path, promtool: str
) -> None:
    series = {
        f'goldwatch_requests_total{{{ON}, outcome="ok"}}': "0+600x6 3600x6",
        f'goldwatch_requests_total{{{ON}, outcome="unreachable"}}': "0x6 10+10x6",
        f'goldwatch_requests_total{{{ON}, outcome="{unsent}"}}': "0x6 590+590x6",
    }
    asked = {
        "expr": f"abs(watch_target:goldwatch_requests_failed:ratio_rate1h - {share}) < bool 0.001",
        "eval_time": "60m",
        "exp_samples": [{"labels": f'{{{W}, namespace="ml", job="goldwatch"}}', "value": 1}],
    }
    test = {"interval": "5m", "input_series": written(series), "promql_expr_test": [asked]}
    run(tmp_path, promtool, FORMATS["prometheus"](Scope(), RuleOptions()), [test])


@pytest.mark.slow
def test_rules_of_one_namespace_leave_the_same_watch_of_another_alone(tmp_path: Path, promtool: str) -> None:
    rules = FORMATS["prometheus"](Scope((("fraud", "eu"),), match=(("namespace", "ml"),)), RuleOptions())
    fire = [case for case in CASES if case.fires and ELSEWHERE not in str(case.series) and B not in str(case.series)]
    here = [played(case) for case in fire]
    there = [played(replace(case, series=at(ELSEWHERE, case.series))) for case in fire]
    for case in there:
        case["promql_expr_test"][0]["expr"] = 'count(ALERTS{alertstate="firing", alertname!="GoldwatchWatchMissing"})'
        case["promql_expr_test"][0]["exp_samples"] = []
    run_paced(tmp_path, promtool, rules, [*here, *there])
    both = Case("GoldwatchWatchMissing", True, at(ELSEWHERE, HERE), 30)  # and nothing in ml
    missing = played(both)
    missing["promql_expr_test"][0]["expr"] = 'count by (namespace) (ALERTS{alertname="GoldwatchWatchMissing"})'
    missing["promql_expr_test"][0]["exp_samples"] = [{"labels": '{namespace="ml"}', "value": 1}]
    run(tmp_path, promtool, rules, [missing])


@pytest.mark.slow
def test_rules_of_one_config_leave_others_alone(tmp_path: Path, promtool: str) -> None:
    rules = FORMATS["prometheus"](Scope((("other", "us"), ("next.one", "eu"))), RuleOptions())
    fire = [played(case) for case in CASES if case.fires and W in "".join(case.series) and "Missing" not in case.alert]
    for case in fire:
        case["promql_expr_test"][0]["exp_samples"] = []
    run_paced(tmp_path, promtool, rules, fire)
    gone = Case("GoldwatchWatchMissing", True, HERE, 30)
    missing = played(gone)
    missing["promql_expr_test"][0] |= {
        "expr": 'count by (watch, target) (ALERTS{alertname="GoldwatchWatchMissing", alertstate="firing"})',
        "exp_samples": [
            {"labels": f'{{watch="{w}", target="{t}"}}', "value": 1} for w, t in (("next.one", "eu"), ("other", "us"))
        ],
    }
    run(tmp_path, promtool, rules, [missing])


def pushed(series: Mapping[str, str]) -> dict[str, str]:
    """Return series as they are in a Prometheus that received them over OTLP."""

    def renamed(name: str) -> str:
        name = re.sub(r'(\w+)="', lambda found: f'{pushed_label(found[1]) if found[1] in LABELS else found[1]}="', name)
        return re.sub(r'namespace="(\w+)", job="goldwatch"', r'job="\1/goldwatch"', name)

    return {renamed(name): values for name, values in series.items()}


def play(folder: Path, promtool: str, rules: str, cases: list[Case]) -> None:
    """Play cases to the groups of rules that their alerts read: those of latency, or the others."""
    latency = {"goldwatch-records", "goldwatch-latency"}
    every = yaml.safe_load(rules)["groups"]
    for burns in (True, False):
        read = [group for group in every if (group["name"] in latency) == burns]
        chosen = [played(case) for case in cases if (case.alert in (FAST, SLOW)) == burns]
        run_paced(folder, promtool, yaml.safe_dump({"groups": read}), chosen)


def run_paced(folder: Path, promtool: str, rules: str, tests: list[dict[str, Any]]) -> None:
    """Run tests; the rules of those that last for hours are evaluated every four minutes."""
    for pace in ("1m", "4m"):
        chosen = [
            test for test in tests if (int(test["promql_expr_test"][0]["eval_time"][:-1]) >= HOURS) == (pace == "4m")
        ]
        if chosen:
            run(folder, promtool, rules, chosen, evaluation_interval=pace)


def played(case: Case) -> dict[str, Any]:
    expr = f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    samples = [{"labels": "{}", "value": 1}] if case.fires else []
    asked = {"expr": expr, "eval_time": f"{case.minute}m", "exp_samples": samples}
    return {"interval": "1m", "input_series": written(case.series), "promql_expr_test": [asked]}


def written(series: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"series": name, "values": values} for name, values in series.items()]


def run(folder: Path, promtool: str, rules: str, tests: list[dict[str, Any]], evaluation_interval: str = "1m") -> None:
    (folder / "rules.yaml").write_text(rules)
    order = [group["name"] for group in yaml.safe_load(rules)["groups"]]  # or promtool draws one
    about = {"rule_files": ["rules.yaml"], "evaluation_interval": evaluation_interval, "group_eval_order": order}
    (folder / "tests.yaml").write_text(yaml.safe_dump({**about, "tests": tests}))
    command = [promtool, "test", "rules", "tests.yaml"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert found.returncode == 0, found.stdout + found.stderr
