"""One request at a time to a language model's server: goldwatch, AIPerf, the openai package and locust, in turns.

*Requests a second of a core* are requests over the CPU seconds of all processes of a tool without its start: those of a
longer run less those of a shorter one. Those of goldwatch, with its judging, are of a second replay by the same
workers; its replay alone is measured as in `benchmarks wire`. The server answers whole and at once; then token by
token, quickly; then on the schedule of a quick model, and records its real times. That is the truth: reported is how
much later each tool has the first token, and what it adds between tokens.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import language_servers, wire, wire_servers
from benchmarks.figures import Figure
from benchmarks.language_tools import AIPERF, CLIENTS, Ask, Tool, bare_socket, replay_alone, tools

ROUNDS = 3
QUICK = language_servers.Schedule(first_ms=0.25, gap_ms=0.25)
LIKE_A_MODEL = language_servers.Schedule(first_ms=10, gap_ms=2)
COUNT = 40
"""Answers on the schedule of a model."""


def measure() -> list[Figure]:
    """Measure whole answers, streamed ones, and streamed ones against the truth."""
    if not AIPERF.exists():
        print("  AIPerf is left out; to have it (1.2 GB): tests/environments/make aiperf")
    if not CLIENTS.exists():
        print("  the openai package and locust are left out; to have them: tests/environments/make clients")
    nginx = wire_servers.nginx()
    if nginx is None or shutil.which("wrk") is None:
        raise SystemExit("there is no floor; to have it: apt-get install nginx-light wrk")
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        asked = tools(Path(folder))
        with language_servers.at_once(nginx) as address:
            found = _beside("whole", asked, Path(folder), f"{address}/whole", streamed=False)
        with language_servers.paced(QUICK) as address:
            found += _beside("streamed", asked, Path(folder), address, streamed=True)
        with language_servers.paced(LIKE_A_MODEL) as address:
            return found + _late({"bare socket": bare_socket} | {n: tool.ask for n, tool in asked.items()}, address)


def _beside(how: str, asked: Mapping[str, Tool], folder: Path, url: str, *, streamed: bool) -> list[Figure]:
    alone = _lengths(asked["goldwatch"], streamed)[1]
    turns: dict[str, wire.Turn] = {
        "wrk": lambda: wire.wrk(f"{url}/v1/chat/completions", "{}"),
        "goldwatch, its replay alone": lambda: replay_alone(folder, url, alone, streamed),
    }
    return wire.beside(how, turns | {name: _turn(tool, url, streamed) for name, tool in asked.items()}, ROUNDS)


def _lengths(tool: Tool, streamed: bool) -> tuple[int, int]:
    return tool.streamed if streamed else tool.whole


def _turn(tool: Tool, url: str, streamed: bool) -> wire.Turn:
    fewer, more = _lengths(tool, streamed)

    def take() -> wire.Taken:
        start_s = tool.ask(url, fewer, streamed).cpu_s if fewer else 0.0
        longer = tool.ask(url, more, streamed)
        return wire.Taken(longer.latency_us, (more - fewer) / (longer.cpu_s - start_s))

    return take


def _late(clients: Mapping[str, Ask], address: str) -> list[Figure]:
    """Compare each tool's figures with what the server did in the same run."""
    first_us: dict[str, list[float]] = {name: [] for name in clients}
    gap_us: dict[str, list[float]] = {name: [] for name in clients}
    for turn in range(ROUNDS):
        for name in list(clients)[:: 1 if turn % 2 else -1]:  # who goes first changes
            said = clients[name](address, COUNT, True)
            true = language_servers.truth(address)
            first_us[name].append(said.first_us - statistics.median(true.first_us))
            gap_us[name].append(said.gap_us - statistics.median(true.gap_us))
    found = []
    for name in clients:
        for what, late_us in (
            (f"{name}: first token, later than sent", first_us),
            (f"{name}: added between tokens", gap_us),
        ):
            found.append(Figure(f"on a schedule, {what}", statistics.median(late_us[name]), "µs", raw=late_us[name]))
    return found
