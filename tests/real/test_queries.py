"""Every query of every panel, annotation and rule, run by a real Prometheus that has scraped a real agent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from goldwatch.rules import AlertRule, Scope, groups

from .agent import until
from .stack import Ask
from dashboards.__main__ import documents
from tests.dashboards.expressions import expressions, filled_in

pytestmark = pytest.mark.real

NO_OPERATOR = "no operator and no webhook runs here"
NO_GAP = "no watch here has an objective for a gap"
NO_SCORE = "no watch here names a score, so none has a judge"
NO_NEWS = "nothing of the kind has happened to this agent"
EMPTY: Mapping[str, str] = {
    "goldwatch-agent / Watches / {{reason}}": NO_OPERATOR,
    "goldwatch-agent / Pods without a sidecar / {{model_namespace}}": NO_OPERATOR,
    "goldwatch-agent / Errors of the operator / {{reason}}": NO_OPERATOR,
    "goldwatch-agent / Certificate / {{job}}": NO_OPERATOR,
    "goldwatch-agent / Failed pushes / {{instance}} {{signal}}": "no collector is configured",
    "goldwatch-agent / Late dispatch, p99 / {{target}} ({{watch}})": "no watch here sends at a rate",
    "goldwatch-agent / Lost records / {{instance}} {{signal}}": "no collector is configured",
    "goldwatch-fleet / annotation deployments": "the target was there from the start",
    "goldwatch-model / annotation deployments": "the target was there from the start",
    "goldwatch-incident / annotation deployments": "the target was there from the start",
    "goldwatch-compare / annotation deployments": "the target was there from the start",
    "goldwatch-agent / annotation deployments": "the target was there from the start",
    "goldwatch-model / Gap between values of a slice / {{score}} by {{slice}}": NO_GAP,
    "goldwatch-model / Gap between values of a slice / {{score}} by {{slice}}, reference": NO_GAP,
    "goldwatch-model / Judge: answers an hour / {{score}} {{call}}": NO_SCORE,
    "goldwatch-model / Judge: tokens an hour / {{score}} {{type}}": NO_SCORE,
    "goldwatch-model / Unscored answers an hour / {{score}} {{reason}}": NO_SCORE,
    "goldwatch-model / Judge and people / {{score}} agreement": NO_SCORE,
    "goldwatch-model / Judge and people / {{score}} kappa": NO_SCORE,
    "goldwatch-model / Judge and people / {{score}} wrongly {{called}}": NO_SCORE,
    "GoldwatchTicket": "the open alert is a page",
    "GoldwatchAgentGone": NO_NEWS,
    "GoldwatchWatchMissing": NO_NEWS,
    "GoldwatchNobodyLeads": "this agent has no lease",
    "GoldwatchNotReplaying": NO_NEWS,
    "GoldwatchInvalidReplays": NO_NEWS,
    "GoldwatchAgentSaturated": NO_NEWS,
    "GoldwatchConfigRejected": NO_NEWS,
    "GoldwatchInternalErrors": NO_NEWS,
    "GoldwatchPushesFail": "no collector is configured",
    "GoldwatchLatencyBurnFast": "no request is over the objective",
    "GoldwatchLatencyBurnSlow": "no request is over the objective",
}
"""The queries that have no answer here, and why."""


def queries() -> dict[str, str]:
    found = {where: filled_in(expr) for where, expr in expressions(documents())}
    for recorded in (True, False):
        for group in groups(Scope((("digits", "digits"),)), recorded=recorded):
            found |= {rule.name: rule.expr for rule in group.rules if not (recorded and isinstance(rule, AlertRule))}
    return found


@pytest.mark.parametrize(("where", "expr"), queries().items(), ids=queries())
def test_a_query_has_an_answer_or_a_reason_for_none(where: str, expr: str, ask: Ask) -> None:
    def as_it_should() -> bool:
        """A machine that stalls makes a scrape fail, or a replay late; it is so for a moment."""
        return bool(ask("query", query=expr)["result"]) != (where in EMPTY)

    until(as_it_should, EMPTY.get(where, f"no answer to {expr}"))


def test_the_reasons_are_about_queries_that_there_are() -> None:
    assert EMPTY.keys() <= queries().keys()
