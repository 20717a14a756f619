"""NVML without a GPU: the reasons why not, and the sums with a fake of the driver's library."""

# ruff: noqa: N802 - the names are those of NVML

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

import pynvml
import pytest

from goldwatch.energy.meter import Component, Counting
from goldwatch.energy.nvml import Nvml
from goldwatch.http_reading import Unreadable


@dataclass
class Process:
    pid: int


@dataclass
class Driver:
    """The part of NVML that this meter uses; the errors are pynvml's own. GPU i is its number."""

    millijoules: list[int]
    watts: list[float] = field(default_factory=list)
    pids: dict[int, list[int]] = field(default_factory=dict)
    counts: bool = True
    NVMLError = pynvml.NVMLError
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported

    def nvmlInit(self) -> None: ...

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, gpu: int) -> str:
        return "a GPU"

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return f"GPU-{gpu}"

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:
        if not self.counts:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self.millijoules[gpu]

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> float:
        return self.watts[gpu] * 1e3

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Process]:
        return [Process(pid) for pid in self.pids.get(gpu, [])]

    def nvmlDeviceGetMigMode(self, gpu: int) -> Any:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_here_it_says_why_not() -> None:
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        pytest.skip("this machine has an NVIDIA driver")
    with pytest.raises(Unreadable, match=r"NVML cannot be read: .*NVIDIA_VISIBLE_DEVICES"):
        Nvml().open()


def test_the_fake_has_only_what_the_library_has() -> None:
    assert [n for n in dir(Driver) if n.startswith("nvml") and not hasattr(pynvml, n)] == []


def test_all_gpus_are_added_up_or_those_that_are_chosen() -> None:
    driver = Driver([1000, 50, 0])
    every, chosen = Nvml(library=driver), Nvml(gpus=[2], library=driver)
    every.open()
    chosen.open()
    driver.millijoules = [2000, 50, 500]
    assert every.read() == 1.5
    assert chosen.read() == 0.5
    assert chosen.detail == "NVML energy counter: 2 a GPU"
    with pytest.raises(Unreadable, match="there is no GPU 7; this machine shows 3"):
        Nvml(gpus=[7], library=driver).open()


def test_the_gpus_of_a_process_are_those_that_it_computes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    from pathlib import Path

    comm = Path("/proc/self/comm").read_text().strip()
    driver = Driver([0, 0], pids={1: [os.getpid()]})
    meter = Nvml(process=comm, library=driver)
    meter.open()
    driver.millijoules = [7000, 3000]
    assert meter.read() == 3
    with pytest.raises(Unreadable, match='no process named "tritonserver" uses a GPU here'):
        Nvml(process="tritonserver", library=driver).open()


def test_a_device_with_several_processes_is_shared() -> None:
    meter = Nvml(library=Driver([0], pids={0: [10, 11]}))
    meter.open()
    assert meter.shared_with() == "2 processes on 0 a GPU"


def test_power_is_integrated_only_where_there_is_no_counter() -> None:
    driver = Driver([0], watts=[100.0], counts=False)
    meter = Nvml(library=driver)
    meter.open()
    first = meter.read()
    driver.watts = [300.0]
    assert meter.read() > first >= 0
    assert meter.detail == "NVML power, integrated: 0 a GPU"
    assert meter.least_window_s == 50


def test_each_gpu_with_a_counter_is_told_apart_by_its_uuid() -> None:
    driver = Driver([1000, 50])
    meter = Nvml(library=driver)
    meter.open()
    driver.millijoules = [2000, 50]
    assert meter.components() == [Component("GPU-0", "gpu", "0 a GPU", 1.0), Component("GPU-1", "gpu", "1 a GPU", 0.0)]
    assert isinstance(meter, Counting)
    without = Nvml(library=Driver([0], watts=[100.0], counts=False))
    without.open()
    assert without.components() == [], "power that is read once a minute is no energy"


def test_a_counter_that_goes_back_is_no_energy() -> None:
    driver = Driver([1000])
    meter = Nvml(library=driver)
    meter.open()
    driver.millijoules = [10]
    with pytest.raises(Unreadable, match="went back"):
        meter.read()
