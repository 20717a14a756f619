"""The one catalogue of metrics: Prometheus, OTLP, dashboards, alert rules and docs/metrics.md are made from it.

Numbers are values and never labels; quantiles come from the histogram. A ratio is between 0 and 1. A group of metrics
is a module; add a new one here, in the order of display.
"""

from __future__ import annotations

from goldwatch.export.metric import Metric

# isort: off
from goldwatch.export.catalogue.agent import *  # noqa: F403 - the metrics of a group are those of the catalogue
from goldwatch.export.catalogue.target import *  # noqa: F403
from goldwatch.export.catalogue.objective import *  # noqa: F403
from goldwatch.export.catalogue.replay import *  # noqa: F403
from goldwatch.export.catalogue.courtesy import *  # noqa: F403
from goldwatch.export.catalogue.request import *  # noqa: F403
from goldwatch.export.catalogue.tokens import *  # noqa: F403
from goldwatch.export.catalogue.score import *  # noqa: F403
from goldwatch.export.catalogue.difference import *  # noqa: F403
from goldwatch.export.catalogue.slice import *  # noqa: F403
from goldwatch.export.catalogue.energy import *  # noqa: F403
from goldwatch.export.catalogue.live import *  # noqa: F403
from goldwatch.export.catalogue.verdict import *  # noqa: F403

# isort: on

CATALOGUE: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics, in the order in which they are shown."""
