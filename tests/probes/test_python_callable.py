"""The probe for callables: what it takes for outputs, and hostile models, which the agent outlives."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.daemon.engine import Replay, replay
from goldwatch.daemon.plan import Plan
from goldwatch.golden.tensors import TensorLocation
from goldwatch.ipc.workers import Workers
from goldwatch.probe import CannotLoad, Context, Rejected, Tensors, TensorSpec
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes.python_callable import PythonCallable

MODEL = '''
import ctypes, os, resource, signal, sys, time

import numpy as np

def double(inputs):
    return inputs["x"] * 2

class Scale:
    def __init__(self, by):
        self.by = by
    def __call__(self, inputs):
        return {"y": inputs["x"] * self.by, "ignored": None}

def broken(inputs):
    raise KeyError("age")

def ragged(inputs):
    return [[1, 2], [3]],

def wrong_shape(inputs):
    return np.zeros((1, 7), dtype=np.float32)

def writes(inputs):
    inputs["x"][:] = 0

def exits(inputs):
    os._exit(3)

def quits(inputs):
    sys.exit("enough")

def third(fate):
    """Answer, but meet a fate at the third request."""
    count = 0
    def call(inputs):
        nonlocal count
        count += 1
        if count == 3:
            fate()
        return inputs["x"] * 2
    return call

def segfault():
    return third(lambda: ctypes.string_at(0))

def endless():
    def loop():
        while True:
            pass
    return third(loop)

def killed():
    return third(lambda: os.kill(os.getpid(), signal.SIGKILL))

def grows():
    kept = []
    def grow():
        while True:
            kept.append(np.ones(8 << 20, dtype=np.uint8))
            time.sleep(0.01)
    return third(grow)

def loads_much():
    kept = np.ones(300 << 20, dtype=np.uint8)
    time.sleep(5)
    return third(lambda: kept)

def hog():
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    return third(lambda: np.ones(8 << 30, dtype=np.uint8))
'''
INPUTS = {"x": np.array([[1, 2], [3, -4], [0.5, 0.25]], dtype=np.float32)}
CONTEXT = Context(time_limit_s=5)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    (path / "users_model.py").write_text(MODEL)
    return path


def probe_of(folder: Path, name: str, **options: Any) -> PythonCallable:
    return PythonCallable(PythonCallable.Options(callable=f"users_model:{name}", path=folder, **options), CONTEXT)


def ask(probe: PythonCallable) -> Tensors:
    return probe.decode(probe.predict(probe.encode(INPUTS)))


class TestConformance(ProbeConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, folder: Path) -> None:
        self.folder = folder

    def make_probe(self) -> PythonCallable:
        return probe_of(self.folder, "double", outputs=("y",))

    def make_missing(self) -> PythonCallable:
        return probe_of(self.folder, "missing")

    def inputs(self) -> Tensors:
        return INPUTS

    def expected(self) -> Tensors:
        return {"y": INPUTS["x"] * 2}


def test_a_factory_makes_the_model_of_its_arguments(folder: Path) -> None:
    probe = probe_of(folder, "Scale", factory=True, arguments={"by": 3}, outputs=("y",), model="scale")
    probe.open()
    np.testing.assert_array_equal(ask(probe)["y"], INPUTS["x"] * 3)
    description = probe.describe()
    assert (description.model, description.framework) == ("scale", "python")
    assert description.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Scale", {"factory": True}, "missing 1 required positional argument: 'by'"),
        ("double", {"arguments": {"by": 3}}, "set `factory: true`, or leave them out"),
        ("wrong_shape", {"factory": True, "arguments": {"inputs": 0}}, "made ndarray, expected a callable"),
    ],
)
def test_options_that_cannot_be(folder: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        probe_of(folder, name, **options).open()


def test_an_error_of_the_users_code_is_a_rejection(folder: Path) -> None:
    probe = probe_of(folder, "broken")
    probe.open()
    with pytest.raises(Rejected, match="KeyError: 'age'"):
        ask(probe)


def replayed(folder: Path, workers: Workers, name: str, factory: bool = True, **settings: Any) -> Replay:
    """Replay six examples against a model, with half a second for each."""
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    (folder / "inputs").write_bytes(values.tobytes())
    plan = Plan(
        factory="goldwatch_probes.python_callable:PythonCallable",
        options={"callable": f"users_model:{name}", "path": str(folder), "factory": factory, "outputs": ["y"]},
        served=False,
        warm=False,
        key="test",
        inputs=(TensorLocation("x", str(folder / "inputs"), "float32", values.shape, 0),),
        outputs=(TensorSpec("y", "float32", (2,)),),
        examples=range(6),
        warmup=0,
        **{"time_limit_s": 5.0, "start_limit_s": 20, **settings},
    )
    return replay(plan, workers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("segfault", "crashed", "the worker process ended by signal SIGSEGV"),
        ("killed", "crashed", "the worker process ended by signal SIGKILL"),  # as the kernel does when memory is short
        ("endless", "timeout", "no answer within 5 s; the worker was ended"),
        ("hog", "rejected", "MemoryError: Unable to allocate 8.00 GiB for an array"),
    ],
)
def test_a_hostile_model_costs_the_requests_it_spoils(
    folder: Path, workers: Workers, name: str, outcome: str, message: str
) -> None:
    result = replayed(folder, workers, name)
    lost = 1 if outcome == "rejected" else 2  # a new worker's model counts from 1 again, and loses its third as well
    assert result.failure is None
    assert result.outcomes() == {"ok": 6 - lost, outcome: lost}
    assert result.columns.outcome[2] != result.columns.outcome[0]
    assert result.restarts == lost - 1  # the last example was the one lost last
    [found] = result.errors
    assert message in found
    answers = result.columns.array("output.y")
    np.testing.assert_array_equal(answers[:2], [[0, 2], [4, 6]])  # what came before is kept


MEMORY = 250 * 2**20  # what numpy needs at rest, and room for the model


@pytest.mark.slow
def test_a_model_that_takes_more_memory_than_it_may_costs_the_requests_that_did(folder: Path, workers: Workers) -> None:
    result = replayed(folder, workers, "grows", memory_bytes=MEMORY, time_limit_s=30)
    assert result.failure is None
    assert result.outcomes() == {"ok": 4, "crashed": 2}
    assert all(
        re.fullmatch(r"its worker took \d+ MiB of memory, 250 MiB are allowed", error) for error in result.errors
    )
    assert replayed(folder, workers, "double", factory=False).outcomes() == {"ok": 6}  # and the next replay runs


def test_a_model_that_does_not_fit_at_all_is_a_failure(folder: Path, workers: Workers) -> None:
    result = replayed(folder, workers, "loads_much", memory_bytes=MEMORY)
    assert result.failure is not None
    assert re.fullmatch(r"its worker took \d+ MiB of memory, 250 MiB are allowed \(while opening .*\)", result.failure)


@pytest.mark.parametrize(
    ("name", "outcome", "message"),
    [
        ("wrong_shape", "bad_answer", 'output "y" has shape [1, 7], expected [1, 2]'),
        ("ragged", "bad_answer", 'output "y" is no array: ValueError: setting an array element'),
        ("writes", "rejected", "ValueError: assignment destination is read-only"),
    ],
)
def test_a_wrong_answer_is_an_observation_of_every_request(
    folder: Path, workers: Workers, name: str, outcome: str, message: str
) -> None:
    result = replayed(folder, workers, name, factory=False)
    assert result.outcomes() == {outcome: 6}
    [found] = result.errors
    assert message in found


@pytest.mark.parametrize(("name", "code"), [("exits", 3), ("quits", 1)])
def test_a_model_that_ends_its_process_is_left_alone(folder: Path, workers: Workers, name: str, code: int) -> None:
    result = replayed(folder, workers, name, factory=False)
    assert result.outcomes() == {"not_sent": 2, "crashed": 4}
    [found] = result.errors
    assert f"the worker process ended with exit code {code}" in found
