"""The requests of replays: how they ended and how long they took."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Kind, Metric

REQUESTS = Metric(
    "goldwatch_requests_total",
    "goldwatch.requests",
    Kind.COUNTER,
    "{request}",
    (*WATCH, "outcome"),
    "Requests of replays by how they ended; not_sent are those that a replay cut short had still to send.",
)
REQUEST_LATENCY = Metric(
    "goldwatch_request_latency_seconds",
    "goldwatch.request.latency",
    Kind.HISTOGRAM,
    "s",
    WATCH,
    "Latency of answered requests, without warm-up; from the intended time of sending for open loads.",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
FIRST_REQUEST = Metric(
    "goldwatch_request_first_latency_seconds",
    "goldwatch.request.first_latency",
    Kind.GAUGE,
    "s",
    WATCH,
    "Latency of the first request after the target was last opened, which is not in the histogram.",
)
REQUESTS_LATE = Metric(
    "goldwatch_requests_late_total",
    "goldwatch.requests.late",
    Kind.COUNTER,
    "{request}",
    WATCH,
    "Requests over the latency objective, with those that were given up or took their worker down; absent without one.",
)
