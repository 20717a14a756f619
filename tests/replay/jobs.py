"""Jobs and probes for workers under test. The signature of a job is `goldwatch.ipc.jobs.Handler`."""

import ctypes
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goldwatch.ipc.jobs import Emit, Job, Plain, handles
from goldwatch.probe import CannotLoad, Description, Tensors, Tokens, Unreachable
from goldwatch.testing.probe import FakeProbe, Response


class CountingProbe(FakeProbe):
    """A language model whose every answer takes ten tokens."""

    def tokens(self, response: Response) -> Tokens:
        return Tokens(input=7, output=3)


class ForgetfulProbe(CountingProbe):
    """A language model whose second answer has no token count."""

    def tokens(self, response: Response) -> Tokens:
        return Tokens() if response.number == 2 else super().tokens(response)


class LateProbe(FakeProbe):
    """A model that sends and reads 50 ms late, and knows it; for two answers in three it reports impossible times."""

    _times_ns = (0, 0)

    def predict(self, request: NDArray[np.float64]) -> Response:
        time.sleep(0.05)
        sent_ns = time.monotonic_ns()
        response = super().predict(request)
        came_ns = time.monotonic_ns()
        self._times_ns = ((came_ns, sent_ns), (sent_ns, came_ns), (sent_ns, 2**62))[response.number % 3]
        time.sleep(0.05)
        return response

    def times_ns(self, response: Response) -> tuple[int, int]:
        return self._times_ns


class PickyProbe(FakeProbe):
    """A model whose five hundredth example cannot be made into a request."""

    encoded = 0

    def encode(self, inputs: Tensors) -> NDArray[np.float64]:
        self.encoded += 1
        if self.encoded == 500:
            raise ValueError("no such word")
        return super().encode(inputs)


class TalkativeProbe(FakeProbe):
    """A model whose description is larger than the limit: as large as its version names."""

    def describe(self) -> Description:
        found = super().describe()
        tensor = found.inputs[0]
        match self._options.version.split():
            case ["tensors", count]:
                return replace(found, inputs=(tensor,) * int(count))
            case ["name", length]:
                return replace(found, outputs=(replace(tensor, name="x" * int(length)),))
            case ["axes", count]:
                return replace(found, outputs=(replace(tensor, shape=(1,) * int(count)),))
            case ["texts", length]:
                return replace(found, model="m" * int(length), digest="d" * int(length))
        return found


def _job(name: str, *, needs_lease: bool = False) -> Job[Plain, Plain]:
    return Job(f"tests.replay.jobs:{name}", dict, dict, needs_lease)


HAS_IMPORTED = _job("has_imported")
ENVIRONMENT = _job("environment")
ABORT = _job("abort")
LEAVE = _job("leave")
HOLD_THE_GIL = _job("hold_the_gil")
RAISE = _job("raise_it")
ON_LEASE = _job("on_lease", needs_lease=True)
NO_SUCH: Job[Plain, Plain] = Job("json:no_such", dict, dict)


class Refused(Unreachable):
    """An error of a third party."""


@handles(RAISE)
def raise_it(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    raise {"Refused": Refused, "ValueError": ValueError}[argument["error"]]("no route")


@handles(ON_LEASE)
def on_lease(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    return {}


@handles(HAS_IMPORTED)
def has_imported(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    return {"pid": os.getpid(), "imported": argument["module"] in sys.modules}


@handles(ENVIRONMENT)
def environment(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    return dict(os.environ)


@handles(ABORT)
def abort(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    os.abort()


@handles(LEAVE)
def leave(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    print("first words\nlast words", file=sys.stderr, flush=True)
    os._exit(3)


@handles(HOLD_THE_GIL)
def hold_the_gil(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:
    Path(argument["file"]).touch()
    ctypes.PyDLL(None).sleep(60)  # PyDLL, unlike CDLL, keeps the GIL during the call
    return {}


class OfBatches(FakeProbe):
    """A model that writes the size of each request into the file that its version names; it takes batches of 8 only."""

    batch = 8

    def describe(self) -> Description:
        return replace(super().describe(), batch=self.batch)

    def encode(self, inputs: Tensors) -> NDArray[np.float64]:
        request = super().encode(inputs)
        if self.batch not in (0, len(request)):
            raise CannotLoad(f"the model takes batches of {self.batch} only, this one has {len(request)} examples")
        return request

    def predict(self, request: NDArray[np.float64]) -> Response:
        with Path(self._options.version).open("a") as file:
            file.write(f"{len(request)}\n")
        return super().predict(request)


class OfAnyBatch(OfBatches):
    """The same model; it takes batches of any size."""

    batch = 0
