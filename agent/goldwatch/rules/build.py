"""All groups of rules, for every agent or for the watches of one config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from goldwatch.config import Config
from goldwatch.export import catalogue as c
from goldwatch.rules import alerts, controllers, latency, otlp
from goldwatch.rules.rule import PAIR, RecordingRule, RuleGroup, Scope


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """How rules are written.

    `name` distinguishes sets of rules, `runbooks` is the address of their folder (empty: the agent's own),
    `labels` are added to each alert, `severities` maps page and ticket to the names used by the receiver, and
    `datasource` is the uid of the Prometheus that Grafana queries.
    """

    name: str = "goldwatch"
    runbooks: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    datasource: str = "prometheus"
    severities: Mapping[str, str] = field(default_factory=dict)


def scope_of(config: Config, match: Mapping[str, str] | None = None, *, pushed: bool = False) -> Scope:
    """Return the watches and targets of a config, whose metrics reach Prometheus over OTLP if `pushed`.

    With `match` only those of agents that are scraped with these labels.
    """
    pairs = tuple((watch.name, target) for watch in config.watches.values() for target in watch.targets)
    return Scope(pairs, pushed, tuple((match or {}).items()))


def groups(scope: Scope, *, recorded: bool = True) -> list[RuleGroup]:
    """Return the rules about the watches of a scope, and about operator and webhook if it has all watches.

    Without `recorded`, alerts need no recording rules.
    """
    remembered = alerts.records(scope) if recorded else ()
    every = [
        RuleGroup("goldwatch-verdicts", (*remembered, *alerts.of_verdicts(scope, recorded=recorded))),
        RuleGroup("goldwatch-agent", tuple(alerts.of_agent(scope, recorded=recorded))),
        RuleGroup("goldwatch-latency", tuple(latency.alerts(scope, recorded=recorded))),
    ]
    if recorded:
        every = [RuleGroup("goldwatch-records", tuple(_records(scope))), *every]
    every = [otlp.renamed(group) for group in every] if scope.pushed else every
    if scope.pairs:  # operator and webhook belong to no config
        return every
    return [*every, RuleGroup("goldwatch-controllers", tuple(controllers.alerts()))]


def _records(scope: Scope) -> Iterable[RecordingRule]:
    evidence, threshold = scope.of(c.EVIDENCE), scope.of(c.EVIDENCE_THRESHOLD)
    yield RecordingRule("watch_target:goldwatch_evidence:ratio", f"max by {PAIR} ({evidence} / {threshold})")
    for quantile in (0.5, 0.99):
        by = PAIR if scope.pushed else f"({PAIR[1:-1]}, le)"
        rate = f"sum by {by} (rate({scope.of(c.REQUEST_LATENCY, '1h')}))"
        name = f"watch_target:goldwatch_request_latency_seconds:p{quantile * 100:g}_rate1h"
        yield RecordingRule(name, f"histogram_quantile({quantile:g}, {rate})")
    # A dead server is given up after a few requests; those that it then is not sent have failed all the same.
    meant = f"sum by {PAIR} (rate({scope.of(c.REQUESTS, '1h', outcome_not='withheld')}))"
    good = f"sum by {PAIR} (rate({scope.of(c.REQUESTS, '1h', outcome='ok')}))"
    yield RecordingRule("watch_target:goldwatch_requests_failed:ratio_rate1h", f"1 - {good} / {meant}")
    yield from latency.records(scope)
