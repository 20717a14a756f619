"""The agent at rest: how soon it is ready, what it takes in memory and time once its replay is over.

A real `goldwatch run`, once against a server and once with the model in a worker. Memory is resident set size: of the
agent alone, and summed over its process tree, which counts shared pages once a process.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import digits
from benchmarks.figures import Figure

AIM_MB = 64.0
STARTS = 5
IDLE_S = 20.0
_LIMIT_S = 90.0
_LOOK_EVERY_S = 0.01


@dataclass(slots=True)
class _Agent:
    """A running `goldwatch run`."""

    process: psutil.Popen
    port: int
    started_s: float

    def answers(self, path: str, text: str = "") -> bool:
        """Say whether a page is there, and holds the text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return text in answer.read().decode()
        except urllib.error.URLError:
            return False

    def replayed(self) -> bool:
        """Say whether its first replay has been judged."""
        return self.answers("/metrics", "\ngoldwatch_replay_last_timestamp_seconds{")

    def tree_bytes(self) -> int:
        """Return the resident memory of the process and all below it."""
        total = 0
        for process in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def cpu_s(self) -> float:
        """Return the CPU time used so far by its threads, in seconds; finer than the ticks that psutil reads."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def measure() -> list[Figure]:
    """Start agents against both kinds of target and return what they took."""
    with digits.server() as address:
        targets = {"a server": digits.served(address), "in process": digits.IN_PROCESS}
        found = [_start(name, target) for name, target in targets.items()]
        return found + _rest(targets, address)


def _start(name: str, target: str) -> Figure:
    """Take the time from the start of the process to /readyz; the first start, which fills the caches, is left out."""
    taken = []
    for _ in range(STARTS + 1):
        with _running(target) as agent:
            taken.append(time.monotonic() - agent.started_s)
    return Figure(f"start to ready, {name}", statistics.median(taken[1:]), "s", 1.0, taken[1:])


def _rest(targets: dict[str, str], address: str) -> list[Figure]:
    """Run all agents at once, through their first replay and until their workers have ended."""
    with contextlib.ExitStack() as stack:
        agents, found = {}, []
        for name, target in targets.items():
            agents[name] = stack.enter_context(_running(target))
            found.append(
                Figure(f"memory at most in a replay, process tree, {name}", _peak_bytes(agents[name]) / 1e6, "MB")
            )
        pushing = {p: stack.enter_context(_running(digits.served(address), p)) for p in ("http", "grpc")}
        everyone = [*agents.values(), *pushing.values()]
        wait("workers to end", lambda: not any(agent.process.children() for agent in everyone))
        before_s = {name: agent.cpu_s() for name, agent in agents.items()}
        time.sleep(IDLE_S)
        for name, agent in agents.items():
            found += _of(name, agent, (agent.cpu_s() - before_s[name]) / IDLE_S)
        for protocol, agent in pushing.items():
            name = f"memory at rest, process tree, a server, with OTLP over {protocol}"
            found.append(Figure(name, agent.tree_bytes() / 1e6, "MB", AIM_MB))
        return found


def _of(name: str, agent: _Agent, busy: float) -> list[Figure]:
    return [
        Figure(f"CPU at rest, {name}", 100 * busy, "% of a core", 1),
        Figure(f"memory at rest, agent alone, {name}", agent.process.memory_info().rss / 1e6, "MB"),
        Figure(f"memory at rest, process tree, {name}", agent.tree_bytes() / 1e6, "MB", AIM_MB),
    ]


def _peak_bytes(agent: _Agent) -> int:
    """Return the most memory that its tree takes until it has replayed once."""
    seen: list[int] = []

    def done() -> bool:
        seen.append(agent.tree_bytes())
        return agent.replayed()

    wait("the first replay", done)
    return max(seen)


@contextlib.contextmanager
def _running(target: str, protocol: str = "") -> Iterator[_Agent]:
    """Run an agent with a ledger of its own; it is ready when given."""
    command = Path(sys.executable).with_name("goldwatch")
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        port = free_port()
        config = digits.config(Path(folder), target, port, protocol=protocol)
        began = time.monotonic()
        process = psutil.Popen([command, "run", config], stderr=subprocess.DEVNULL)
        agent = _Agent(process, port, began)
        try:
            wait("the agent to be ready", lambda: agent.answers("/readyz"))
            yield agent
        finally:
            process.terminate()
            process.wait()


def wait(what: str, done: Callable[[], bool]) -> None:
    """Look again and again until something has happened."""
    end = time.monotonic() + _LIMIT_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {_LIMIT_S:g} s for {what}")
        time.sleep(_LOOK_EVERY_S)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
