"""RAPL on a powercap tree of files: whatever the counters do, the sum is the truth, or there is a reason and no sum."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch.energy.meter import Component, Counting, Implausible
from goldwatch.energy.rapl import MOST_WATTS, Rapl, zones
from goldwatch.http_reading import Unreadable

RANGE = 262_143_328_850


class Clock:
    """Seconds that pass only when a test lets them."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def draw(self, microjoules: int, watts: float = MOST_WATTS) -> None:
        """Advance the time that a power takes to draw an energy."""
        self.now_s += microjoules / 1e6 / watts


class Zone:
    """A zone of the tree, whose counter wraps as the kernel's does."""

    def __init__(self, tree: Path, folder: str, name: str, highest: int = RANGE, start: int = 0) -> None:
        self.path = tree / folder
        self.path.mkdir(parents=True)
        self.highest = highest
        self.raw = start
        (self.path / "name").write_text(f"{name}\n")
        (self.path / "max_energy_range_uj").write_text(f"{highest}\n")
        self.add(0)

    def add(self, microjoules: int) -> None:
        self.raw = (self.raw + microjoules) % (self.highest + 1)
        (self.path / "energy_uj").write_text(f"{self.raw}\n")


@contextmanager
def a_tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@st.composite
def sockets(draw: st.DrawFn) -> list[tuple[int, int, list[int]]]:
    """Draw several counters: range, start, and steps that stay below one turn between two readings."""
    readings = draw(st.integers(1, 12))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        highest = draw(st.integers(1, 2**40))
        start = draw(st.integers(0, highest))
        found.append((highest, start, draw(st.lists(st.integers(0, highest), min_size=readings, max_size=readings))))
    return found


@settings(deadline=None, max_examples=60)  # a busy machine is no finding
@given(sockets())
def test_any_sequence_of_counter_values_sums_to_the_truth(drawn: list[tuple[int, int, list[int]]]) -> None:
    with a_tree() as tree:
        made = [
            Zone(tree, f"intel-rapl:{i}", f"package-{i}", highest, start) for i, (highest, start, _) in enumerate(drawn)
        ]
        clock = Clock()
        meter = Rapl(tree, clock=clock)
        meter.open()
        truth = 0
        for steps in zip(*(steps for _, _, steps in drawn), strict=True):
            for zone, step in zip(made, steps, strict=True):
                zone.add(step)
                truth += step
            clock.draw(max(steps))
            assert meter.read_uj() == truth
        assert meter.read() == truth / 1e6


@settings(deadline=None, max_examples=60)
@given(st.integers(0, RANGE), st.integers(0, RANGE), st.floats(0, 300))
def test_a_step_counts_only_if_the_power_explains_it(start: int, now: int, seconds: float) -> None:
    with a_tree() as tree:
        zone, clock = Zone(tree, "intel-rapl:0", "package-0", start=start), Clock()
        meter = Rapl(tree, clock=clock)
        meter.open()
        clock.now_s = seconds
        zone.add(now - start)
        step = (now - start) % (RANGE + 1)
        if step <= MOST_WATTS * seconds * 1e6:
            assert meter.read_uj() == step
        elif step > MOST_WATTS * (seconds + 0.1) * 1e6:
            for _ in range(2):  # time that passes explains nothing
                with pytest.raises(Implausible, match="the counter stepped back or restarted"):
                    meter.read()
                clock.now_s += 1e6
            meter.open()
            assert meter.read_uj() == 0


@pytest.mark.parametrize(
    ("declared", "watts"),
    [
        ({}, MOST_WATTS),
        ({"constraint_0_max_power_uw": "125000000"}, 250),
        ({"constraint_0_max_power_uw": "125000000", "constraint_1_power_limit_uw": "253000000"}, 506),
        ({"constraint_0_max_power_uw": "125000000", "constraint_1_power_limit_uw": "4095000000"}, MOST_WATTS),
        ({"constraint_0_max_power_uw": "0"}, MOST_WATTS),
        ({"constraint_0_max_power_uw": "unknown"}, MOST_WATTS),
    ],
)
def test_the_bound_is_twice_the_highest_power_that_the_zone_declares(declared: dict[str, str], watts: float) -> None:
    with a_tree() as tree:
        zone, clock = Zone(tree, "intel-rapl:0", "package-0"), Clock()
        for name, text in declared.items():
            (zone.path / name).write_text(text)
        meter = Rapl(tree, clock=clock)
        for factor, plausible in ((0.99, True), (1.01, False)):
            meter.open()
            step = int(watts * factor * 60e6)
            zone.add(step)
            clock.now_s += 60
            if plausible:
                assert meter.read_uj() == step
            else:
                with pytest.raises(Implausible):
                    meter.read()


def test_no_part_is_counted_with_its_whole_and_no_zone_twice() -> None:
    with a_tree() as tree:
        for socket in (0, 1):
            Zone(tree, f"intel-rapl:{socket}", f"package-{socket}")
            Zone(tree, f"intel-rapl:{socket}:0", "core")
            Zone(tree, f"intel-rapl:{socket}:1", "uncore")
            Zone(tree, f"intel-rapl:{socket}:2", "dram")
        Zone(tree, "intel-rapl:2", "psys")
        Zone(tree, "intel-rapl-mmio:0", "package-0")
        (tree / "intel-rapl").mkdir()
        assert [name for _, name in zones(tree)] == ["package-0", "package-0 dram", "package-1", "package-1 dram"]


def test_each_package_and_each_memory_is_told_apart_by_its_own_counter() -> None:
    with a_tree() as tree:
        package, memory = Zone(tree, "intel-rapl:0", "package-0", start=7), Zone(tree, "intel-rapl:0:2", "dram")
        clock = Clock()
        meter = Rapl(tree, clock=clock)
        meter.open()
        clock.draw(2_000_000)
        package.add(2_000_000)
        memory.add(500_000)
        assert meter.components() == [
            Component("intel-rapl:0", "cpu", "package-0", 2.0),
            Component("intel-rapl:0:2", "memory", "package-0 dram", 0.5),
        ]
        assert meter.read() == 2.5
        assert isinstance(meter, Counting)
        assert meter.longest_gap_s == pytest.approx(262.1, abs=0.1)


def test_polling_is_far_quicker_than_half_a_wrap() -> None:
    with a_tree() as tree:
        zone = Zone(tree, "intel-rapl:0", "package-0", highest=20_000_000)
        meter = Rapl(tree)
        meter.open()
        assert meter.poll_s * 1000 * 1e6 < zone.highest / 2  # at a thousand watts


@contextmanager
def nobody() -> Iterator[None]:
    """Lose root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_without_permission_it_says_which_file_and_what_it_takes() -> None:
    with a_tree() as tree:
        zone = Zone(tree, "intel-rapl:0", "package-0")
        (zone.path / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0o000)
        with (
            nobody(),
            pytest.raises(Unreadable, match=r"energy_uj is not readable: it needs root, or on the host: chmod"),
        ):
            Rapl(tree).open()


def test_a_zone_that_vanishes_ends_the_measurement_rather_than_leaving_a_smaller_sum() -> None:
    with a_tree() as tree:
        first, second = (Zone(tree, f"intel-rapl:{i}", f"package-{i}") for i in (0, 1))
        meter = Rapl(tree)
        meter.open()
        first.add(5)
        assert meter.read_uj() == 5
        shutil.rmtree(second.path)
        with pytest.raises(Unreadable, match=r"intel-rapl:1/energy_uj cannot be read: it has gone"):
            meter.read()


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("energy_uj", "many", "holds 'many', not a whole number"),
        ("energy_uj", "-1", "is no energy"),
        ("max_energy_range_uj", "0", "no counter wraps there"),
    ],
)
def test_what_is_no_counter_is_refused(file: str, text: str, says: str) -> None:
    with a_tree() as tree:
        zone = Zone(tree, "intel-rapl:0", "package-0")
        (zone.path / file).write_text(text)
        with pytest.raises(Unreadable, match=says):
            Rapl(tree).open()


def test_a_counter_beyond_its_range_is_refused() -> None:
    with a_tree() as tree:
        zone = Zone(tree, "intel-rapl:0", "package-0", highest=100)
        meter = Rapl(tree)
        meter.open()
        (zone.path / "energy_uj").write_text("101")
        with pytest.raises(Unreadable, match="more than its range of 100"):
            meter.read()


def test_no_tree_and_no_zone_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"there is no .*no powercap"):
        Rapl(tmp_path / "none").open()
    with pytest.raises(Unreadable, match="no package or memory zone"):
        Rapl(tmp_path).open()
