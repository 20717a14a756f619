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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, RenderableType
from rich.live import Live

from goldwatch.core.judgement import Flip, Judgement
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.in_force import Assignment, CannotStart
from goldwatch.daemon.service import Service
from goldwatch.demo import screen
from goldwatch.demo.handbook import PASSAGES
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet

_DIGITS = Path(__file__).parent / "digits"
_REPLAYS_BEFORE = 5
_REPLAYS_AFTER = 4
_PORT = 9870
_CONFIG = """\
targets:
  {name}: {target}
golden:
  {name}: {golden}
watches:
  {name}:
    every: 2s
    jitter: 0s
    deadline: 30s
    objectives: {{accuracy: no worse than {tolerance}, errors: 1%, latency: {latency}}}
alerts:
  false_alarms: 1 per year
exporters:
  prometheus: {{listen: "127.0.0.1:{port}"}}
ledger: {ledger}
"""


@dataclass(frozen=True, slots=True)
class _Digits:
    """A classifier whose weights are quantised too far."""

    folder: Path
    name: str = "digits"
    tolerance: str = "1 point"
    latency: str = "50ms at p99"
    title: str = "600 handwritten digits replayed against a model server every 2 s"
    damage: str = "the server now serves a copy of the model with its weights in 3 bits"

    def server(self) -> list[str]:
        """Copy the model, and return the arguments of its server."""
        model = self.folder / "digits.onnx"
        shutil.copy(_DIGITS / "digits.onnx", model)
        served = f"digits={model}"
        return ["-m", "goldwatch.demo.server", "--model", served, "--probe", "onnx-runtime", "--port", "0"]

    def target(self, address: str) -> dict[str, Any]:
        return {"probe": "open-inference", "url": address, "model": "digits"}

    def golden(self) -> Path:
        return _DIGITS / "golden"

    def do_damage(self, address: str) -> None:
        """Do what a careless quantisation does: another file under the same name, and the server loads it."""
        copy = self.folder / "next.onnx"
        shutil.copy(_DIGITS / "digits-quantised.onnx", copy)
        copy.replace(self.folder / "digits.onnx")
        _post(f"{address}/v2/repository/models/digits/load", {})

    def drawn(self, flips: Sequence[Flip]) -> str:
        return screen.digits(GoldenSet.open(self.golden()).tensor("inputs.image"), flips)


@dataclass(frozen=True, slots=True)
class _Handbook:
    """A language model whose server is switched to the chat template of another model."""

    folder: Path
    name: str = "handbook"
    tolerance: str = "5 points"
    latency: str = "200ms at p90"
    title: str = f"{len(PASSAGES)} questions replayed against a language model server every 2 s"
    damage: str = "the server now uses the chat template of another model"

    def server(self) -> list[str]:
        """Return the arguments of its server."""
        return ["-m", "goldwatch.demo.language"]

    def target(self, address: str) -> dict[str, Any]:
        return {"probe": "openai", "url": f"{address}/v1", "stream": False}

    def golden(self) -> Path:
        """Freeze the questions with the passages that answer them, once."""
        folder = self.folder / "golden"
        if not folder.exists():
            lines = [
                {"inputs": {"prompt": question}, "outputs": {"text": passage}, "answers": [answer]}
                for question, passage, answer in PASSAGES
            ]
            freeze(folder, _HANDBOOK, {"reference.right": np.full((2, len(PASSAGES)), 10, np.int64)}, lines)
        return folder

    def do_damage(self, address: str) -> None:
        """Do what a careless upgrade does: another chat template."""
        _post(f"{address}/template", {"name": "instruct"})

    def drawn(self, flips: Sequence[Flip]) -> str:
        return screen.texts([question for question, _, _ in PASSAGES], flips)


_HANDBOOK = {
    "name": "handbook",
    "version": "1",
    "task": "generation",
    "examples": len(PASSAGES),
    "inputs": {"prompt": {"dtype": "text", "shape": []}},
    "labels": {"match": "contains"},
    "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0}},
    "reference": {"replays": [10, 10], "deterministic": True},
    "provenance": {"source": "made up for the demo"},
    "licence": "CC0-1.0",
}


def _post(url: str, body: object) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


def run(seconds: float, *, language_model: bool = False) -> int:
    """Show it, with digits or with a language model; 0 for no limit.

    Returns the exit code: 0 if there was no alert before the damage and one after.
    """
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the model server too, as Ctrl-C does
    for name in ("goldwatch", "apscheduler"):  # the screen shows the content of the log
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        with tempfile.TemporaryDirectory(prefix="goldwatch-demo-") as folder:
            shown = (_Handbook if language_model else _Digits)(Path(folder))
            with _server(shown.server()) as address:
                return asyncio.run(_Demo(console, shown, address).run(seconds))
    except CannotStart as error:
        console.print(str(error), markup=False)
    except KeyboardInterrupt:
        console.print("ended")
    return 2


@contextlib.contextmanager
def _server(arguments: Sequence[str]) -> Iterator[str]:
    """Start the model server in a process of its own. Raises CannotStart."""
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
    shown: _Digits | _Handbook
    address: str
    judgements: list[Judgement] = field(default_factory=list)
    alert: Alert | None = None
    alerts_before_damage: int = 0
    damaged_at: float | None = None
    sound_replays: int = 0  # that ended before the damage
    port: int = 0

    async def run(self, seconds: float) -> int:
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
        shown, folder = self.shown, self.shown.folder
        text = _CONFIG.format(
            name=shown.name,
            target=json.dumps(shown.target(self.address)),
            golden=shown.golden(),
            tolerance=shown.tolerance,
            latency=shown.latency,
            port=self.port,
            ledger=folder / "goldwatch.db",
        )
        path = folder / "goldwatch.yaml"
        path.write_text(text)
        return path

    def _observe(self, _: Assignment, judgement: Judgement, alert: Alert | None) -> None:
        self.judgements.append(judgement)
        if alert is not None:
            self.alert = alert
            self.alerts_before_damage += self.damaged_at is None
        if not self.console.is_terminal:
            self.console.print(screen.line(judgement), markup=False, highlight=False, soft_wrap=True)

    def _damage(self) -> None:
        self.sound_replays = len(self.judgements)
        self.shown.do_damage(self.address)
        self.damaged_at = time.time()
        if not self.console.is_terminal:
            self.console.print(self.shown.damage, highlight=False)

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
        return self.shown.drawn(flips)

    def _screen(self) -> RenderableType:
        footer = f"metrics http://127.0.0.1:{self.port}/metrics   model server {self.address}"
        if self.damaged_at is not None:
            footer += f"\n{self.shown.damage}; nobody told goldwatch"
        title = f"goldwatch demo: {self.shown.title}"
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
