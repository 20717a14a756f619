"""The alerts about operator and webhook stay quiet where nothing is to be done; causes.py shows them fire."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.rules import FORMATS, AlertRule, RuleOptions, Scope, groups

from tests.programs import program
from tests.rules.causes import HOOK, HOOK_RUNS, OPERATOR, RUNS, controller, errors
from tests.rules.test_alerts import Case, played, run

DAY = 86_400
DAY_LATER = 1600
UP = f"up{{{OPERATOR}}}"
LEADS = 'goldwatch_leader{lease="release-goldwatch-operator", %s}'
OTHER = controller("operator", "p")
DONE = f'goldwatch_reconcile_success_timestamp_seconds{{model_namespace="ml", {OPERATOR}}}'
THERE = errors("internal")
DONE_P = DONE.replace("o:8080", "p:8080")


def certificate(days: float, left: float) -> dict[str, str]:
    """Return a certificate of so many days, with so many left at the minute in which cases look."""
    ends = 3600 + left * DAY
    return {
        f"goldwatch_webhook_certificate_not_before_timestamp_seconds{{{HOOK}}}": f"{ends - days * DAY:.0f}x100",
        f"goldwatch_webhook_certificate_not_after_timestamp_seconds{{{HOOK}}}": f"{ends:.0f}x100",
    }


QUIET = [
    Case("GoldwatchControllerGone", False, {RUNS: "1x10 stale", RUNS.replace("o:8080", "p:8080"): "_x10 1x100"}),
    Case("GoldwatchControllerGone", False, {RUNS: "1x10 stale", RUNS.replace('"1"', '"2"'): "_x12 1x100"}),  # upgraded
    Case("GoldwatchControllerGone", True, {RUNS: "1x10 stale", HOOK_RUNS: "1x100"}),
    Case("GoldwatchOperatorForbidden", False, {errors("forbidden"): "0x51 1x50", DONE: "0+60x100"}),
    Case("GoldwatchReconcilesFail", True, {THERE: "0x100", DONE: "0+60x10 stale"}),  # killed at each start
    Case("GoldwatchReconcilesFail", True, {THERE: "0x100"}),  # and from the first on
    Case("GoldwatchReconcilesFail", False, {THERE: "0x10 stale", DONE: "0+60x10 stale"}),  # it is gone
    Case("GoldwatchReconcilesFail", False, {errors("conflict"): "0+4x100", DONE: "0+60x100"}),
    Case("GoldwatchReconcilesFail", False, {errors("unreachable"): "0x20 5x80", DONE: "0+60x100"}),  # for a moment
    Case("GoldwatchReconcilesFail", False, {THERE: "0x100", DONE: "0+60x10 stale", DONE_P: "_x11 660+60x99"}),
    Case("GoldwatchNobodyLeads", True, {LEADS % OPERATOR: "1x10 0x90", LEADS % OTHER: "0x100"}),
    Case("GoldwatchNobodyLeads", False, {LEADS % OPERATOR: "1x10 0x90", LEADS % OTHER: "0x10 1x90"}),
    Case("GoldwatchCertificateExpires", False, certificate(90, 29)),  # cert-manager has a day left to renew it
    Case("GoldwatchCertificateExpires", True, certificate(90, 17)),
    Case("GoldwatchCertificateExpires", False, certificate(3650, 300)),
    Case("GoldwatchCertificateExpires", True, certificate(3650, 20)),
    Case("GoldwatchCertificateExpires", False, certificate(1, 0.5)),
]  # fmt: skip
LONG = [
    Case("GoldwatchControllerGone", False, {RUNS: "1x10 stale"}, DAY_LATER),  # its Deployment was deleted a day ago
    Case("GoldwatchControllerGone", True, {RUNS: "1x10 stale", UP: "1x10 0x2000"}, DAY_LATER),  # it restarts
    Case("GoldwatchControllerGone", False, {RUNS: "1x10 stale", UP.replace("o:8080", "p:8080"): "0x2000"}, DAY_LATER),
    Case("GoldwatchReconcilesFail", True, {THERE: "0x2000", DONE: "0+60x10 stale"}, DAY_LATER),  # still
]  # fmt: skip


@pytest.mark.parametrize("pushed", [False, True])
def test_rotations_upgrades_and_moments_call_nobody(tmp_path: Path, pushed: bool) -> None:
    """An agent that pushes changes nothing: operator and webhook are scraped."""
    rules = FORMATS["prometheus"](Scope(pushed=pushed), RuleOptions())
    cases = [case for case in QUIET if case.alert != "GoldwatchNobodyLeads" or not pushed]
    run(tmp_path, program("promtool"), rules, [played(case) for case in cases])


def test_who_is_still_there_is_missed_for_longer_than_a_day(tmp_path: Path) -> None:
    rules = FORMATS["prometheus"](Scope(), RuleOptions())
    run(tmp_path, program("promtool"), rules, [played(case) for case in LONG], evaluation_interval="40m")


def test_what_owners_can_mend_is_routed_to_their_namespace() -> None:
    (group,) = (group for group in groups(Scope()) if group.name == "goldwatch-controllers")
    routed = {rule.name for rule in group.rules if isinstance(rule, AlertRule) and rule.labels}
    assert routed == {"GoldwatchPodsWithoutSidecar", "GoldwatchWatchesRefused"}


def test_rules_of_one_config_leave_operator_and_webhook_to_those_of_all() -> None:
    assert "goldwatch-controllers" not in [group.name for group in groups(Scope((("fraud", "eu"),)))]
