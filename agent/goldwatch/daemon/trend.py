"""The history of one watch and target over some days, from the ledger, in at most `BINS` bins of equal length.

SQLite sorts the replays into bins, so that memory does not grow with the number of replays. A bin keeps the least and
the greatest value, so that one bad replay of 90 days stays visible. What was not measured is in no bin, and longer
pauses are in `gaps`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from goldwatch.core.event import Event
from goldwatch.core.monitors.silent import SILENT_AFTER
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.history import History

BINS = 240
MOST_DAYS = 90
"""The ledger keeps the replays of so many days."""
_DAY_S = 86_400.0
_MOST_PARSED = 8_640
"""Latencies are in the text of a judgement. Where there are more replays, those of every second or third are read."""
_MOST_MARKS = 200
"""Events, alerts and gaps, of each the newest."""


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """A score in a bin: its extremes, and those of its intervals. `at` is the mean Unix time of its replays."""

    at: float
    least: float
    greatest: float
    low: float
    high: float
    replays: int


@dataclass(frozen=True, slots=True)
class LatencyBin:
    """One quantile of latency in a bin: the extremes of those that could be certified."""

    at: float
    q: float
    least_s: float
    greatest_s: float


@dataclass(frozen=True, slots=True)
class EvidenceBin:
    """The greatest evidence of a monitor in a bin, and the threshold that it had, both log10 of e-values."""

    at: float
    monitor: str
    evidence: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Trend:
    """What the ledger holds of a watch and target between two Unix times. `score` is empty if there was none yet.

    `latency` is of one of every `latency_every` replays, without those that are invalid. `gaps` are the times without a
    valid replay that are longer than the watch may be silent; if `older_gaps`, there are more before these.
    """

    since: float
    until: float
    bin_s: float
    score: str
    latency_every: int = 1
    scores: tuple[ScoreBin, ...] = ()
    latency: tuple[LatencyBin, ...] = ()
    evidence: tuple[EvidenceBin, ...] = ()
    gaps: tuple[tuple[float, float], ...] = ()
    older_gaps: bool = False
    events: tuple[Event, ...] = ()
    alerts: tuple[Alert, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can carry."""
        names = ("scores", "latency", "evidence", "events")
        return {
            "since": self.since,
            "until": self.until,
            "bin_s": self.bin_s,
            "score": self.score or None,
            "latency_every": self.latency_every,
            "gaps": [list(gap) for gap in self.gaps],
            "older_gaps": self.older_gaps,
            **{name: [asdict(each) for each in getattr(self, name)] for name in names},
            "alerts": [
                {
                    "number": a.number,
                    "severity": a.severity,
                    "monitors": list(a.monitors),
                    "opened_at": a.opened_at,
                    "closed_at": a.closed_at,
                    "calls": a.calls,
                    "headline": a.headline,
                }
                for a in self.alerts
            ],
        }


def trend(history: History, key: tuple[str, str], score: str, now: float, days: int, every_s: float) -> Trend:
    """Read the `days` before Unix time `now` of a watch and target, which replays every `every_s` seconds on average.

    The end is rounded up to a whole bin, so that bins do not change with each second.
    """
    bin_s = days * _DAY_S / BINS
    until = math.ceil(now / bin_s) * bin_s
    since = until - days * _DAY_S
    within, bins = (*key, since, until), (since, bin_s)
    count = history.select(_COUNT, *within)[0]["count"]
    every = -(-count // _MOST_PARSED) or 1
    gaps, older_gaps = _gaps(history, key, (since, until), now, SILENT_AFTER * every_s)
    return Trend(
        since,
        until,
        bin_s,
        score,
        every,
        scores=tuple(ScoreBin(**row) for row in history.select(_SCORES, score, *within, *bins)),
        latency=tuple(LatencyBin(**row) for row in history.select(_LATENCY, *within, every, *bins)),
        evidence=tuple(EvidenceBin(**row) for row in history.select(_EVIDENCE, *within, *bins)),
        gaps=gaps,
        older_gaps=older_gaps,
        events=tuple(history.changes(key[1], since, until, _MOST_MARKS)),
        alerts=tuple(history.alerts_of(*key, since, _MOST_MARKS)),
    )


def _gaps(
    history: History, key: tuple[str, str], within: tuple[float, float], now: float, longest_s: float
) -> tuple[tuple[tuple[float, float], ...], bool]:
    """Return the newest times without a valid replay that last longer than `longest_s`, up to both ends.

    And say whether there are older ones.
    """
    since, until = within
    rows = history.select(_PAUSES, *key, since, until, longest_s, _MOST_MARKS + 1)
    first, last = history.select(_ENDS, *key, since, until)[0].values()
    if first is None:
        return ((since, until),), False
    gaps, older = [(row["ended"], row["began"]) for row in reversed(rows[:_MOST_MARKS])], len(rows) > _MOST_MARKS
    if first - since > longest_s and not older:
        gaps.insert(0, (since, first))
    if now - last > longest_s:
        gaps.append((last, until))
    return tuple(gaps), older


_WITHIN = "WHERE r.watch = ? AND r.target = ? AND r.started_at BETWEEN ? AND ?"
_BIN = "CAST((r.started_at - ?) / ? AS INTEGER)"
_SCORES = f"""
SELECT avg(r.started_at) AS at, min(s.value) AS least, max(s.value) AS greatest, min(s.low) AS low,
    max(s.high) AS high, count(*) AS replays
FROM replays r JOIN scores s ON s.replay = r.id AND s.name = ? {_WITHIN} GROUP BY {_BIN} ORDER BY at
"""  # noqa: S608 - the text is ours
_EVIDENCE = f"""
SELECT avg(r.started_at) AS at, v.monitor, max(v.evidence) AS evidence, max(v.threshold) AS threshold
FROM replays r JOIN verdicts v ON v.replay = r.id {_WITHIN} AND v.evidence IS NOT NULL AND v.threshold > 0
GROUP BY v.monitor, {_BIN} ORDER BY v.monitor, at
"""  # noqa: S608 - the text is ours
_LATENCY = f"""
SELECT avg(r.started_at) AS at, json_extract(j.value, '$.q') AS q, min(json_extract(j.value, '$.latency_s')) AS least_s,
    max(json_extract(j.value, '$.latency_s')) AS greatest_s
FROM (SELECT r.id, row_number() OVER (ORDER BY r.started_at DESC) - 1 AS place FROM replays r {_WITHIN}
        AND r.validity != 'invalid') n
    JOIN replays r ON r.id = n.id,
    json_each(iif(json_valid(r.judgement), r.judgement, '{{}}'), '$.quantiles') j
WHERE n.place % ? = 0 AND json_extract(j.value, '$.latency_s') IS NOT NULL
GROUP BY q, {_BIN} ORDER BY q, at
"""  # noqa: S608 - the text is ours
_PAUSES = f"""
SELECT ended, began FROM (
    SELECT lag(r.started_at) OVER (ORDER BY r.started_at) AS ended, r.started_at AS began
    FROM replays r {_WITHIN} AND r.validity = 'valid'
) WHERE began - ended > ? ORDER BY began DESC LIMIT ?
"""  # noqa: S608 - the text is ours
_COUNT = f"SELECT count(*) AS count FROM replays r {_WITHIN}"  # noqa: S608 - ours
_ENDS = f"SELECT min(r.started_at), max(r.started_at) FROM replays r {_WITHIN} AND r.validity = 'valid'"  # noqa: S608 - ours
