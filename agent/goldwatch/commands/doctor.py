"""`goldwatch doctor`: what is installed, which probes load, what is missing and the command that installs it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from goldwatch import __version__
from goldwatch.config import installed_probes, load
from goldwatch.config.energy import Energy
from goldwatch.daemon.metering import intensity, make
from goldwatch.energy.meter import Meter
from goldwatch.energy.nvml import Nvml
from goldwatch.energy.rapl import Rapl
from goldwatch.http_reading import Unreadable
from goldwatch.installation import extra_of, install_command
from goldwatch.probe import NeedsPackage


def report(path: Path | None = None) -> str:
    """Return the whole report, a finding a line; with what the config at `path` measures energy by, if one is given.

    Raises ConfigError.
    """
    sections = {"goldwatch": _here(), "probes": _probes(), "exporters": _exporters()}
    sections["meters"] = _opened(Rapl(), Nvml())
    if path is not None:
        sections[f"energy of {path}"] = _configured(load(path).energy)
    lines = []
    for title, findings in sections.items():
        lines.append(title)
        lines += [f"  {line}" for line in findings]
    return "\n".join(lines) + "\n"


def _here() -> Iterator[str]:
    yield f"version {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield f"{os.cpu_count()} processors"


def _probes() -> Iterator[str]:
    """Load each probe's module, and look for the package that its extra brings."""
    for name, entry in sorted(installed_probes().items()):
        try:
            probe = entry.load()
        except Exception as error:
            yield f"{name:<24} does not load: {type(error).__name__}: {error}"
            continue
        yield f"{name:<24} {_package(probe.needs) if isinstance(probe, NeedsPackage) else 'ready'}"


def _exporters() -> Iterator[str]:
    yield f"{'prometheus':<24} ready"
    for protocol in ("http", "grpc"):
        yield f"{'otlp ' + protocol:<24} {_package(f'opentelemetry-exporter-otlp-proto-{protocol}')}"


def _package(package: str) -> str:
    try:
        return f"ready: {package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        if extra_of(package, metadata.requires("goldwatch") or []):
            return f"missing: {package} is not installed: {install_command(package)}"
        own = "install it here, or in an interpreter of its own (`python:`, see docs/probes.md)"
        return f"missing: {package} is not installed, and no extra of goldwatch brings it: {own}"


def _opened(*meters: Meter) -> Iterator[str]:
    """Open each meter of this machine and describe what it would read, or why not."""
    for meter in meters:
        yield f"{meter.source:<24} {_what_it_reads(meter)}"


def _what_it_reads(meter: Meter) -> str:
    try:
        meter.open()
    except Unreadable as why:
        return str(why)
    try:
        shared = meter.shared_with()
        return f"ready: {meter.detail}; {f'shared with {shared}' if shared else 'nobody else seen'}"
    finally:
        meter.close()


def _configured(section: Energy | None) -> Iterator[str]:
    """Open each meter that a config names, and ask for the intensity of the grid once."""
    if section is None:
        yield "no section `energy`: nothing is measured"
        return
    if not section.meters:
        yield "no meter is named: rapl and nvml are used, where they are ready"
    for name, entry in section.meters.items():
        owned = "; exclusive, by your word" if entry.exclusive else ""
        yield f"{name:<24} {entry.kind}: {_what_it_reads(make(entry))}{owned}"
    try:
        if (source := intensity(section)) is not None:
            yield f"{'carbon':<24} ready: {source.at(time.time()):g} gCO2e/kWh now"
    except (Unreadable, ValueError) as why:
        yield f"{'carbon':<24} {why}"
