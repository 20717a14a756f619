"""Lays out tensors as a model has them, with the batch axis that the golden set states. Runs in the worker.

A golden set, and the engine, have the examples first in every tensor. A recurrent state may have the batch at axis 1; a
sample rate, or every tensor of a model that takes one example a request, may have no batch axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import (
    Axes,
    BatchAxes,
    CannotLoad,
    Description,
    Tensors,
    batch_size,
    example,
)


def laid_out(probe_class: Any, axes: BatchAxes) -> Any:  # noqa: ANN401 - the class of a probe
    """Return the class of a probe that is asked with the examples first, and asks its model by `axes`.

    Raises CannotLoad if the probe has no such ability (`goldwatch.probe.TakesBatchAxes`).
    """
    if not axes:
        return probe_class
    if not getattr(probe_class, "takes_batch_axes", False):
        names = ", ".join(f'"{name}"' for name in sorted({*axes.inputs, *axes.outputs}))
        raise CannotLoad(f"the golden set has a `batch_axis` for {names}; this probe sends the examples first always")

    class LaidOut(probe_class):  # type: ignore[misc] # the base is whatever the config names
        def describe(self) -> Description:
            found: Description = super().describe()
            alone = bool(axes.inputs) and all(spec.batch_axis is None for spec in found.inputs)
            return replace(found, batch=1) if found.inputs and alone else found

        def encode(self, tensors: Tensors) -> Any:  # noqa: ANN401 - the request is the probe's own affair
            _check_alone(tensors, axes)
            return super().encode({name: _for_model(name, tensors[name], axes.inputs) for name in tensors})

        def encode_each(self, tensors: Tensors, examples: Sequence[int]) -> list[Any]:
            return [LaidOut.encode(self, example(tensors, index)) for index in examples]

        def decode(self, response: Any) -> Tensors:  # noqa: ANN401
            found: Tensors = super().decode(response)
            return {name: _examples_first(np.asarray(array), axes.outputs, name) for name, array in found.items()}

    return LaidOut


def _check_alone(tensors: Tensors, axes: BatchAxes) -> None:
    """Raise CannotLoad for several examples where a request can have one only."""
    size = batch_size(tensors)
    if size <= 1:
        return
    alone = all(axes.inputs.get(name, 0) is None for name in tensors)
    outputs = [name for name, axis in axes.outputs.items() if axis is None]
    if alone or outputs:
        what = "no input" if alone else f'not output "{outputs[0]}"'
        raise CannotLoad(f"{what} has a batch axis, so a request has one example; this one has {size}: send one each")


def _for_model(name: str, array: Any, axes: Axes) -> Any:  # noqa: ANN401 - an array, or texts
    axis = axes.get(name, 0)
    if axis == 0:
        return array
    array = np.asarray(array)
    if axis is not None:
        return np.ascontiguousarray(np.moveaxis(array, 0, axis))
    if len(array) > 1 and not (array[1:] == array[:1]).all():
        raise CannotLoad(
            f'input "{name}" has no batch axis, and the {len(array)} examples of a request differ in it: send one each'
        )
    return array[:1].reshape(array.shape[1:])


def _examples_first(array: NDArray[Any], axes: Axes, name: str) -> NDArray[Any]:
    axis = axes.get(name, 0)
    if axis is None:
        return array[np.newaxis]
    return np.moveaxis(array, axis, 0) if 0 < axis < array.ndim else array
