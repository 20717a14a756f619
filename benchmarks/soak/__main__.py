"""Soak one agent: `python -m benchmarks.soak [--minutes N]`. Prints the result, and keeps it if it took an hour.

Exit code 1 if an aim is missed: nothing lost, a sound model never suspected, /metrics under 250 ms at p99, memory flat,
SIGTERM ends the agent within 5 s.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.soak import findings, readings, report, setting
from benchmarks.soak.harm import Harm

RESULT = Path("benchmarks/results/soak.json")
KEPT_FROM_MINUTES = 60

_WARM_S = 300
"""Memory settles in the first minutes of an agent; a slope is taken from then on, or from half of a short life on."""


def soak(minutes: float, folder: Path) -> dict[str, Any]:
    """Run a soak in a folder and return what it found."""
    load = os.getloadavg()[0]
    with setting.running(folder) as at:
        agent, read = at.agent, readings.Readings(at.agent)
        looking = [setting.Every(1.0, read.sample), setting.Every(0.5, lambda: read.scrape(at.floor))]
        harm = Harm(agent, minutes * 60)
        harm.run()
        for each in looking:
            each.stop()
        begun, fell = at.begun(), harm.fell + (not agent.is_running())
        ended_s = agent.end(signal.SIGTERM)
    return {
        "run": {
            "at": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M}",
            "minutes": minutes,
            "cpus": os.cpu_count(),
            "load_at_start_and_end": [round(load, 1), round(os.getloadavg()[0], 1)],
            "python": platform.python_version(),
        },
        "kills": {"workers": harm.workers, "agent": harm.agents, "ended_by_itself": fell},
        "sigterm_s_most": round(max([*harm.terminated_s, ended_s]), 2),
        "replays": _replays(agent, begun),
        "memory": _memory(read.samples),
        "scrapes": _quantiles(read.scrapes_ms)
        | {"without_answer": sum(ms >= 1e3 * readings.NO_ANSWER_S for ms in read.scrapes_ms)},
        "loop": _quantiles(read.loop_ms),
        "floor": _quantiles(read.floor_ms),
        "log": _log(agent, minutes),
        "series": [
            [s.at_s, s.life, round(s.agent_mb, 1), round(sum(s.workers_mb), 1), s.descriptors]
            for s in read.samples[:: max(1, len(read.samples) // 360)]
        ],
    }


def _replays(agent: setting.Agent, begun: Mapping[str, list[float]]) -> dict[str, Any]:
    ledger = findings.Ledger.read(agent.ledger)
    replayed, _ = findings.logged(agent.log)
    found: dict[str, Any] = {"recorded": len(ledger.replays), "recorded_by_watch": {}}
    for row in ledger.replays:
        counts = found["recorded_by_watch"].setdefault(row.watch, {})
        counts[row.validity] = counts.get(row.validity, 0) + 1
    fates = [findings.fates(times, ledger.of(model), agent.killed_at) for model, times in begun.items()]
    kept, at_end, lost = (sum(counts) for counts in zip(*fates, strict=True))
    rows = {watch: len(ledger.of(watch)) for watch in replayed}
    return found | {
        "begun_at_the_sound_server": kept + at_end + lost,
        "of_these_recorded": kept,
        "of_these_under_way_at_an_end_of_the_agent": at_end,
        "lost": lost,
        "logged_and_not_in_the_ledger": sum(max(0, count - rows[watch]) for watch, count in replayed.items()),
        "missing_in_the_sequence": ledger.missing(),
        "integrity_check": ledger.damage,
        "states_of_the_sound_model": dict(ledger.states.get("digits", {})),
    }


def _memory(samples: list[readings.Sample]) -> dict[str, Any]:
    last = [s for s in samples if s.life == samples[-1].life]
    warm_s = min(_WARM_S, last[-1].age_s / 2)
    warm = [s for s in last if s.age_s >= warm_s]
    workers = [(s.at_s, each) for s in samples for each in s.workers_mb]
    return {
        "agent_mb": {"median": _median([s.agent_mb for s in samples]), "most": round(max(s.agent_mb for s in samples))},
        "agent_mb_per_hour": round(readings.slope_per_h([(s.age_s, s.agent_mb) for s in warm]), 2),
        "slope_over_minutes": round((warm[-1].age_s - warm[0].age_s) / 60, 1),
        "worker_mb": {"median": _median([mb for _, mb in workers]), "most": round(max(mb for _, mb in workers))},
        "workers_most": max(len(s.workers_mb) for s in samples),
        "descriptors": {
            "median": _median([s.descriptors for s in samples]),
            "most": max(s.descriptors for s in samples),
        },
        "descriptors_per_hour": round(readings.slope_per_h([(s.age_s, s.descriptors) for s in warm]), 1),
    }


def _median(values: list[float] | list[int]) -> float:
    return round(statistics.median(values), 1)


def _quantiles(taken_ms: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(taken_ms, n=100, method="inclusive")
    found = {"p50_ms": cuts[49], "p99_ms": cuts[98], "most_ms": max(taken_ms)}
    return {name: round(ms, 1) for name, ms in found.items()} | {"count": len(taken_ms)}


def _log(agent: setting.Agent, minutes: float) -> dict[str, Any]:
    _, complaints = findings.logged(agent.log)
    errors = sum(count for text, count in complaints.items() if not text.startswith("warning"))
    return {
        "errors_per_minute": round(errors / minutes, 2),
        "warnings_per_minute": round((complaints.total() - errors) / minutes, 2),
        "megabytes": round(agent.log.stat().st_size / 1e6, 2),
        "most_common": dict(complaints.most_common(12)),
    }


def main() -> int:
    """Soak, print and keep."""
    parser = argparse.ArgumentParser("python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path, help="where the ledger and the log are left, to look into")
    asked = parser.parse_args()
    minutes: float = asked.minutes
    with tempfile.TemporaryDirectory(prefix="goldwatch-soak-") as folder:
        found = soak(minutes, asked.folder or Path(folder))
    print(json.dumps({name: part for name, part in found.items() if name != "series"}, indent=1))
    print(report.table(found))
    if minutes >= KEPT_FROM_MINUTES:
        RESULT.write_text(json.dumps(found) + "\n")
    for what in (bad := report.missed(found)):
        print(f"MISSED: {what}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
