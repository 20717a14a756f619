"""Finds the significant monitors among many models, by the evidence that their agents export to Prometheus.

Each model has a budget of its own, so among a hundred some monitor is suspect at any time. The e-BH procedure (Wang and
Ramdas 2022) ranks them together: of N monitors the first k are significant if the k-th has at least N/k times its own
threshold of evidence. Alone it takes N times; the more there are, the less each of them needs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from goldwatch.commands.text_table import text_table
from goldwatch.export import catalogue as c
from goldwatch.export.metric import Metric
from goldwatch.http_reading import prometheus_series

_SUSPECT = 0.5
_NAMES = ("namespace", "job", "watch", "target", "monitor")


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
    """All monitors of a fleet, those with most evidence first; the first `k` are significant."""

    monitors: tuple[MonitorStanding, ...]
    k: int


def read(server: str, headers: Mapping[str, str]) -> list[MonitorStanding]:
    """Ask Prometheus for the evidence of each monitor, from whichever replica has most. Raises Unreadable."""
    evidence, threshold = (_told(server, metric, headers) for metric in (c.EVIDENCE, c.EVIDENCE_THRESHOLD))
    return [
        MonitorStanding(**dict(zip(_NAMES, key, strict=True)), evidence=evidence[key], threshold=threshold[key])
        for key in sorted(evidence.keys() & threshold.keys())
    ]


def _told(server: str, metric: Metric, headers: Mapping[str, str]) -> dict[tuple[str, ...], float]:
    found = prometheus_series(server, f"max by ({', '.join(_NAMES)}) ({metric.name})", headers)
    return {tuple(each.get(name, "") for name in _NAMES): n for each, n in found}


def rank(monitors: Sequence[MonitorStanding]) -> Ranked:
    """Rank them by e-BH: `k` is the largest with N/k times the threshold, or more, in the k-th of them."""
    ordered = sorted(monitors, key=lambda m: -m.beyond)
    n = len(ordered)
    found = [k for k, each in enumerate(ordered, 1) if each.beyond >= math.log10(n / k)]
    return Ranked(tuple(ordered), max(found, default=0))


def as_json(ranked: Ranked) -> str:
    """Write all monitors for programs."""
    rows = [asdict(each) | {"stands_out": place < ranked.k} for place, each in enumerate(ranked.monitors)]
    return json.dumps({"monitors": rows, "stand_out": ranked.k}, indent=2) + "\n"


def as_text(ranked: Ranked) -> str:
    """Write the significant monitors, and those that are suspect by themselves."""
    return "\n".join(_lines(ranked)) + "\n"


def _lines(ranked: Ranked) -> Iterator[str]:
    n, models = len(ranked.monitors), len({(each.job, each.called) for each in ranked.monitors})
    yield f"{_count(n, 'monitor')} of {_count(models, 'target')}, {ranked.k:,} stand{'s' * (ranked.k == 1)} out"
    shown = [
        ("stands out" if place < ranked.k else "alerts" if each.beyond >= 0 else "suspect", each)
        for place, each in enumerate(ranked.monitors)
        if place < ranked.k or each.evidence >= _SUSPECT * each.threshold
    ]
    if not shown:
        return
    rows = [("", "target", "watch", "monitor", "evidence", "needed")]
    rows += [
        (how, each.called, each.watch, each.monitor, f"{each.evidence:.1f}", f"{each.threshold:.1f}")
        for how, each in shown
    ]
    yield from (f"  {line}" for line in text_table(rows))


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
