"""One agent with 10, 100 and 1,000 watches: what it takes in CPU and memory, and how late its replays are.

A real `goldwatch run` against a real server of the digits, 20 examples a replay. Whatever the number of watches, the
agent has the same replays a second to do, so that what differs is what the number costs.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
import yaml

from benchmarks import digits
from benchmarks.agent import free_port, wait
from benchmarks.figures import Figure

WATCHES = (10, 100, 1000)
REPLAYS_PER_S = 2
SETTLE_S = 2.0
WINDOW_S = 15.0


def measure() -> list[Figure]:
    """Run the three agents one after the other."""
    found: list[Figure] = []
    memory_mb = []
    with digits.server() as address, tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        golden = digits.of_size(Path(folder) / "golden", 20)
        for count in WATCHES:
            figures, resident_mb = _of(Path(folder), golden, address, count)
            found += figures
            memory_mb.append(resident_mb)
    for fewer, more in ((0, 1), (1, 2)):
        each_kb = 1000 * (memory_mb[more] - memory_mb[fewer]) / (WATCHES[more] - WATCHES[fewer])
        found.append(Figure(f"memory of one more watch, from {WATCHES[fewer]:,} to {WATCHES[more]:,}", each_kb, "kB"))
    return found


def _of(folder: Path, golden: Path, address: str, count: int) -> tuple[list[Figure], float]:
    port, ledger = free_port(), folder / f"{count}.db"
    config = folder / f"{count}.yaml"
    config.write_text(yaml.safe_dump(_config(golden, address, count, port, ledger)))
    command = [Path(sys.executable).with_name("goldwatch"), "run", config]
    began = time.monotonic()
    process = psutil.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait("the agent to be ready", lambda: _scrape(port, "readyz") > 0)
        ready_s = time.monotonic() - began
        time.sleep(SETTLE_S)
        since, before_s = time.time(), _cpu_s(process)
        time.sleep(WINDOW_S)
        busy_s, until = _cpu_s(process) - before_s, time.time()
        before_s = _cpu_s(process)
        _scrape(port, "metrics")
        scrape_s = _cpu_s(process) - before_s
        resident_mb = process.memory_info().rss / 1e6
    finally:
        process.terminate()
        process.wait()
    late_s = _lateness_s(ledger, since, until)
    name = f"{count:,} watches"
    return [
        Figure(f"start to ready, {name}", ready_s, "s"),
        Figure(f"replays, {name}", len(late_s) / (until - since), "/s"),
        Figure(f"CPU of the agent for a replay, {name}", 1e3 * busy_s / len(late_s), "ms"),
        Figure(f"lateness p50, {name}", 1e3 * statistics.median(late_s), "ms", raw=late_s),
        Figure(f"lateness at most, {name}", 1e3 * max(late_s), "ms"),
        Figure(f"CPU of a scrape, {name}", 1e3 * scrape_s, "ms"),
        Figure(f"memory of the agent, {name}", resident_mb, "MB"),
    ], resident_mb


def _config(golden: Path, address: str, count: int, port: int, ledger: Path) -> dict[str, object]:
    interval = f"{count / REPLAYS_PER_S:g}s"
    names = [f"digits-{i}" for i in range(count)]
    target = {"probe": "open-inference", "url": address, "model": "digits"}
    watch = {"every": interval, "jitter": interval, "golden": "digits", "load": {"warmup": 0}}
    return {
        "targets": dict.fromkeys(names, target),
        "golden": {"digits": str(golden)},
        "watches": {name: watch | {"target": name} for name in names},
        "exporters": {"prometheus": {"listen": f"127.0.0.1:{port}"}},
        "ledger": str(ledger),
    }


def _scrape(port: int, page: str) -> int:
    """Return the length of a page; 0 if it is not there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=30) as answer:
            return len(answer.read())
    except OSError:
        return 0


def _cpu_s(process: psutil.Popen) -> float:
    """Return the CPU time of the agent alone; its workers do what a worker does, whatever the number of watches."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _lateness_s(ledger: Path, since: float, until: float) -> list[float]:
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT judgement FROM replays WHERE started_at BETWEEN ? AND ?", (since, until))
        return [json.loads(judgement)["lateness_s"] for (judgement,) in rows]
