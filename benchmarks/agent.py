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
        return found + _rest(targets)


def _start(name: str, target: str) -> Figure:
    """Take the time from the start of the process to /readyz; the first start, which fills the caches, is left out."""
    taken = []
    for _ in range(STARTS + 1):
        with _running(target) as agent:
            taken.append(time.monotonic() - agent.started_s)
    return Figure(f"start to ready, {name}", statistics.median(taken[1:]), "s", 1.0, taken[1:])


def _rest(targets: dict[str, str]) -> list[Figure]:
    """Run both agents at once, through their first replay and until their workers have ended."""
    with contextlib.ExitStack() as stack:
        agents = {name: stack.enter_context(_running(target)) for name, target in targets.items()}
        peaks = _peaks(agents)
        _wait("workers to end", lambda: not any(a.process.children() for a in agents.values()))
        before = {name: agent.cpu_s() for name, agent in agents.items()}
        time.sleep(IDLE_S)
        return [figure for name, agent in agents.items() for figure in _of(name, agent, peaks[name], before[name])]


def _of(name: str, agent: _Agent, peak_bytes: int, cpu_before_s: float) -> list[Figure]:
    alone = agent.process.memory_info().rss
    return [
        Figure(f"memory at rest, agent alone, {name}", alone / 1e6, "MB"),
        Figure(f"memory at rest, process tree, {name}", agent.tree_bytes() / 1e6, "MB", 64),
        Figure(f"memory at most in a replay, process tree, {name}", peak_bytes / 1e6, "MB"),
        Figure(f"CPU at rest, {name}", 100 * (agent.cpu_s() - cpu_before_s) / IDLE_S, "% of a core", 1),
    ]


def _peaks(agents: dict[str, _Agent]) -> dict[str, int]:
    """Watch the memory of each tree until all have replayed once, and a second longer."""
    most = dict.fromkeys(agents, 0)

    def done() -> bool:
        for name, agent in agents.items():
            most[name] = max(most[name], agent.tree_bytes())
        return all(agent.replayed() for agent in agents.values())

    _wait("the first replay", done)
    return most


@contextlib.contextmanager
def _running(target: str) -> Iterator[_Agent]:
    """Run an agent with a ledger of its own; it is ready when given."""
    command = Path(sys.executable).with_name("goldwatch")
    with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
        port = _free_port()
        config = digits.config(Path(folder), target, port)
        began = time.monotonic()
        process = psutil.Popen([command, "run", config], stderr=subprocess.DEVNULL)
        agent = _Agent(process, port, began)
        try:
            _wait("the agent to be ready", lambda: agent.answers("/readyz"))
            yield agent
        finally:
            process.terminate()
            process.wait()


def _wait(what: str, done: Callable[[], bool]) -> None:
    end = time.monotonic() + _LIMIT_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {_LIMIT_S:g} s for {what}")
        time.sleep(_LOOK_EVERY_S)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
