"""The energy of hardware as OpenTelemetry names it, of a powercap tree of files, through the SDK."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from goldwatch.config.energy import Energy, MeterEntry
from goldwatch.daemon import pushers
from goldwatch.energy import rapl
from goldwatch.energy.rapl import Rapl
from goldwatch.export.hardware import Hardware

RANGE = 262_143_328_850
EVERY_S = 60.0
PACKAGE = {"hw.id": "intel-rapl:0", "hw.type": "cpu", "hw.name": "package-0"}


class Machine:
    """A tree with one package, a clock, and what the SDK collects of them."""

    def __init__(self, tree: Path, every_s: float = EVERY_S) -> None:
        self.tree, self.now_s, self.joules = tree, 1000.0, 0.0
        self.reader = InMemoryMetricReader()
        provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.dropped: list[int] = []
        meters = [
            Rapl(tree, clock=lambda: self.now_s) for _ in range(2)
        ]  # as where two entries of a config name one machine
        self.hardware = Hardware(meters, every_s, provider.get_meter("test"), lambda: self.now_s, self.dropped.append)

    def plug_in(self) -> None:
        zone = self.tree / "intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0")
        (zone / "max_energy_range_uj").write_text(str(RANGE))
        self.take(0.0, 0.0)

    def take(self, joules: float, seconds: float = EVERY_S) -> None:
        self.now_s += seconds
        self.joules += joules
        (self.tree / "intel-rapl:0" / "energy_uj").write_text(str(int(self.joules * 1e6) % (RANGE + 1)))

    def collected(self) -> list[tuple[float, Mapping[str, Any]]]:
        data = self.reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        points: list[Any] = [p for m in metrics for p in m.data.data_points]
        assert {(m.name, m.unit) for m in metrics} <= {("hw.energy", "J")}
        return [(p.value, dict(p.attributes)) for p in points]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "powercap")
    made.plug_in()
    return made


def test_each_push_tells_what_the_component_has_taken_since_the_first(machine: Machine) -> None:
    assert machine.collected() == [(0.0, PACKAGE)]
    machine.take(6_000.0)
    assert machine.collected() == [(6_000.0, PACKAGE)]
    machine.take(261_000.0, seconds=262.0)  # past the end of the counter's range
    assert machine.collected() == [(267_000.0, PACKAGE)]


def test_after_a_pause_in_which_the_counter_may_have_begun_again_it_counts_from_nought(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.collected()
    machine.take(50.0, seconds=400.0)
    assert machine.collected() == []
    why = "hw.energy is not pushed of rapl: its counter may begin again after 262 s, and 400 s pass between two pushes"
    assert {record.getMessage() for record in caplog.records} == {why}
    assert machine.collected() == [(0.0, PACKAGE)]
    machine.take(50.0)
    assert machine.collected() == [(50.0, PACKAGE)]


def test_a_restarted_counter_is_counted_and_begins_at_nought(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.take(50_000.0)
    machine.collected()
    machine.take(-49_000.0)
    assert machine.collected() == []
    assert machine.dropped == [1, 1], "one for each meter"
    assert "restarted" in caplog.text
    assert machine.collected() == [(0.0, PACKAGE)]


def test_what_cannot_be_read_is_absent_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "goldwatch")
    machine = Machine(tmp_path / "powercap")
    assert [machine.collected() for _ in range(3)] == [[], [], []]
    (first, second) = [record.getMessage() for record in caplog.records]  # one of each meter
    assert first == second
    assert first.startswith(f"hw.energy is not pushed of rapl: there is no {tmp_path / 'powercap'}")
    machine.plug_in()
    assert machine.collected() == [(0.0, PACKAGE)], "the driver was loaded later"
    machine.hardware.close()


def test_pushes_too_far_apart_for_a_counter_tell_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "powercap", every_s=300.0)
    machine.plug_in()
    assert [machine.collected() for _ in range(2)] == [[], []]


def test_only_meters_with_counters_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rapl, "TREE", tmp_path)
    of_prometheus = MeterEntry(kind="prometheus", url="http://prometheus:9090", query="joules")
    meters = {"cpu": MeterEntry(kind="rapl"), "gpu": MeterEntry(kind="nvml"), "pod": of_prometheus}
    assert [meter.source for meter in pushers.counting(Energy(meters=meters))] == ["rapl", "nvml"]
    assert pushers.counting(Energy()) == ()
    assert pushers.counting(None) == ()
