"""Rules for metrics that reach Prometheus over OTLP: the same rules, with the labels that attributes become there.

`goldwatch.watch` is `goldwatch_watch` in a Prometheus that receives OTLP, `job` is service namespace and name, and
`instance` the id of the agent. Alerts get the labels of a scrape back, so that Alertmanager routes and inhibits alike.
"""

from __future__ import annotations

import re
from dataclasses import replace

from goldwatch.export.metric import LABELS, pushed_label
from goldwatch.rules.rule import AlertRule, RecordingRule, RuleGroup

_STRING_OR_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()')
"""A text in quotes, or a name that is not that of a function: `time()` is no label, `time` is one."""
_ACTION = re.compile(r"{{.*?}}")
_IN_ACTION = re.compile(r'(?P<before>\$labels\.|\.Labels\.|sortByLabel ")(?P<label>\w+)|`(?P<query>[^`]*)`')
_NAMESPACE = '{{ with $labels.namespace }}{{ . }}{{ else }}{{ reReplaceAll "/?[^/]*$" "" $labels.job }}{{ end }}'
"""The pod's namespace, which is the service namespace: `ml/goldwatch` without its end."""
_RESTORED = ("watch", "target", "monitor")


def renamed(group: RuleGroup) -> RuleGroup:
    """Return a group with the labels of its rules renamed."""
    return RuleGroup(group.name, tuple(_rule(rule) for rule in group.rules))


def _rule(rule: RecordingRule | AlertRule) -> RecordingRule | AlertRule:
    if isinstance(rule, RecordingRule):
        return RecordingRule(rule.name, _query(rule.expr))
    model = {"model": "target"} if "$labels.target" in rule.summary else {}
    used = {label: label for label in _RESTORED if f"$labels.{label}" in rule.summary}
    labels = {name: f"{{{{ $labels.{pushed_label(label)} }}}}" for name, label in {**model, **used}.items()}
    return replace(
        rule,
        expr=_query(rule.expr),
        summary=_template(rule.summary),
        description=_template(rule.description),
        details=_template(rule.details),
        served_at="",
        runbook_label=_name(rule.runbook_label),
        labels={"namespace": _NAMESPACE, **labels},
    )


def _name(label: str) -> str:
    return pushed_label(label) if label in LABELS else label


def _query(promql: str) -> str:
    return _STRING_OR_NAME.sub(lambda found: _name(found[0]), promql)


def _template(text: str) -> str:
    return _ACTION.sub(lambda action: _IN_ACTION.sub(_in_action, action[0]), text)


def _in_action(found: re.Match[str]) -> str:
    if found["query"] is not None:
        return f"`{_query(found['query'])}`"
    return found["before"] + _name(found["label"])
