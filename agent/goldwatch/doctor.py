"""`goldwatch doctor`: what is installed, which probes load, what is missing and the command that installs it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata

from goldwatch import __version__
from goldwatch.config import installed_probes
from goldwatch.energy.meter import Unreadable
from goldwatch.energy.nvml import Nvml
from goldwatch.energy.rapl import Rapl
from goldwatch.probe import NeedsPackage


def report() -> str:
    """Return the whole report, a finding a line."""
    sections = {"goldwatch": _here(), "probes": _probes(), "exporters": _exporters(), "meters": _meters()}
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
        yield f"{name:<24} {_package(*probe.needs) if isinstance(probe, NeedsPackage) else 'ready'}"


def _exporters() -> Iterator[str]:
    yield f"{'prometheus':<24} ready"
    for protocol in ("http", "grpc"):
        yield f"{'otlp ' + protocol:<24} {_package(f'opentelemetry-exporter-otlp-proto-{protocol}', 'otlp')}"


def _package(package: str, extra: str) -> str:
    try:
        return f"ready: {package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        if extra not in (metadata.metadata("goldwatch").get_all("Provides-Extra") or ()):
            return f"missing here: {package} needs an interpreter of its own (`python:`, see docs/probes.md)"
        return f"missing: {package} is not installed: pip install 'goldwatch[{extra}]'"


def _meters() -> Iterator[str]:
    """Open each meter of this machine and say what it would read, or why not."""
    for meter in (Rapl(), Nvml()):
        try:
            meter.open()
            yield f"{meter.source:<24} ready: {meter.detail}"
        except Unreadable as why:
            yield f"{meter.source:<24} {why}"
        finally:
            meter.close()
