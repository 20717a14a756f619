"""A probe without a model, whose answers, latencies and failures the test sets."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import (
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    NotReady,
    Rejected,
    Tensors,
    TensorSpec,
    Unreachable,
    check_inputs,
    option,
)

Failure = Literal["rejected", "timeout", "unreachable", "bad_answer", "nan", "crash", "hang"]
OpenFailure = Literal["", "cannot_load", "not_ready", "unreachable", "crash", "hang"]

CRASH_CODE = 70
"""The exit code of a process whose probe was told to crash."""


@dataclass(frozen=True, slots=True)
class Response:
    """The raw answer to request `number`, counted from 1."""

    number: int
    scores: NDArray[np.float64]


class FakeProbe:
    """A classifier: class probabilities by a fixed linear map of the values of an example.

    Equal examples get equal answers in any batch and process. Requests are counted from 1 over the life of the probe,
    whatever became of them.
    """

    served: ClassVar[bool] = False
    concurrent: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """The simulated behaviour of the probe."""

        input: str = option("Name of the one input", default="x")
        dtype: str = option("Dtype of the input, any number", default="float32")
        shape: tuple[int, ...] = option("Shape of one example; -1 is any length", default=(4,))
        output: str = option("Name of the output, class probabilities as float32", default="probabilities")
        classes: int = option("Number of classes", default=3)
        version: str = option("Version of the model", default="1")
        open_s: float = option("Seconds that opening takes", default=0.0)
        open_fails: OpenFailure = option("How opening fails; empty for not at all", default="")
        latencies_s: tuple[float, ...] = option("Seconds that requests take, cyclically", default=(0.0,))
        failures: dict[int, Failure] = option("How the request of that number fails", default_factory=dict)
        wrong_from: int = option("Number of the first request to name the wrong class; 0 for none", default=0)

    def __init__(self, options: Options, context: Context, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Remember the arguments. `sleep` is what passes the time, such as `FakeClock().sleep`."""
        self._options = options
        self._time_limit_s = context.time_limit_s
        self._sleep = sleep
        # Options that came through JSON have text for keys.
        self._failures: Mapping[int, str] = {int(number): failure for number, failure in options.failures.items()}
        self._numbers = count(1)  # whose `next` is atomic
        self._is_open = False

    def open(self) -> None:
        """Take `open_s`, then fail as set by `open_fails`. Raises CannotLoad, NotReady or Unreachable."""
        self._sleep(self._options.open_s)
        _end_or_hang(self._options.open_fails)
        match self._options.open_fails:
            case "cannot_load":
                raise CannotLoad("no such model, as told")
            case "not_ready":
                raise NotReady("the model is loading, as told")
            case "unreachable":
                raise Unreachable("connection refused, as told")
        self._is_open = True

    def describe(self) -> Description:
        """Return the description in the options. Raises CannotLoad if not open."""
        self._check_open()
        options = self._options
        return Description(
            model="fake",
            version=options.version,
            framework="goldwatch.testing",
            device="cpu",
            inputs=(TensorSpec(options.input, options.dtype, tuple(options.shape)),),
            outputs=(TensorSpec(options.output, "float32", (options.classes,)),),
        )

    def encode(self, inputs: Tensors) -> NDArray[np.float64]:
        """Return the examples as rows of numbers. Raises CannotLoad if the input is not as in the options."""
        batch = check_inputs(inputs, self.describe().inputs)
        return inputs[self._options.input].reshape(batch, -1).astype(np.float64)

    def predict(self, request: NDArray[np.float64]) -> Response:
        """Take the time and meet the fate of this request.

        Raises TimeoutError (also if the latency is above the time limit of the context), Rejected or Unreachable.
        """
        self._check_open()
        number = next(self._numbers)
        failure = self._failures.get(number, "")
        latency_s = self._options.latencies_s[(number - 1) % len(self._options.latencies_s)]
        if failure == "timeout" or latency_s > self._time_limit_s:
            self._sleep(self._time_limit_s)
            raise TimeoutError(f"no answer within {self._time_limit_s:g} s, as told")
        self._sleep(latency_s)
        _end_or_hang(failure)
        match failure:
            case "rejected":
                raise Rejected("answered 500: rejected, as told")
            case "unreachable":
                raise Unreachable("connection reset, as told")
        return Response(number, request @ _weights(request.shape[1], self._options.classes))

    def decode(self, response: Response) -> dict[str, NDArray[Any]]:
        """Return probabilities, shape [batch, classes]. Raises BadAnswer if the request was to end so."""
        failure = self._failures.get(response.number, "")
        if failure == "bad_answer":
            raise BadAnswer("the answer is not JSON, as told")
        probabilities = _softmax(response.scores)
        if 0 < self._options.wrong_from <= response.number:
            probabilities = np.roll(probabilities, 1, axis=1)  # the largest is never left in its place
        if failure == "nan":
            probabilities = np.full_like(probabilities, np.nan)
        return {self._options.output: probabilities.astype(np.float32)}

    def close(self) -> None:
        """Forget that it was open."""
        self._is_open = False

    def _check_open(self) -> None:
        if not self._is_open:
            raise CannotLoad("the probe is not open")


def _end_or_hang(failure: str) -> None:
    if failure == "crash":
        os._exit(CRASH_CODE)
    if failure == "hang":
        threading.Event().wait()  # for ever, whatever clock the test has


def _weights(features: int, classes: int) -> NDArray[np.float64]:
    """Return a fixed matrix whose columns differ. Cosines are the same in every version of numpy, a seed is not."""
    return np.cos(np.arange(features)[:, None] * 1.7 + np.arange(classes)[None, :] * 2.3)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
