"""Requests of several examples: batches of the size that the model takes, and its answers without the filling.

A model may take batches of one size only: `Description.batch`. A smaller batch is filled with copies of its last
example, and the outputs of the copies are dropped. Every driver of a probe makes its requests here, inside a worker:
the timed loop, its warm-up, the referee's pairs, and LoadGen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from goldwatch.probe import Probe, Tensors, example


class Requests:
    """Makes the requests of one opened probe, and reads its answers. As thread-safe as the probe."""

    def __init__(self, probe: Probe, inputs: Tensors, batch: int = 0) -> None:
        """Make ready; `inputs` are those of all examples, `batch` is the one size that the model takes, 0 for any."""
        self._probe = probe
        self._inputs = inputs
        self._batch = batch

    @property
    def fills_each(self) -> bool:
        """Whether a request of one example is filled."""
        return self._batch > 1

    def encode(self, examples: Sequence[int]) -> Any:  # noqa: ANN401 - the request is the probe's own affair
        """Make the request of some examples. Raises CannotLoad if the model does not take them."""
        chosen = example(self._inputs, examples[0]) if len(examples) == 1 else batch(self._inputs, list(examples))
        return self.encode_batch(chosen)

    def encode_batch(self, inputs: Tensors) -> Any:  # noqa: ANN401
        """Make the request of a batch. Raises CannotLoad if the model does not take it."""
        return self._probe.encode(_filled(inputs, self._batch) if self._batch > 1 else inputs)

    def decode(self, response: Any, examples: int) -> Tensors:  # noqa: ANN401
        """Return the outputs of the answer to a request of that many examples. Raises what the probe raises."""
        outputs = self._probe.decode(response)
        if examples >= self._batch:
            return outputs
        return {name: _without_filling(array, examples, self._batch) for name, array in outputs.items()}


def batch(inputs: Tensors, indices: list[int]) -> Tensors:
    """Return several examples as a batch."""
    first, size = indices[0], len(indices)
    if indices == list(range(first, first + size)):
        return {name: array[first : first + size] for name, array in inputs.items()}
    return {name: np.concatenate([array[i : i + 1] for i in indices]) for name, array in inputs.items()}


def _filled(inputs: Tensors, size: int) -> Tensors:
    missing = {name: size - len(array) for name, array in inputs.items()}
    return {
        name: np.concatenate([array, np.repeat(array[-1:], missing[name], axis=0)]) if missing[name] > 0 else array
        for name, array in inputs.items()
    }


def _without_filling(array: Any, examples: int, size: int) -> Any:  # noqa: ANN401 - whatever a probe returns
    """Return an output without the rows of the copies; as it is if it has not one row an example: a bad answer."""
    return array[:examples] if getattr(array, "shape", ())[:1] == (size,) else array
