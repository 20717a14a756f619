"""Shapes and types of outputs, read from answers, for a target whose golden set is being built. Runs in the worker."""

from __future__ import annotations

from typing import Any

import numpy as np

from goldwatch.golden.examples import NO_BATCH
from goldwatch.golden.lines import JSON, TEXT
from goldwatch.probe import Tensors, TensorSpec, dtype_name
from goldwatch.worker.load.described import MAX_CHARACTERS, MAX_TENSORS


class Seen:
    """The outputs of the answers so far, by name."""

    def __init__(self) -> None:
        self._specs: dict[str, TensorSpec] = {}

    def add(self, outputs: Tensors, examples: int) -> None:
        """Look at one answer. An output whose examples differ in shape is JSON: a ragged list.

        Where one answer shows no batch axis, nothing is known of the shape of an example.
        """
        for name, values in list(outputs.items())[:MAX_TENSORS]:
            spec = _spec(name[:MAX_CHARACTERS], np.asarray(values), examples)
            before = self._specs.get(name, spec)
            if NO_BATCH in (before.dtype, spec.dtype):
                spec = before if before.dtype == NO_BATCH else spec
            elif (before.dtype, before.shape) != (spec.dtype, spec.shape):
                spec = TensorSpec(spec.name, JSON, ())
            self._specs[name] = spec

    def specs(self) -> tuple[TensorSpec, ...]:
        """Return what was seen."""
        return tuple(self._specs.values())


def _spec(name: str, values: Any, examples: int) -> TensorSpec:  # noqa: ANN401 - an array
    if values.shape[:1] != (examples,):
        return TensorSpec(name, NO_BATCH, values.shape)
    if dtype_name(values) != "bytes":
        return TensorSpec(name, values.dtype.name, values.shape[1:])
    texts = all(isinstance(value, (str, bytes)) for value in values.ravel().tolist())
    is_one = values.size == examples
    return TensorSpec(name, TEXT if texts and is_one else JSON, ())
