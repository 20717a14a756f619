"""What `goldwatch doctor` finds."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from goldwatch import __version__, doctor
from goldwatch.cli import app
from goldwatch.config import installed_probes


class NeedsWhatIsNotThere:
    needs: ClassVar[tuple[str, str]] = ("no-such-framework", "onnx")


class Entry:
    """An entry point that gives, or raises, what it was made with."""

    def __init__(self, found: Any) -> None:
        self.value = "somewhere:Probe"
        self._found = found

    def load(self) -> Any:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def findings(title: str) -> dict[str, str]:
    """Return what the report says below a title, by the first word of each line."""
    found: dict[str, dict[str, str]] = {}
    for line in doctor.report().splitlines():
        if not line.startswith("  "):
            section = found.setdefault(line, {})
        else:
            section[line[2:26].rstrip()] = line[27:]
    return found[title]


def test_it_prints_all_sections() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    titles = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert titles == ["goldwatch", "probes", "exporters", "meters"]
    assert f"version {__version__}, Python " in result.stdout


def test_every_installed_probe_loads() -> None:
    found = findings("probes")
    assert found.keys() == installed_probes().keys()
    assert all(said.startswith(("ready", "missing")) for said in found.values())
    assert found["onnx-runtime"].startswith("ready")
    assert found["open-inference"] == "ready"
    assert found["onnx-runtime"].startswith("ready: onnxruntime ")


def test_a_missing_package_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_probes", lambda: {"strange": Entry(NeedsWhatIsNotThere)})
    expected = "missing: no-such-framework is not installed: pip install 'goldwatch[onnx]'"
    assert findings("probes") == {"strange": expected}


def test_a_probe_that_does_not_load_is_a_finding_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"broken": Entry(ImportError("libcuda.so.1: cannot open")), "fine": Entry(object)}
    monkeypatch.setattr(doctor, "installed_probes", lambda: entries)
    assert findings("probes") == {
        "broken": "does not load: ImportError: libcuda.so.1: cannot open",
        "fine": "ready",
    }


def test_each_meter_of_the_machine_says_what_it_reads_or_why_not() -> None:
    found = findings("meters")
    assert found.keys() == {"rapl", "nvml"}
    for said in found.values():
        assert said.startswith("ready: ") or any(
            w in said for w in ("there is no", "has no", "needs", "is not installed")
        )
