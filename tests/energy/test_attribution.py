"""Gross, idle and net of traces whose truth is known."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from goldwatch.energy.attribution import Insufficient, Reading, Source, Window, attribute, student_t
from goldwatch.energy.meter import Resolution
from goldwatch.energy.sampling import Trace
from goldwatch.http_reading import Unreadable

SOURCE = Source("nvml", "a counter", False, 0.0, Resolution(1e-3, 0.1), 5.0, "")
S = 1_000_000_000


def measured(
    idle_w: float,
    load_w: float,
    *,
    after_w: float | None = None,
    age_s: float = 0.0,
    rates: tuple[int, ...] = (500,) * 4,
) -> Reading:
    """Read a counter of known power, `age_s` late: 5 s quiet, 5 s for each rate of inferences, 5 s quiet."""
    end_s = 5 + 5 * len(rates)
    trace = Trace()
    for step in range(int((end_s + 6) / 0.05)):
        at_s = step * 0.05
        t = max(0.0, at_s - age_s)
        joules = idle_w * min(t, 5) + load_w * min(max(t - 5, 0), end_s - 5)
        joules += (idle_w if after_w is None else after_w) * max(t - end_s, 0)
        trace.append(int(at_s * S), joules)
    load = tuple(Window((5 + 5 * i) * S, (10 + 5 * i) * S, n) for i, n in enumerate(rates))
    return Reading(trace, Window(0, 5 * S), load, Window(end_s * S, (end_s + 5) * S))


def test_gross_is_idle_and_net() -> None:
    energy = attribute(measured(100, 300), SOURCE)
    assert energy.gross_j.value == pytest.approx(6000)
    assert energy.idle_j == pytest.approx(2000)
    assert energy.net_j.value == pytest.approx(energy.gross_j.value - energy.idle_j)
    assert energy.gross_per_inference_j.value == pytest.approx(3)
    assert energy.net_per_inference_j.value == pytest.approx(2)
    assert energy.idle_w.value == pytest.approx(100)


def test_a_late_counter_stays_within_its_uncertainty_most_of_the_time() -> None:
    chance = random.Random(0)
    ages = [chance.uniform(0, 0.1) for _ in range(200)]
    inside = 0
    for age_s in ages:
        energy = attribute(measured(100, 300, age_s=age_s), SOURCE)
        inside += energy.net_j.low <= 4000 <= energy.net_j.high
    assert inside >= 190


def test_idle_power_that_drifts_widens_the_net_and_not_the_gross() -> None:
    steady, drifting = attribute(measured(100, 300), SOURCE), attribute(measured(100, 300, after_w=120), SOURCE)
    assert drifting.gross_j == steady.gross_j
    assert drifting.net_j.value == steady.net_j.value
    assert drifting.net_j.high - drifting.net_j.low > 2 * (steady.net_j.high - steady.net_j.low)
    assert drifting.components.idle == pytest.approx(math.hypot(20 / math.sqrt(3) * 20, steady.components.idle))


def test_the_accuracy_of_the_source_is_a_component() -> None:
    exact, stated = (attribute(measured(0, 300), replace(SOURCE, accuracy=a)) for a in (0.0, 0.1))
    assert stated.components.accuracy == pytest.approx(0.1 / math.sqrt(3) * 6000)
    assert stated.gross_j.high - stated.gross_j.low > exact.gross_j.high - exact.gross_j.low


def test_windows_that_differ_too_much_give_no_figure() -> None:
    with pytest.raises(Insufficient, match=r"the windows differ by \d+%"):
        attribute(measured(100, 300, rates=(500, 100, 500, 100)), SOURCE)


def test_a_window_too_short_for_the_counter_gives_no_figure() -> None:
    reading = measured(100, 300)
    short = replace(reading, load=(Window(5 * S, 6 * S, 100),))
    with pytest.raises(Insufficient, match=r"a window of 1 s is too short: this meter needs 5 s"):
        attribute(short, SOURCE)


def test_a_counter_that_stands_still_gives_no_figure() -> None:
    with pytest.raises(Insufficient, match="did not move under load"):
        attribute(measured(0, 0), SOURCE)


def test_a_meter_that_stopped_being_read_gives_no_figure() -> None:
    reading = measured(100, 300)
    cut = Trace(reading.trace.at_ns[:200], reading.trace.joules[:200])
    with pytest.raises(Unreadable, match="not read through the whole window"):
        attribute(replace(reading, trace=cut), SOURCE)


def test_a_shared_device_is_called_shared() -> None:
    energy = attribute(measured(100, 300), replace(SOURCE, shared_with="2 processes on GPU 0"))
    assert (energy.attribution, energy.shared_with) == ("shared", "2 processes on GPU 0")


@settings(deadline=None)  # a busy machine is no finding
@given(st.floats(1, 1e6))
def test_students_factor_is_never_narrower_than_the_exact_one(freedom: float) -> None:
    assert student_t(freedom) >= float(student.ppf(0.975, freedom)) - 0.006


@settings(deadline=None)  # a busy machine is no finding
@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1e3)), min_size=2, max_size=30), st.data())
def test_the_parts_of_a_window_sum_to_the_whole(steps: list[tuple[int, float]], data: st.DataObject) -> None:
    trace, at_ns, joules = Trace(), 0, 0.0
    for wait_ns, more_j in steps:
        at_ns, joules = at_ns + wait_ns, joules + more_j
        trace.append(at_ns, joules)
    a, b, c = sorted(data.draw(st.tuples(*[st.integers(trace.at_ns[0], at_ns)] * 3)))
    assert trace.between(a, b) + trace.between(b, c) == pytest.approx(trace.between(a, c), abs=1e-6)


def test_the_package_needs_the_standard_library_alone() -> None:
    names = sorted(p.stem for p in (Path(__file__).parents[2] / "agent/goldwatch/energy").glob("[a-z]*.py"))
    program = "import sys\n" + "".join(f"import goldwatch.energy.{name}\n" for name in names)
    program += "print([m for m in sys.modules if 'site-packages' in (getattr(sys.modules[m], '__file__', '') or '')])"
    root = Path(__file__).parents[2] / "agent"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
