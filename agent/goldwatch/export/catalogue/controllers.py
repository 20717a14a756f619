"""The metrics of the operator and of the webhook, which are processes of their own: no agent exports them.

They are scraped only. `CONTROLLERS` is to these processes what `CATALOGUE` is to an agent.
"""

from __future__ import annotations

from goldwatch.export.catalogue.agent import LEADER, LEASE_ERRORS
from goldwatch.export.metric import Kind, Metric

CONTROLLER_INFO = Metric(
    "goldwatch_controller_info",
    "goldwatch.controller.info",
    Kind.INFO,
    "",
    ("component", "version"),
    "An operator or a webhook, and its version.",
    group=(),
)
RECONCILE_DURATION = Metric(
    "goldwatch_reconcile_duration_seconds",
    "goldwatch.reconcile.duration",
    Kind.HISTOGRAM,
    "s",
    ("model_namespace",),
    "Time that the operator takes to reconcile a namespace, failed attempts included.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RECONCILE_ERRORS = Metric(
    "goldwatch_reconcile_errors_total",
    "goldwatch.reconcile.errors",
    Kind.COUNTER,
    "{error}",
    ("model_namespace", "reason"),
    "Failures of the operator to read or write a namespace, by reason.",
)
RECONCILE_TIMESTAMP = Metric(
    "goldwatch_reconcile_success_timestamp_seconds",
    "goldwatch.reconcile.success_timestamp",
    Kind.GAUGE,
    "s",
    ("model_namespace",),
    "Unix time at which the operator last went through a namespace to its end. Absent where another replica acts.",
)
WATCHES = Metric(
    "goldwatch_watches",
    "goldwatch.watches",
    Kind.GAUGE,
    "{watch}",
    ("model_namespace", "reason"),
    "Watches by the reason of their condition Accepted. Absent where another replica acts.",
    group=("model_namespace",),
)
PODS_WITHOUT_SIDECAR = Metric(
    "goldwatch_pods_without_sidecar",
    "goldwatch.pods_without_sidecar",
    Kind.GAUGE,
    "{pod}",
    ("model_namespace",),
    "Pods with the annotation goldwatch.dev/config that have no sidecar: they lack the label goldwatch.dev/agent. "
    "Counted once a minute, in the operator's namespaces. Absent where another replica acts.",
)
REVIEWS = Metric(
    "goldwatch_webhook_reviews_total",
    "goldwatch.webhook.reviews",
    Kind.COUNTER,
    "{review}",
    ("result",),
    "Pods that the API server asked the webhook about, by result. A refused pod starts without the sidecar. "
    "Dry runs are not counted.",
)
CERTIFICATE_BEGINS = Metric(
    "goldwatch_webhook_certificate_not_before_timestamp_seconds",
    "goldwatch.webhook.certificate.not_before_timestamp",
    Kind.GAUGE,
    "s",
    (),
    "Unix time from which on the certificate that the webhook uses is valid.",
)
CERTIFICATE_ENDS = Metric(
    "goldwatch_webhook_certificate_not_after_timestamp_seconds",
    "goldwatch.webhook.certificate.not_after_timestamp",
    Kind.GAUGE,
    "s",
    (),
    "Unix time at which the certificate that the webhook uses expires.",
)

CONTROLLERS: tuple[Metric, ...] = (
    *(CONTROLLER_INFO, LEADER, LEASE_ERRORS, RECONCILE_DURATION, RECONCILE_ERRORS, RECONCILE_TIMESTAMP, WATCHES),
    *(PODS_WITHOUT_SIDECAR, REVIEWS, CERTIFICATE_BEGINS, CERTIFICATE_ENDS),
)
"""All metrics of operator and webhook, in the order in which they are shown."""
