"""A real agent, a real model server, and patience: what tests need that drive goldwatch from outside.

Processes are known by a variable in their environment, which their children inherit: so no orphan goes unseen.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "agent/goldwatch/demo/digits"
GOLDEN = DIGITS / "golden"
RUN = [sys.executable, "-c", "from goldwatch.cli import main; main()", "run"]

_MARK = "GOLDWATCH_TEST_RUN"

Found = TypeVar("Found")


def until(condition: Callable[[], Found | None], what: str, limit_s: float = 90.0) -> Found:
    """Poll until the condition gives something true, and return that.

    A condition that takes long, such as a scrape, is asked less often: a fifth of the time goes to it at the most.
    """
    deadline = time.monotonic() + limit_s
    while True:
        asked = time.monotonic()
        if found := condition():
            return found
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {limit_s:g} s"
        time.sleep(min(max(0.01, 4 * (now - asked)), 0.25))


def free_port() -> int:
    """Return a port for a process that listens later: none that the kernel may give to another process meanwhile."""
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(given.read_text().split()[0]) if given.exists() else 49152
    assert lowest > 12_000, f"{given} leaves no ports for tests"
    while True:
        port = random.randrange(10_000, lowest)
        with socket.socket() as listening, contextlib.suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port


def config(targets: Mapping[str, Any], watches: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    """Return a config of these targets and watches over the digits."""
    return {"targets": targets, "golden": {"digits": str(GOLDEN)}, "watches": watches} | sections


@dataclass
class Agent:
    """`goldwatch run` in a folder of its own, on a free port."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    trust: ssl.SSLContext | None = None
    """By which it is asked over TLS; without it over plain HTTP."""

    def __post_init__(self) -> None:
        self.config_file = self.folder / "goldwatch.yaml"
        self.ledger_file = self.folder / "goldwatch.db"
        self.log_file = self.folder / "goldwatch.log"
        self.start_options: list[str] = []
        self._mark = uuid.uuid4().hex
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process

    @property
    def log(self) -> str:
        """Its output so far."""
        return self.log_file.read_text()

    def write(self, config: Mapping[str, Any]) -> None:
        exporters = dict(config.get("exporters", {}))
        exporters["prometheus"] = {"listen": f"127.0.0.1:{self.port}"} | exporters.get("prometheus", {})
        self.config_file.write_text(yaml.safe_dump({**config, "exporters": exporters}))

    def start(self) -> None:
        """Start it and do not wait."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*RUN, *self.start_options, str(self.config_file)],
                env={**os.environ, **self.environ, _MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def until(self, condition: Callable[[], Found | None], what: str, limit_s: float = 90.0) -> Found:
        """Poll until the condition gives something true, and return that; fail at once if the agent ends before."""

        def found() -> Found | None:
            assert self.process.poll() is None, f"{what}: the agent ended before\n{self.log}"
            return condition()

        return until(found, what, limit_s)

    def wait_ready(self) -> None:
        self.until(self._is_ready, "the agent is ready")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def reload(self, config: Mapping[str, Any]) -> None:
        """Put another config in its place and send SIGHUP."""
        self.write(config)
        self.process.send_signal(signal.SIGHUP)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        scheme = "http" if self.trust is None else "https"
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of the series of that name whose labels include these."""
        samples = [s for f in text_string_to_metric_families(self.get("/metrics")[1]) for s in f.samples]
        return [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one series; None if it is not there."""
        found = self.values(name, **labels)
        assert len(found) <= 1, f"{name}{labels} is not one series"
        return found[0] if found else None

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Read the ledger from outside, as anyone may at any time."""
        if not self.ledger_file.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.ledger_file}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in db.execute(sql, parameters)]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # created, and still empty
                    return []
                raise

    def judgements(self, watch: str = "digits") -> list[dict[str, Any]]:
        rows = self.rows("SELECT judgement FROM replays WHERE watch = ? ORDER BY id", watch)
        return [json.loads(row["judgement"]) for row in rows]

    def alerts(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM alerts ORDER BY number")

    def workers(self) -> list[psutil.Process]:
        """Return its worker processes, orphans too."""
        return [p for p in self._processes() if p.pid != self.process.pid]

    def children(self) -> list[psutil.Process]:
        """Return its worker processes that still have a parent; cheaper than `workers`."""
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).children()
        return found

    def gone(self) -> bool:
        """Say whether no process of it is left."""
        return not self._processes()

    def _processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def clean_up(self) -> None:
        """Kill whatever is left of it."""
        if self._process is not None:
            self.kill()
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


@contextlib.contextmanager
def running(folder: Path, config: Mapping[str, Any], **environ: str) -> Iterator[Agent]:
    """Start an agent, wait until it is ready, and leave nothing of it behind."""
    agent = Agent(folder, environ)
    agent.write(config)
    try:
        agent.start()
        agent.wait_ready()
        yield agent
    finally:
        agent.clean_up()


@dataclass
class ModelServer:
    """The demo's model server with the digits; the model file can be replaced."""

    file: Path
    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = ["--model", f"digits={self.file}", "--port", str(self.port)]
        command = [sys.executable, "-m", "goldwatch.demo.server", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        assert ready == {"address": self.address, "models": ["digits"]}

    def serve(self, model: Path) -> None:
        """Put `model` in the place of the file that is served, and have it loaded."""
        copy = self.file.with_suffix(".next")
        copy.write_bytes(model.read_bytes())
        copy.replace(self.file)
        url = f"{self.address}/v2/repository/models/digits/load"
        with urllib.request.urlopen(url, data=b"{}", timeout=10) as answer:
            assert answer.status == 200

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[ModelServer]:
    """Start a model server with a sound model, and leave nothing of it behind."""
    server = ModelServer(folder / "served.onnx")
    server.file.write_bytes((DIGITS / "digits.onnx").read_bytes())
    server.start()
    try:
        yield server
    finally:
        server.kill()
