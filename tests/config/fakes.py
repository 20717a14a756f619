"""Probes and a config writer for the tests of the config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from goldwatch.probe import option


class Served:
    served: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        url: str = option("Base address of the server")
        model: str = option("Name of the model at the server", default="")
        token: str = option("Sent as bearer token", default="", secret=True)
        secret_headers: dict[str, str] = option("Sent with every request", default_factory=dict, secret=True)
        mirror: str = option("Address of a second server", default="", url=True)
        retries: int = option("How often to try again", default=0)
        share: float = option("A share", default=0.5)
        headers: dict[str, str] = option("Sent with every request", default_factory=dict)

        def __post_init__(self) -> None:
            if not self.url.startswith("http"):
                raise ValueError(f'the url "{self.url}" must begin with http')


class Local:
    served: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Options:
        file: Path = option("The model file", path=True)
        threads: int | None = option("Threads", default=None)


class NoProbe:
    pass


@dataclass(frozen=True)
class FakeEntry:
    value: str
    found: Any

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def probes() -> dict[str, FakeEntry]:
    return {
        "open-inference": FakeEntry("fakes:Served", Served),
        "onnx-runtime": FakeEntry("fakes:Local", Local),
        "broken": FakeEntry("fakes:Broken", ModuleNotFoundError("No module named 'acme'")),
        "odd": FakeEntry("fakes:NoProbe", NoProbe),
    }


START = """\
targets:
  fraud:
    probe: open-inference
    url: http://localhost:8000
    model: fraud
golden:
  fraud-2026q3: ./golden/fraud-2026q3
watches:
  fraud:
    every: 5m
    objectives: {latency: 50ms at p99, errors: 0.1%, accuracy: no worse than 1 point}
alerts:
  false_alarms: 1 per year
"""
