"""The fake probe conforms, and fails when and as told."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, Rejected, Tensors, Unreachable
from goldwatch.testing.clock import FakeClock
from goldwatch.testing.conformance import ProbeConformance
from goldwatch.testing.probe import CRASH_CODE, FakeProbe

INPUTS = {"x": np.eye(4, dtype=np.float32)}
CONTEXT = Context(time_limit_s=2.0)


def fake(clock: FakeClock | None = None, **options: Any) -> FakeProbe:
    return FakeProbe(FakeProbe.Options(**options), CONTEXT, sleep=(clock or FakeClock()).sleep)


def ask(probe: FakeProbe) -> np.ndarray:
    return probe.decode(probe.predict(probe.encode(INPUTS)))["probabilities"]


class TestConformance(ProbeConformance):
    def make_probe(self) -> FakeProbe:
        return fake()

    def make_missing(self) -> FakeProbe:
        return fake(open_fails="cannot_load")

    def inputs(self) -> Tensors:
        return INPUTS

    def expected(self) -> Tensors:
        scores = np.cos(np.arange(4)[:, None] * 1.7 + np.arange(3)[None, :] * 2.3)
        return {"probabilities": np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)}


@pytest.mark.parametrize(
    ("how", "error"), [("cannot_load", CannotLoad), ("not_ready", NotReady), ("unreachable", Unreachable)]
)
def test_opening_fails_as_told(how: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="as told"):
        fake(open_fails=how).open()


def test_each_request_fails_as_told_and_the_others_do_not() -> None:
    # As they come from a config that passed through JSON.
    probe = fake(failures={"2": "rejected", "3": "timeout", "4": "unreachable", "5": "bad_answer", "6": "nan"})
    probe.open()
    right = ask(probe)
    for error in (Rejected, TimeoutError, Unreachable, BadAnswer):
        with pytest.raises(error, match="as told"):
            ask(probe)
    assert np.isnan(ask(probe)).all()
    np.testing.assert_array_equal(ask(probe), right)


def test_latencies_come_in_turn_and_end_at_the_time_limit() -> None:
    clock = FakeClock()
    probe = fake(clock, latencies_s=[0.5, 3.0], open_s=1.0)
    probe.open()
    ask(probe)
    with pytest.raises(TimeoutError):
        ask(probe)
    ask(probe)
    assert clock.slept_s == [1.0, 0.5, 2.0, 0.5]


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_wrong_answers_name_another_class_from_the_request_told(classes: int) -> None:
    probe = fake(wrong_from=3, classes=classes)
    probe.open()
    answers = [ask(probe) for _ in range(4)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert (answers[0].argmax(axis=1) != answers[2].argmax(axis=1)).all()
    np.testing.assert_array_equal(answers[2], answers[3])
    np.testing.assert_allclose(answers[2].sum(axis=1), 1, rtol=1e-6)


CRASH = """
from goldwatch.probe import Context
from goldwatch.testing.probe import FakeProbe
import numpy as np
probe = FakeProbe(FakeProbe.Options(failures={1: "%s"}), Context(time_limit_s=1))
probe.open()
print("asked", flush=True)
probe.predict(probe.encode({"x": np.ones((1, 4), dtype=np.float32)}))
"""


def test_a_crash_ends_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH % "crash"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (CRASH_CODE, "asked\n", "")


def test_a_hang_does_not_give_up() -> None:
    with subprocess.Popen([sys.executable, "-c", CRASH % "hang"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asked\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()


def test_the_clock_moves_only_when_told() -> None:
    clock = FakeClock(time_s=100.0)
    assert (clock.monotonic_ns(), clock.time()) == (0, 100.0)
    clock.advance(1.5)
    clock.sleep(0.5)
    assert (clock.monotonic_ns(), clock.monotonic(), clock.time()) == (2_000_000_000, 2.0, 102.0)
    assert clock.slept_s == [0.5]
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
