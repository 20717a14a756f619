"""The findings of `goldwatch doctor`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from goldwatch import __version__
from goldwatch.cli.app import app
from goldwatch.commands import doctor
from goldwatch.config import installed_probes


class NeedsWhatIsNotThere:
    needs: ClassVar[str] = "no-such-framework"


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
    """Return the report's lines below a title, by the first word of each line."""
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


def test_a_package_that_no_extra_brings_may_need_an_interpreter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_probes", lambda: {"strange": Entry(NeedsWhatIsNotThere)})
    start = "missing: no-such-framework is not installed, and no extra of goldwatch brings it: "
    assert findings("probes")["strange"].startswith(start)


def test_a_probe_that_does_not_load_is_a_finding_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"broken": Entry(ImportError("libcuda.so.1: cannot open")), "fine": Entry(object)}
    monkeypatch.setattr(doctor, "installed_probes", lambda: entries)
    assert findings("probes") == {
        "broken": "does not load: ImportError: libcuda.so.1: cannot open",
        "fine": "ready",
    }


CONFIG = """\
targets: {m: {probe: open-inference, url: "http://localhost:1", model: m}}
golden: {m: ./golden}
watches: {m: {}}
"""


def test_a_config_has_its_meters_opened_too(tmp_path: Path) -> None:
    file = tmp_path / "goldwatch.yaml"
    own = "{kind: estimate, power: 12 W, accuracy: 30%, exclusive: true}"
    far = "{kind: prometheus, url: 'http://127.0.0.1:1', query: plug_watts, unit: watts}"
    file.write_text(f"{CONFIG}energy: {{meters: {{own: {own}, far: {far}}}, carbon: 350 gCO2e/kWh}}\n")
    result = CliRunner().invoke(app, ["doctor", str(file)])
    assert result.exit_code == 0, result.output
    found = result.stdout.partition(f"energy of {file}\n")[2].splitlines()
    assert re.fullmatch(r"  own +estimate: ready: estimate: .* x 12 W, .*; exclusive, by your word", found[0])
    assert re.fullmatch(r"  far +prometheus: http://127.0.0.1:1/api/v1/query: .*refused.*", found[1])
    assert re.fullmatch(r"  carbon +ready: 350 gCO2e/kWh now", found[2])


def test_a_config_without_energy_says_so_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "goldwatch.yaml"
    file.write_text(CONFIG)
    assert "\n  no section `energy`: nothing is measured\n" in CliRunner().invoke(app, ["doctor", str(file)]).stdout
    file.write_text(f"{CONFIG}enrgy: {{}}\n")
    result = CliRunner().invoke(app, ["doctor", str(file)])
    assert result.exit_code == 2
    assert 'did you mean "energy"?' in result.stderr


def test_each_meter_of_the_machine_says_what_it_reads_or_why_not() -> None:
    found = findings("meters")
    assert found.keys() == {"rapl", "nvml"}
    for said in found.values():
        assert said.startswith("ready: ") or any(
            w in said for w in ("there is no", "has no", "needs", "is not installed")
        )
