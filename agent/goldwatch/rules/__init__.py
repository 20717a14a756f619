"""Recording rules and alerts for Prometheus and Grafana, for any config or for one.

They hand on what the agent has found, and say what an agent cannot say itself: that it is gone, or stuck. Every metric
that they ask for is in the catalogue.
"""

from goldwatch.rules.build import Options, groups, scope_of
from goldwatch.rules.formats import FORMATS, grafana_groups
from goldwatch.rules.rule import MATCHED, Alert, Group, Record, Scope

__all__ = ["FORMATS", "MATCHED", "Alert", "Group", "Options", "Record", "Scope", "grafana_groups", "groups", "scope_of"]
