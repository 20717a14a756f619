"""docs/metrics.md, made from the catalogue: `python -m goldwatch.export.reference > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.catalogue.controllers import CONTROLLERS
from goldwatch.export.metric import LABELS, Kind, Metric

_HEAD = """\
# Metrics

Prometheus scrapes them at `/metrics`, as text or OpenMetrics, with `process_*` of the agent itself. With
`exporters.otlp` the agent pushes the same metrics to an OpenTelemetry collector, where a histogram is exponential, and
metrics that OpenTelemetry defines: `gen_ai.client.*` of [language models](traces.md#language-models), and the
[energy of the hardware](energy.md#the-energy-of-the-hardware).

The name for Prometheus is the OpenTelemetry name as OpenTelemetry translates it: a metric has one name in Prometheus,
whichever way it came. A label `watch` is the attribute `goldwatch.watch` in OpenTelemetry, and `goldwatch_watch` in a
Prometheus that receives OTLP. The resource has `service.name` (`goldwatch`) and a `service.instance.id` that survives
restarts: namespace, pod and container in Kubernetes, elsewhere a UUID of host and ledger. In Kubernetes
`service.namespace` is the namespace, so `job` is `NAMESPACE/goldwatch` there. `OTEL_RESOURCE_ATTRIBUTES` replaces them.
`goldwatch.clock.timestamp` is the sign of life: every push moves it. [Rules for that path](rules.md#metrics-over-otlp)
use it in place of `up`.

What is not known is absent, never zero. After a replay that could not be judged the last known scores and examples
stay, `goldwatch_replay_last_valid_timestamp_seconds` says how old they are, and `goldwatch_verdict` says `unknown`. A
score or monitor that is no longer computed ends with the first replay that has others. All series of a watch and target
end when they leave the config.

With `exporters.metrics: essential` only the metrics of that level are exported, to Prometheus and to a collector: about
50 series for a watch instead of 120 to 210 ([measured](performance.md#series)). All shipped rules work. Of the
dashboards, panels that read metrics of the level full say so. What a level leaves out is absent, not zero. A reload
changes the level; at `/metrics` no count is lost, those of a collector begin anew. `gen_ai.client.*` and the energy of
the hardware are pushed at both levels.
"""

_CONTROLLERS = """\
## Operator and webhook

These processes serve metrics of their own at `/metrics`, with `process_*`: the operator at port 8080, the webhook at
9444, both without TLS. They push nothing. Replicas of the operator also export `goldwatch_leader` and
`goldwatch_lease_errors_total`, as above.
"""

QUERIES = {
    "p99 latency over the last hour": "histogram_quantile(0.99, sum by (watch, target, le)"
    " (rate(goldwatch_request_latency_seconds_bucket[1h])))",
    "share of requests that failed": "sum by (watch, target)"
    ' (rate(goldwatch_requests_total{outcome!~"ok|withheld"}[1h]))'
    ' / sum by (watch, target) (rate(goldwatch_requests_total{outcome!="withheld"}[1h]))',
    "monitors that do not say steady": 'goldwatch_verdict{state!="steady"} == 1',
    "how near a monitor is to an alert": "goldwatch_evidence_log10 / goldwatch_evidence_threshold_log10",
    "scores with the model's version": "goldwatch_score"
    " * on (watch, target) group_left (version) goldwatch_target_info",
    "no valid replay for an hour": "time() - goldwatch_replay_last_valid_timestamp_seconds > 3600",
}
"""Questions that a user has, and the PromQL that answers them."""


def markdown() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *(_section(m) for m in CATALOGUE), *_controllers(), _labels(), _queries()])


def _controllers() -> Iterator[str]:
    yield _CONTROLLERS
    yield from (_section(m) for m in CONTROLLERS if m not in CATALOGUE)


def _section(metric: Metric) -> str:
    facts = [
        f"- {metric.kind}, OpenTelemetry `{metric.otel_name}`" + (f" in `{metric.unit}`" if metric.unit else ""),
        f"- labels: {', '.join(f'`{label}`' for label in metric.labels) or 'none'}",
    ]
    if metric not in CONTROLLERS or metric in CATALOGUE:
        facts.append(f"- level: {'full' if metric.essential is None else metric.essential}")
    if metric.kind is Kind.HISTOGRAM:
        facts.append(f"- buckets up to: {', '.join(f'{bound:g}' for bound in metric.buckets)}")
    return "\n".join([f"## `{metric.name}`", "", metric.help, "", *facts, ""])


def _labels() -> str:
    rows = [f"| `{label}` | {bound} |" for label, bound in LABELS.items()]
    return "\n".join(["## Labels", "", "| label | what bounds its values |", "|---|---|", *rows, ""])


def _queries() -> str:
    rows = [f"| {question} | `{query.replace('|', chr(92) + '|')}` |" for question, query in QUERIES.items()]
    return "\n".join(["## Queries to start from", "", "| question | PromQL |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(markdown())
