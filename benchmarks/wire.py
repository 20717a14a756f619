"""One request at a time over the wire: goldwatch, a floor, and the clients that others would use.

The server does next to nothing, the clients take turns, each in a fresh process. *Requests a second of a core* are the
requests over the CPU seconds that the client itself took. Over HTTP the floor is wrk, in C, and over gRPC a bare loop
over grpcio. Only goldwatch and tritonclient encode each request and decode each answer in that time; goldwatch also
checks and keeps it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import wire_servers
from benchmarks.bare import _bodies
from benchmarks.client import bare_facts, ours_facts
from benchmarks.figures import Figure

ROUNDS = 11
COUNT = 2000
WRK_S = 2
CLIENTS = Path(".venv-clients/bin/python")
AIM_P50 = 1.05
"""The most that goldwatch's p50 should be of the floor's."""

_PROBES = "goldwatch_probes.open_inference"


@dataclass(frozen=True, slots=True)
class Taken:
    """One turn: p50 in microseconds, and requests a second of a core of the client."""

    p50_us: float
    per_core: float


Turn = Callable[[], Taken]


def measure() -> list[Figure]:
    """Take turns over HTTP, then over gRPC."""
    if not CLIENTS.exists():
        print("  locust and tritonclient are left out; to have them: tests/environments/make clients")
    nginx, wrk = wire_servers.nginx(), shutil.which("wrk")
    if nginx is None or wrk is None:
        print("  HTTP is left out; to have it: apt-get install nginx-light wrk")
    return (_over_http(nginx) if nginx is not None and wrk is not None else []) + _over_grpc()


def _over_http(nginx: str) -> list[Figure]:
    with wire_servers.http(nginx) as address:
        turns = {
            "wrk": lambda: wrk(f"{address}/v2/models/digits/infer", _bodies()[0].decode()),
            "goldwatch": lambda: _ours(f"{_PROBES}:OpenInference", address),
            "http.client": lambda: _of(bare_facts("http", address, COUNT)),
        }
        return beside("HTTP", turns | _others(address, ("locust", "locust-fast", "triton-http")))


def _over_grpc() -> list[Figure]:
    with wire_servers.grpc() as address:
        turns = {
            "grpcio": lambda: _of(bare_facts("grpc", address, COUNT)),
            "goldwatch": lambda: _ours(f"{_PROBES}_grpc:OpenInferenceGrpc", address),
        }
        return beside("gRPC", turns | _others(address, ("triton-grpc",)))


def _others(address: str, names: tuple[str, ...]) -> dict[str, Turn]:
    return {name: _other(name, address) for name in names} if CLIENTS.exists() else {}


def _other(name: str, address: str) -> Turn:
    command = [str(CLIENTS), "benchmarks/wire_clients.py", name, address, str(COUNT)]

    def take() -> Taken:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return _of(json.loads(done.stdout))

    return take


def beside(wire: str, turns: Mapping[str, Turn], rounds: int = ROUNDS) -> list[Figure]:
    """Let the clients take turns and compare goldwatch with each. The first is the floor."""
    taken: dict[str, list[Taken]] = {name: [] for name in turns}
    for turn in range(rounds):
        for name in list(turns)[:: 1 if turn % 2 else -1]:  # who goes first changes
            taken[name].append(turns[name]())
    found = []
    for name, values in taken.items():
        found.append(_median(f"{wire}, {name}: p50", [v.p50_us for v in values], "µs"))
        found.append(_median(f"{wire}, {name}: requests a second of a core", [v.per_core for v in values], "/s"))
    ours, floor = taken["goldwatch"], next(iter(turns))
    over = [o.p50_us / f.p50_us for o, f in zip(ours, taken[floor], strict=True)]
    found.append(_median(f"{wire}: goldwatch's p50 over that of {floor}", over, "times", AIM_P50))
    for name, theirs in taken.items():
        if name != "goldwatch":
            ratios = [o.per_core / t.per_core for o, t in zip(ours, theirs, strict=True)]
            found.append(
                _median(f"{wire}: goldwatch's requests a second of a core over those of {name}", ratios, "times")
            )
    return found


def _median(name: str, values: list[float], unit: str, aim: float | None = None) -> Figure:
    return Figure(name, statistics.median(values), unit, aim, values)


def _of(facts: Mapping[str, Any]) -> Taken:
    latencies_ns = facts["latencies_ns"]
    return Taken(statistics.median(latencies_ns) / 1e3, len(latencies_ns) / facts["cpu_s"])


def _ours(factory: str, address: str) -> Taken:
    return _of(ours_facts(factory, {"url": address, "model": "digits"}, COUNT, served=True))


def wrk(url: str, body: str) -> Taken:
    """Run wrk with one connection. Its CPU is that of the whole process, which starts in a millisecond."""
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        script = Path(folder) / "post.lua"
        script.write_text(
            f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{body}]]\n"
        )
        command = ["wrk", "-t1", "-c1", f"-d{WRK_S}s", "--latency", "-s", str(script)]
        before = os.times()
        done = subprocess.run([*command, url], check=True, stdout=subprocess.PIPE)
        after = os.times()
    said = done.stdout.decode()
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(said)
    value, unit = re.findall(r"50%\s+([0-9.]+)(us|ms|s)", said)[0]
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    requests = int(re.findall(r"(\d+) requests in", said)[0])
    return Taken(float(value) * {"us": 1.0, "ms": 1e3, "s": 1e6}[unit], requests / cpu_s)
