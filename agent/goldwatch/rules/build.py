"""All groups of rules, for every agent or for the watches of one config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from goldwatch.config import Config
from goldwatch.export import catalogue as c
from goldwatch.rules import alerts, latency
from goldwatch.rules.rule import PAIR, Group, Record, Scope


@dataclass(frozen=True, slots=True)
class Options:
    """How rules are written.

    `name` tells one set of rules from another, `runbooks` is the address of their folder (empty: not known), `labels`
    are added to each alert, and `datasource` is the uid of the Prometheus that Grafana asks.
    """

    name: str = "goldwatch"
    runbooks: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    datasource: str = "prometheus"


def scope_of(config: Config) -> Scope:
    """Return the watches and targets of a config."""
    return Scope(tuple((watch.name, target) for watch in config.watches.values() for target in watch.targets))


def groups(scope: Scope, *, recorded: bool = True) -> list[Group]:
    """Return the rules about the watches of a scope. Without `recorded`, alerts need no recording rules."""
    found = [
        Group("goldwatch-verdicts", tuple(alerts.of_verdicts(scope))),
        Group("goldwatch-agent", tuple(alerts.of_agent(scope))),
        Group("goldwatch-latency", tuple(latency.alerts(scope, recorded=recorded))),
    ]
    return [Group("goldwatch-records", tuple(_records(scope))), *found] if recorded else found


def _records(scope: Scope) -> Iterable[Record]:
    evidence, threshold = scope.of(c.EVIDENCE), scope.of(c.EVIDENCE_THRESHOLD)
    yield Record("watch_target:goldwatch_evidence:ratio", f"max by {PAIR} ({evidence} / {threshold})")
    for quantile in (0.5, 0.99):
        rate = f"sum by (watch, target, le) (rate({scope.of(c.REQUEST_LATENCY, '1h')}))"
        name = f"watch_target:goldwatch_request_latency_seconds:p{quantile * 100:g}_rate1h"
        yield Record(name, f"histogram_quantile({quantile:g}, {rate})")
    all_of_them = f"sum by {PAIR} (rate({scope.of(c.REQUESTS, '1h')}))"
    good = f"sum by {PAIR} (rate({scope.of(c.REQUESTS, '1h', outcome='ok')}))"
    unsent = f"sum by {PAIR} (rate({scope.of(c.REQUESTS, '1h', outcome='not_sent')}))"
    yield Record("watch_target:goldwatch_requests_failed:ratio_rate1h", f"1 - {good} / ({all_of_them} - {unsent})")
    yield from latency.records(scope)
