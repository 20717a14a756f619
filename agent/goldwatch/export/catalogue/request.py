"""The requests of replays: how they ended and how long they took."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Essential, Kind, Metric

REQUESTS = Metric(
    "goldwatch_requests_total",
    "goldwatch.requests",
    Kind.COUNTER,
    "{request}",
    (*WATCH, "outcome"),
    "Requests of replays by how they ended. not_sent: the target failed or was too slow, so the replay gave up. "
    "withheld: goldwatch ended the replay itself. If the target cannot be opened, all are unreachable.",
    essential=Essential(kept=("outcome", "ok", "not_sent", "withheld"), rest="failed"),
)
REQUEST_LATENCY = Metric(
    "goldwatch_request_latency_seconds",
    "goldwatch.request.latency",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "Latency of answered requests, without warm-up and invalid replays; from the intended time of sending for open "
    "loads. With a latency objective, that is a bound of a bucket, and so are fixed shares and multiples of it "
    "(1/64 to 16).",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    essential=Essential(bounds=(3, 6, 8, 10, 12, 15)),
)
DISPATCH_LATENESS = Metric(
    "goldwatch_dispatch_lateness_seconds",
    "goldwatch.dispatch.lateness",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "By how much goldwatch itself sent requests of open loads after they were due; waiting for the server is left out.",
    buckets=(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.1, 1),
)
FIRST_REQUEST = Metric(
    "goldwatch_request_first_latency_seconds",
    "goldwatch.request.first_latency",
    Kind.GAUGE,
    "s",
    WATCH,
    "Latency of the first request after the target was last opened, which is not in the histogram.",
)
REQUESTS_RESENT = Metric(
    "goldwatch_requests_resent_total",
    "goldwatch.requests_resent",
    Kind.COUNTER,
    "{request}",
    WATCH,
    "Requests sent again, once, on a new connection: the server had closed an idle one as the request was on its way.",
)
REQUESTS_LATE = Metric(
    "goldwatch_requests_late_total",
    "goldwatch.requests_late",
    Kind.COUNTER,
    "{request}",
    WATCH,
    "Requests over the latency objective, with those that were given up or took their worker down, and without those "
    "of invalid replays; absent without one.",
    essential=Essential(),
)


def latency_buckets(limit_s: float | None) -> tuple[float, ...]:
    """Return the bounds for a latency objective in seconds: close together around it, and itself one of them."""
    return (
        ()
        if limit_s is None
        else tuple(float(f"{limit_s * share:.6g}") if share != 1 else limit_s for share in _SHARES)
    )


_SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1, 9 / 8, 5 / 4, 3 / 2, 2, 4, 8, 16)
"""As many as the metric has without an objective."""
