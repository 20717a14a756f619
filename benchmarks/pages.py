"""The page of a watch over 90 days of replays every 5 minutes, and the status page of 1,000 watches.

The ledger is made, with judgements of several kilobytes that all differ. CPU time is what a page takes on a quiet core;
memory is the growth of the greatest resident size of this process while the pages are made.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from goldwatch.config import load
from goldwatch.core.judgement import Difference, Findings, Flip, Judgement, Quantile, Run, Score, Subject, Validity
from goldwatch.daemon.in_force import InForce, assignments
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.status import Status
from goldwatch.daemon.status_page import Query, status_page
from goldwatch.daemon.watch_page import watch_page
from goldwatch.golden.facts import GoldenFacts

from benchmarks.figures import Figure

REPLAYS, EVERY_S = 25_920, 300.0
WATCHES = 1000
AIM_MS = 1000.0
_NOW = 1_800_000_000.0
_MONITORS = ("worse", "failing", "slow", "slower", "moved", "costly")
_FACTS = GoldenFacts("somewhere", "digits", "sha256:00", "00", "classification", 600, True, (), ())


def measure() -> list[Figure]:
    """Make the pages."""
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        path = Path(folder) / "goldwatch.db"
        Ledger(path).close()
        _fill(path)
        wanted = _in_force(Path(folder))
        status = Status(path, lambda: wanted, lambda: _NOW)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        month_ms, _ = _taken(lambda: watch_page_of(status, 30))
        quarter_ms, page = _taken(lambda: watch_page_of(status, 90))
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1000
        list_ms, whole = _taken(lambda: status_page(status.watches(WATCHES + 1), [], Query()))
        status.close()
    return [
        Figure("CPU of the page of a watch, 30 days", month_ms, "ms", AIM_MS),
        Figure(f"CPU of the page of a watch, 90 days ({REPLAYS:,} replays)", quarter_ms, "ms", AIM_MS),
        Figure("memory that these pages take at most", grown_mb, "MB"),
        Figure("weight of the page of a watch, 90 days", len(page.encode()) / 1000, "kB", 400.0),
        Figure(f"CPU of the status page, {WATCHES:,} watches", list_ms, "ms", AIM_MS),
        Figure(f"weight of the status page, {WATCHES:,} watches", len(whole.encode()) / 1000, "kB", 400.0),
    ]


def watch_page_of(status: Status, days: int) -> str:
    """Make the page of the first watch."""
    view = status.view("w0", "", days)
    assert view is not None
    return watch_page(view)


def _taken(make: Callable[[], str]) -> tuple[float, str]:
    """Return the CPU time in milliseconds, and the page."""
    began_s = time.process_time()
    page = make()
    return 1000 * (time.process_time() - began_s), page


def _in_force(folder: Path) -> InForce:
    file = folder / "goldwatch.yaml"
    watches = "".join(f"  w{i}: {{every: 5m, objectives: {{latency: 50ms at p99}}}}\n" for i in range(WATCHES))
    file.write_text(
        'targets: {served: {probe: open-inference, url: "http://localhost:8000", model: digits}}\n'
        f"golden: {{digits: golden}}\nwatches:\n{watches}"
    )
    config = load(file)
    return InForce(config, tuple(assignments(config, {"digits": _FACTS})))


def _fill(path: Path) -> None:
    """Write the replays of the first watch over 90 days, and one of each other."""
    with sqlite3.connect(path) as db:
        for i in range(REPLAYS + WATCHES - 1):
            watch = f"w{max(i - REPLAYS + 1, 0)}"
            at = _NOW - EVERY_S * max(REPLAYS - i, 1)
            latency_s = 0.002 + i % 97 * 1e-5
            scores = tuple(Score(n, 0.95, 0.93, 0.97, 600, 0.952) for n in ("accuracy", "top-5", "macro-f1"))
            told = Judgement(
                Subject(watch, "served", "digits", "sha256:00", "classification", 600, "open-inference"),
                Run(at, 1.5),
                Findings(
                    Validity.VALID,
                    (),
                    {"ok": 600},
                    quantiles=tuple(Quantile(q, latency_s * (1 + q)) for q in (0.5, 0.9, 0.99)),
                    scores=scores,
                    difference=Difference(600, 9, 9, 0, 0, 0.1, tuple(Flip(k, "8", "8", "1") for k in range(30)), ()),
                ),
            )
            row = (i + 1, watch, "served", at, "valid", json.dumps(told.to_json()), at)
            db.execute("INSERT INTO replays VALUES (?, ?, ?, ?, ?, ?, NULL, ?)", row)
            kept = [(i + 1, s.name, s.value - i % 7 * 1e-4, s.low, s.high, s.n, s.reference) for s in scores]
            db.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", kept)
            verdicts = [(i + 1, name, "steady", i % 13 / 10, 5.6) for name in _MONITORS]
            db.executemany("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?)", verdicts)
    db.close()
