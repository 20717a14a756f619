"""Rules as files: for Prometheus, for the Prometheus operator, and for Grafana's own alerting."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from goldwatch.rules.build import RuleOptions, groups
from goldwatch.rules.rule import AlertRule, RecordingRule, RuleGroup, Scope

FOLDER = "goldwatch"
_INTERVAL_S = 60
_UID_LENGTH = 40


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as people do."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def prometheus(scope: Scope, options: RuleOptions) -> str:
    """Return a file for `rule_files` of Prometheus."""
    return _dumped({"groups": [_group(group, options) for group in groups(scope)]})


def prometheus_rule(scope: Scope, options: RuleOptions) -> str:
    """Return a PrometheusRule for the Prometheus operator."""
    return _dumped(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": "-".join(dict.fromkeys(["goldwatch", options.name])),
                "labels": {"app.kubernetes.io/name": "goldwatch"},
            },
            "spec": {"groups": [_group(group, options) for group in groups(scope)]},
        }
    )


def grafana(scope: Scope, options: RuleOptions) -> str:
    """Return a file for Grafana's provisioning of alert rules."""
    return _dumped({"apiVersion": 1, "groups": [{"orgId": 1, **group} for group in grafana_groups(scope, options)]})


def grafana_groups(scope: Scope, options: RuleOptions) -> list[dict[str, Any]]:
    """Return the groups as Grafana's API and its files have them: name, folder, interval and rules."""
    return [
        {
            "name": _group_name(group, options),
            "folder": FOLDER,
            "interval": f"{_INTERVAL_S}s",
            "rules": [_grafana_rule(rule, options) for rule in group.rules if isinstance(rule, AlertRule)],
        }
        for group in groups(scope, recorded=False)
    ]


FORMATS: Mapping[str, Callable[[Scope, RuleOptions], str]] = {
    "prometheus": prometheus,
    "prometheusrule": prometheus_rule,
    "grafana": grafana,
}


def _group(group: RuleGroup, options: RuleOptions) -> dict[str, Any]:
    rules = [_record(r) if isinstance(r, RecordingRule) else _alert(r, options) for r in group.rules]
    return {"name": _group_name(group, options), "rules": rules}


def _group_name(group: RuleGroup, options: RuleOptions) -> str:
    return group.name if options.name == "goldwatch" else f"{options.name}-{group.name}"


def _record(record: RecordingRule) -> dict[str, Any]:
    return {"record": record.name, "expr": record.expr}


def _alert(alert: AlertRule, options: RuleOptions) -> dict[str, Any]:
    found: dict[str, Any] = {"alert": alert.name, "expr": alert.expr}
    if alert.hold_s:
        found["for"] = f"{alert.hold_s}s"
    if alert.keep_s:
        found["keep_firing_for"] = f"{alert.keep_s}s"
    return found | {
        "labels": _labels(alert, options),
        "annotations": _annotations(alert, options, alert.details, alert.served_at),
    }


def _labels(alert: AlertRule, options: RuleOptions) -> dict[str, str]:
    """Return the labels that route alerts. `model` is the target: the deployed model's name to its owners."""
    model = {"model": "{{ $labels.target }}"} if "$labels.target" in alert.summary else {}
    severity = options.severities.get(alert.severity, alert.severity)
    return {"severity": severity, **model, **alert.labels, **options.labels}


def _annotations(alert: AlertRule, options: RuleOptions, details: str = "", served_at: str = "") -> dict[str, str]:
    base, runbook = options.runbooks.rstrip("/"), alert.runbook
    if alert.runbook_label:
        name = f"with $labels.{alert.runbook_label}"  # "worse:NAME", of a score, has the runbook of "worse"
        runbook = f'{{{{ {name} }}}}{{{{ reReplaceAll ":.*" "" . }}}}{{{{ else }}}}{runbook}{{{{ end }}}}'
    if base:
        link = {"runbook_url": f"{base}/{runbook}.md"}
    elif served_at:
        link = {"runbook_url": f"{served_at}{runbook}"}
    else:
        link = {"runbook": f"{runbook}.md"}
    description = f"{alert.description}\n{details}" if details else alert.description
    return {"summary": alert.summary, "description": description, **link}


def _grafana_rule(alert: AlertRule, options: RuleOptions) -> dict[str, Any]:
    """Return a rule whose query gives 1 for each series that alerts, and nothing else: any value to the power of 0."""
    query = {
        "refId": "A",
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": options.datasource,
        "model": {"refId": "A", "expr": f"({alert.expr}) ^ 0", "instant": True, "range": False},
    }
    over = {"evaluator": {"type": "gt", "params": [0]}}
    threshold = {
        "refId": "B",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {"refId": "B", "type": "threshold", "expression": "A", "conditions": [over]},
    }
    return {
        "uid": _uid(f"{options.name} {alert.name}"),
        "title": alert.name if options.name == "goldwatch" else f"{options.name}: {alert.name}",
        "condition": "B",
        "data": [query, threshold],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{alert.hold_s}s",
        "labels": _labels(alert, options),
        "annotations": _annotations(_without_value(alert), options),
    }


def _without_value(alert: AlertRule) -> AlertRule:
    """Take out what speaks of the value, which is always 1 in Grafana."""
    text = re.sub(r"\{\{ \$value \| humanizePercentage \}\}", "Too large a share", alert.description)
    return replace(alert, description=re.sub(r"\{\{ \$value \| humanize \}\}", "Some", text))


def _uid(name: str) -> str:
    """Return an identity that stays the same, of the letters and the length that Grafana takes."""
    written = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(written) <= _UID_LENGTH:
        return written
    return f"{written[: _UID_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _dumped(value: Mapping[str, Any] | Sequence[Any]) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)
    return text
