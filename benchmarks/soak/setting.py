"""The processes of a soak: an agent that can be killed and started again, its servers and its attackers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from benchmarks import digits
from benchmarks.agent import free_port, wait
from benchmarks.soak.servers import SOUND

EXAMPLES = 20
CONCURRENT = 10
_EVERY = {"digits": "1s", "tapped": "15s", "any": "2s", "erratic": "2s", "fat": "15s", "large": "15s"}
_HOSTILE_EVERY = "5s"
LONGEST_S = 30
"""The deadline of the sound model: no machine is so busy that its replays take longer."""


@dataclass(slots=True)
class Agent:
    """A real `goldwatch run`. `up_since_s` is when it last became ready, by the monotonic clock; None while it is not.

    One thread ends and starts it, others look.
    """

    folder: Path
    port: int = field(default_factory=free_port)
    up_since_s: float | None = None
    process: psutil.Popen = None
    killed_at: list[float] = field(default_factory=list)
    """When it was ended, in Unix time."""

    @property
    def config(self) -> Path:
        """The config file."""
        return self.folder / "goldwatch.yaml"

    @property
    def ledger(self) -> Path:
        """The history of its replays."""
        return self.folder / "goldwatch.db"

    @property
    def log(self) -> Path:
        """Its log, JSON lines, of all its lives."""
        return self.folder / "goldwatch.log"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            command = [Path(sys.executable).with_name("goldwatch"), "run", self.config]
            self.process = psutil.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
        wait("the agent to be ready", lambda: self._answers("/readyz"))
        self.up_since_s = time.monotonic()

    def end(self, with_signal: int = signal.SIGKILL) -> float:
        """End it, and return how many seconds that took."""
        self.up_since_s = None
        began = time.monotonic()
        self.killed_at.append(time.time())
        self.process.send_signal(with_signal)
        self.process.wait()
        return time.monotonic() - began

    def get(self, path: str, timeout_s: float = 10) -> bytes:
        """Return a page. Raises OSError."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout_s) as answer:
            found: bytes = answer.read()
        return found

    def is_running(self) -> bool:
        """Say whether its process has not ended."""
        return self.process.poll() is None

    def workers(self) -> list[psutil.Process]:
        """Return its worker processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return list(self.process.children(recursive=True))
        return []

    def _answers(self, path: str) -> bool:
        if not self.is_running():
            raise RuntimeError(f"the agent ended at its start: {self.log.read_text()[-2000:]}")
        try:
            return bool(self.get(path))
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Setting:
    """The agent of a soak, and the address of the sound server."""

    agent: Agent
    sound: str

    def floor(self) -> None:
        """Ask the sound server, which is not attacked, for a trivial page: what one takes on this machine."""
        with urllib.request.urlopen(f"{self.sound}/v2/health/live", timeout=30) as answer:
            answer.read()

    def begun(self) -> dict[str, list[float]]:
        """Return when the sound server was asked for the first time in each replay, in Unix time, by model."""
        with urllib.request.urlopen(f"{self.sound}/begun", timeout=30) as answer:
            found: dict[str, list[float]] = json.loads(answer.read())
        return found


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Setting]:
    """Start the servers, the agent and the attackers, and end them all."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        sound = stack.enter_context(_process("benchmarks.soak.servers", "sound"))
        hostile = stack.enter_context(_process("benchmarks.soak.servers", "hostile"))
        agent = Agent(folder)
        agent.config.write_text(yaml.safe_dump(_config(folder, _line(sound)["sound"], _line(hostile), agent.port)))
        stack.callback(lambda: agent.process is not None and agent.is_running() and agent.end())
        agent.start()
        stack.enter_context(_process("benchmarks.soak.clients", str(agent.port)))
        yield Setting(agent, yaml.safe_load(agent.config.read_text())["targets"]["digits"]["url"])


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            yield process
            if process.poll() is not None:
                raise RuntimeError(f"{module} ended with {process.returncode} in the middle of the soak")
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = json.loads(process.stdout.readline())
    return found


def _config(folder: Path, sound: str, hostile: dict[str, str], port: int) -> dict[str, object]:
    probes = dict.fromkeys(hostile, "open-inference") | {"http2": "open-inference-grpc"}
    targets = {name: {"probe": "open-inference", "url": sound, "model": name} for name in SOUND}
    targets |= {name: {"probe": probes[name], "url": url, "model": "digits"} for name, url in hostile.items()}
    return {
        "targets": targets,
        "golden": {"few": str(digits.of_size(folder / "golden", EXAMPLES)), "digits": str(digits.GOLDEN)},
        "watches": {name: _watch(name) for name in targets},
        "replays": {"concurrent": CONCURRENT},
        "exporters": {"prometheus": {"listen": f"127.0.0.1:{port}"}},
        "log": {"format": "json"},
        "ledger": str(folder / "goldwatch.db"),
    }


def _watch(name: str) -> dict[str, object]:
    found: dict[str, object] = {
        "target": name,
        "golden": "digits" if name == "tapped" else "few",  # a reference of live traffic needs 400 examples
        "every": _EVERY.get(name, _HOSTILE_EVERY),
        "jitter": "1s",
        "deadline": f"{LONGEST_S if name in SOUND else 5}s",
        "load": {"warmup": 0, "time_limit": "20s" if name in SOUND else "1s"},
    }
    return found | ({"live": {"requests": 200, "window": "10s"}} if name == "tapped" else {})


class Every(threading.Thread):
    """Repeats a function in a thread until it is stopped. Begins at once."""

    def __init__(self, every_s: float, do: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._every_s, self._do = every_s, do
        self._stopped = threading.Event()
        self._failed: Exception | None = None
        self.start()

    def run(self) -> None:
        """Do it."""
        try:
            while not self._stopped.wait(self._every_s):
                self._do()
        except Exception as error:  # of the soak, not of the agent: half of the readings are no result
            self._failed = error

    def stop(self) -> None:
        """Let it end, and wait for that. Raises what it failed with."""
        self._stopped.set()
        self.join()
        if self._failed is not None:
            raise self._failed
