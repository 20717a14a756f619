"""Recording rules and alerts for Prometheus and Grafana, for any config or for one.

They pass on the agent's findings, and detect what an agent cannot report itself: that it is gone, or stuck. Every
metric in them is in the catalogue.
"""

from goldwatch.rules.build import RuleOptions, groups, scope_of
from goldwatch.rules.formats import FORMATS, grafana_groups
from goldwatch.rules.rule import MATCHED, AlertRule, RecordingRule, RuleGroup, Scope

__all__ = [
    "FORMATS",
    "MATCHED",
    "AlertRule",
    "RecordingRule",
    "RuleGroup",
    "RuleOptions",
    "Scope",
    "grafana_groups",
    "groups",
    "scope_of",
]
