"""Disturbances of a replay, read from control groups that a test has made."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from goldwatch.cgroups import own_group, pressure_us
from goldwatch.core.disturbances import Found
from goldwatch.worker.load.disturbances import Disturbances

PRESSURE = "some avg10=1.00 avg60=0.00 avg300=0.00 total={some}\nfull avg10=0.50 avg60=0.00 avg300=0.00 total={full}\n"


def machine(root: Path, group: str = "0::/pods/fraud\n") -> tuple[Path, Path]:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    (root / "cgroup").mkdir()
    return root / "cgroup", root / "proc"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_throttling_of_version_2_is_what_was_added_meanwhile(tmp_path: Path) -> None:
    cgroups, proc = machine(tmp_path)
    stat = cgroups / "pods/fraud/cpu.stat"
    write(stat, "usage_usec 5\nnr_throttled 3\nthrottled_usec 1000000\n")
    with Disturbances(cgroups, proc) as watched:
        write(stat, "usage_usec 9\nnr_throttled 4\nthrottled_usec 1250000\n")
    assert watched.found().throttled_s == pytest.approx(0.25)


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    cgroups, proc = machine(tmp_path, "0::/\n")
    write(cgroups / "cpu.stat", "throttled_usec 0\n")
    write(cgroups / "memory.pressure", PRESSURE.format(some=9, full=5))
    with Disturbances(cgroups, proc) as watched:
        write(cgroups / "cpu.stat", "throttled_usec 7000\n")
        write(cgroups / "memory.pressure", PRESSURE.format(some=9_000_009, full=2_000_005))
    assert watched.found().throttled_s == pytest.approx(0.007)
    assert watched.found().memory_stalled_s == pytest.approx(2.0)


def test_throttling_of_version_1_is_in_nanoseconds(tmp_path: Path) -> None:
    cgroups, proc = machine(tmp_path, "3:cpuset:/\n2:cpu,cpuacct:/docker/1\n0::/\n")
    assert own_group(proc, "cpu") == "docker/1"
    stat = cgroups / "cpu/docker/1/cpu.stat"
    write(stat, "nr_throttled 0\nthrottled_time 0\n")
    with Disturbances(cgroups, proc) as watched:
        write(stat, "nr_throttled 1\nthrottled_time 30000000\n")
    assert watched.found().throttled_s == pytest.approx(0.03)


def test_without_a_group_of_its_own_the_machine_tells_of_memory(tmp_path: Path) -> None:
    cgroups, proc = machine(tmp_path)
    write(proc / "pressure/memory", PRESSURE.format(some=1, full=0))
    with Disturbances(cgroups, proc) as watched:
        write(proc / "pressure/memory", PRESSURE.format(some=1, full=40_000))
    assert watched.found().memory_stalled_s == pytest.approx(0.04)


@pytest.mark.parametrize("text", ["", "throttled_usec many\n", "throttled_usec\n", "nonsense"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    cgroups, proc = machine(tmp_path)
    write(cgroups / "cpu.stat", text)
    with Disturbances(cgroups, proc) as watched:
        pass
    assert (watched.found().throttled_s, watched.found().memory_stalled_s) == (None, None)
    assert pressure_us(tmp_path / "nowhere", "some") is None
    assert own_group(tmp_path) == ""


def test_the_garbage_collector_is_timed(tmp_path: Path) -> None:
    cgroups, proc = machine(tmp_path)
    with Disturbances(cgroups, proc) as quiet:
        pass
    with Disturbances(cgroups, proc) as noisy:
        gc.collect()
    assert quiet.found().collecting_s == 0
    assert 0 < noisy.found().collecting_s <= noisy.found().seconds


def test_on_this_machine_it_reads_what_there_is() -> None:
    with Disturbances() as watched:
        pass
    assert isinstance(watched.found(), Found)
