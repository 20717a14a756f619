"""Live traffic: what came, what of it was read, and when a window of it was last compared with the reference."""

from __future__ import annotations

from goldwatch.export.metric import WATCH, Kind, Metric

LIVE_REQUESTS = Metric(
    "goldwatch_live_requests_total",
    "goldwatch.live.requests",
    Kind.COUNTER,
    "{request}",
    (*WATCH, "fate"),
    "Live requests by what became of them: judged, sampled_out, synthetic (goldwatch's own), refused (too large, too "
    "many or no request). Counted when a window is judged. Absent for a watch without the section live.",
)
LIVE_ROWS = Metric(
    "goldwatch_live_rows_total",
    "goldwatch.live.rows",
    Kind.COUNTER,
    "{row}",
    (*WATCH, "read"),
    "Rows of live requests: compared with the reference (yes), unreadable (no), and left out because more rows than "
    "live.clusters.max_rows have the same key (cut).",
)
LIVE_WINDOWS = Metric(
    "goldwatch_live_windows_total",
    "goldwatch.live.windows",
    Kind.COUNTER,
    "{window}",
    WATCH,
    "Windows of live rows that were compared with the reference.",
)
LIVE_WINDOW_TIMESTAMP = Metric(
    "goldwatch_live_window_last_timestamp_seconds",
    "goldwatch.live.window.last.timestamp",
    Kind.GAUGE,
    "s",
    WATCH,
    "When the first request of the last window of live rows came, as Unix time.",
)
