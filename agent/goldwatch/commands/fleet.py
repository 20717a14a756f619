"""Finds the significant monitors among many models, by the evidence that their agents export to Prometheus.

Each model has a budget of its own, so among a hundred some monitor is suspect at any time. The e-BH procedure (Wang and
Ramdas 2022) ranks them together: of N monitors the first k are significant if the k-th has at least N/k times its own
threshold of evidence. Alone it takes N times; the more there are, the less each of them needs.

Prometheus counts and sorts: each answer is one number, or the few monitors that are shown. So memory and answers
are bounded, however many monitors there are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from goldwatch.commands.text_table import text_table
from goldwatch.export import catalogue as c
from goldwatch.http_reading import Unreadable, prometheus_series

_SUSPECT = 0.5
_NAMES = ("namespace", "job", "watch", "target", "monitor")
_PATIENCE_S = 120.0
"""Prometheus's own default for the longest query."""

_BY = ", ".join(_NAMES)


@dataclass(frozen=True, slots=True)
class MonitorStanding:
    """One monitor of the fleet; evidence and threshold are log10.

    `namespace` and `job` are those that Prometheus gave it: what teams call alike is not the same.
    """

    watch: str
    target: str
    monitor: str
    evidence: float
    threshold: float
    namespace: str = ""
    job: str = ""

    @property
    def beyond(self) -> float:
        """The log10 of how many times its evidence is what its own budget asks for."""
        return self.evidence - self.threshold

    @property
    def called(self) -> str:
        """The target's name, after its namespace if it has one."""
        return f"{self.namespace}/{self.target}" if self.namespace else self.target


@dataclass(frozen=True, slots=True)
class Ranked:
    """A fleet: how many monitors and targets it has, how many are significant, and some of the monitors.

    `shown` are those with most evidence for their threshold, most first; the first `k` of all are significant.
    `suspects` is how many have half of their threshold, or more, those with all of it included.
    """

    monitors: int
    targets: int
    k: int
    suspects: int
    shown: tuple[MonitorStanding, ...]


def read(server: str, headers: Mapping[str, str], limit: int) -> Ranked:
    """Rank what a Prometheus knows, of each monitor the replica with most evidence; `limit` monitors are shown.

    All queries are of one moment. Raises Unreadable.
    """
    now = prometheus_series(server, "time()", headers)
    if not now:
        raise Unreadable(f"{server} did not answer as Prometheus does: it knows no time()")
    at = now[0][1]

    def series(query: str) -> list[tuple[Mapping[str, str], float]]:
        return prometheus_series(server, query, headers, at, _PATIENCE_S)

    def count(what: str) -> int:
        found = series(f"count({what})")
        return int(found[0][1]) if found else 0

    evidence, threshold = (f"max by ({_BY}) ({each.name})" for each in (c.EVIDENCE, c.EVIDENCE_THRESHOLD))
    beyond = f"({evidence} - {threshold})"
    suspect = f"({beyond} and ({evidence} >= {_SUSPECT} * {threshold}))"
    monitors = count(beyond)
    targets = count(f"count by (namespace, job, target) ({beyond})")
    k = significant(monitors, lambda least: count(f"{beyond} >= {least!r}"))
    first = f"topk({limit}, {suspect})"
    differences = {_key(labels): value for labels, value in series(first)}
    needed = {_key(labels): value for labels, value in series(f"{threshold} and {first}")}
    shown = [
        MonitorStanding(**dict(zip(_NAMES, key, strict=True)), evidence=value + needed[key], threshold=needed[key])
        for key, value in sorted(differences.items(), key=lambda each: (-each[1], each[0]))
        if key in needed
    ]
    return Ranked(monitors, targets, k, count(suspect), tuple(shown))


def _key(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in _NAMES)


def significant(n: int, count: Callable[[float], int]) -> int:
    """Return k of e-BH among `n` monitors: the largest with N/k times the threshold, or more, in the k-th of them.

    `count` says how many have at least so much beyond their threshold, in log10. From k = N on, the number that have
    what k of them need is never less than the largest such k, and equal to it at the end.
    """
    k = n
    while k and (enough := count(math.log10(n / k))) < k:
        k = enough
    return k


def as_json(ranked: Ranked) -> str:
    """Write the counts, and the monitors that are shown, for programs."""
    rows = [asdict(each) | {"stands_out": place < ranked.k} for place, each in enumerate(ranked.shown)]
    counts = {
        "total": ranked.monitors,
        "targets": ranked.targets,
        "suspects": ranked.suspects,
        "left_out": max(ranked.suspects - len(rows), 0),
    }
    return json.dumps({"monitors": rows, "stand_out": ranked.k} | counts, indent=2) + "\n"


def as_text(ranked: Ranked) -> str:
    """Write the significant monitors, and those that are suspect by themselves."""
    return "\n".join(_lines(ranked)) + "\n"


def _lines(ranked: Ranked) -> Iterator[str]:
    yield (
        f"{_count(ranked.monitors, 'monitor')} of {_count(ranked.targets, 'target')}, "
        f"{ranked.k:,} stand{'s' * (ranked.k == 1)} out"
    )
    shown = [
        ("stands out" if place < ranked.k else "alerts" if each.beyond >= 0 else "suspect", each)
        for place, each in enumerate(ranked.shown)
    ]
    if not shown:
        return
    rows = [("", "target", "watch", "monitor", "evidence", "needed")]
    rows += [
        (how, each.called, each.watch, each.monitor, f"{each.evidence:.1f}", f"{each.threshold:.1f}")
        for how, each in shown
    ]
    yield from (f"  {line}" for line in text_table(rows))
    if (left_out := ranked.suspects - len(shown)) > 0:
        yield f"  and {left_out:,} more with less evidence; --limit shows more"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
