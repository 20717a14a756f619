"""The demo: a real model behind a real server, watched, silently damaged, and the one alert that follows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console, RenderableType
from rich.live import Live

from goldwatch.core.judgement import Judgement
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.in_force import Assignment, CannotStart
from goldwatch.daemon.service import Service
from goldwatch.demo import screen
from goldwatch.golden.opened import GoldenSet

_DIGITS = Path(__file__).parent / "digits"
_REPLAYS_BEFORE = 5
_REPLAYS_AFTER = 4
_PORT = 9870
_CONFIG = """\
targets:
  digits:
    probe: open-inference
    url: {address}
    model: digits
golden:
  digits: {golden}
watches:
  digits:
    every: 2s
    jitter: 0s
    deadline: 30s
    objectives: {{accuracy: no worse than 1 point, errors: 1%, latency: 50ms at p99}}
alerts:
  false_alarms: 1 per year
exporters:
  prometheus: {{listen: "127.0.0.1:{port}"}}
ledger: {ledger}
"""


def run(seconds: float) -> int:
    """Show it; 0 for no limit. Returns the exit code: 0 if there was no alert before the damage and one after."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the model server too, as Ctrl-C does
    for name in ("goldwatch", "apscheduler"):  # the screen shows the content of the log
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        with tempfile.TemporaryDirectory(prefix="goldwatch-demo-") as folder, _server(Path(folder)) as address:
            return asyncio.run(_Demo(console, Path(folder), address).run(seconds))
    except CannotStart as error:
        console.print(str(error), markup=False)
    except KeyboardInterrupt:
        console.print("ended")
    return 2


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Serve a copy of the digits model from a process of its own. Raises CannotStart."""
    model = folder / "digits.onnx"
    shutil.copy(_DIGITS / "digits.onnx", model)
    arguments = ["-m", "goldwatch.demo.server", "--model", f"digits={model}", "--probe", "onnx-runtime", "--port", "0"]
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            ready = process.stdout.readline()
            if not ready:
                raise CannotStart("the demo's model server did not start; `goldwatch doctor` says what is missing")
            yield json.loads(ready)["address"]
        finally:
            process.terminate()


@dataclass(slots=True)
class _Demo:
    """The progress of the demo, and the content of the screen."""

    console: Console
    folder: Path
    address: str
    judgements: list[Judgement] = field(default_factory=list)
    alert: Alert | None = None
    alerts_before_damage: int = 0
    damaged_at: float | None = None
    sound_replays: int = 0  # that ended before the damage
    port: int = 0
    images: NDArray[Any] | None = None

    async def run(self, seconds: float) -> int:
        self.images = GoldenSet.open(_DIGITS / "golden").tensor("inputs.image")
        self.port = _free_port()
        service = Service(self._config(), self._observe)
        await service.start()
        end = time.monotonic() + seconds if seconds else float("inf")
        try:
            with Live(self._screen(), console=self.console, auto_refresh=False, transient=True) as live:
                while time.monotonic() < end and not (seconds and self._shown_enough()):
                    await asyncio.sleep(0.25)
                    if self.damaged_at is None and len(self.judgements) >= _REPLAYS_BEFORE:
                        await asyncio.to_thread(self._damage)
                    if self.console.is_terminal:
                        live.update(self._screen(), refresh=True)
        finally:
            await service.stop()
        return self._conclude()

    def _config(self) -> Path:
        path = self.folder / "goldwatch.yaml"
        values = {"address": self.address, "golden": _DIGITS / "golden", "port": self.port}
        path.write_text(_CONFIG.format(**values, ledger=self.folder / "goldwatch.db"))
        return path

    def _observe(self, _: Assignment, judgement: Judgement, alert: Alert | None) -> None:
        self.judgements.append(judgement)
        if alert is not None:
            self.alert = alert
            self.alerts_before_damage += self.damaged_at is None
        if not self.console.is_terminal:
            self.console.print(screen.line(judgement), markup=False, highlight=False, soft_wrap=True)

    def _damage(self) -> None:
        """Do what a careless quantisation does: another file under the same name, and the server loads it."""
        copy = self.folder / "next.onnx"
        shutil.copy(_DIGITS / "digits-quantised.onnx", copy)
        copy.replace(self.folder / "digits.onnx")
        self.sound_replays = len(self.judgements)
        request = urllib.request.Request(f"{self.address}/v2/repository/models/digits/load", b"{}")  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            self.damaged_at = time.time()
        if not self.console.is_terminal:
            self.console.print("the server now serves a copy of the model with its weights in 3 bits", highlight=False)

    def _shown_enough(self) -> bool:
        if self.alert is None or self.damaged_at is None:
            return False
        return sum(j.run.started_at > self.damaged_at for j in self.judgements) >= _REPLAYS_AFTER

    def _pictures(self) -> str:
        flips = next(
            (
                j.findings.difference.flips
                for j in reversed(self.judgements)
                if j.findings.difference and j.findings.difference.flips
            ),
            (),
        )
        return screen.digits(self.images, flips) if self.images is not None else ""

    def _screen(self) -> RenderableType:
        footer = f"metrics http://127.0.0.1:{self.port}/metrics   model server {self.address}"
        if self.damaged_at is not None:
            footer += "\nthe server now serves a copy of the model with its weights in 3 bits; nobody told goldwatch"
        title = "goldwatch demo: 600 handwritten digits replayed against a model server every 2 s"
        return screen.screen(title, self.judgements, self.alert, self._pictures() if self.alert else "", footer)

    def _conclude(self) -> int:
        self.console.print(self._screen())
        if self.alerts_before_damage:
            self.console.print("\nThere was an alert before the damage: that is a bug; please report it.")
            return 1
        if self.damaged_at is None or self.alert is None:
            self.console.print("\nThere was no time to see an alert; give it more with --seconds 40.")
            return 1
        delay_s = self.alert.opened_at - self.damaged_at
        self.console.print(
            f"\nShown: {self.sound_replays} replays of a sound model without an alert, then {delay_s:.1f} s"
            " from the damage to the alert. Next: write a goldwatch.yaml (README.md has ten lines) and type\n"
            "goldwatch check goldwatch.yaml",
            highlight=False,
        )
        return 0


def _free_port() -> int:
    """Return goldwatch's own port, or another one if it is taken."""
    for port in (_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise CannotStart(f"no free port on 127.0.0.1: {os.strerror(98)}")
