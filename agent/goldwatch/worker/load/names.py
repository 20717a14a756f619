"""Lets a probe be asked in the names of the golden set where its model has others. Runs in the worker.

One golden set can then serve models whose tensors are named differently, such as an ONNX file, a SavedModel and a
.tflite file of one network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from goldwatch.probe import BadAnswer, Tensors

T = TypeVar("T")

Names = Mapping[str, str]
"""Name in the golden set -> name at the model."""


def renaming(probe_class: Any, inputs: Names, outputs: Names) -> Any:  # noqa: ANN401 - the class of a probe
    """Return the class of a probe that sends and answers tensors by the names of the golden set.

    Names that are not given stay as they are. An output that the model does not give is left out, as any missing one.
    """
    if not inputs and not outputs:
        return probe_class
    theirs = {name: own for own, name in outputs.items()}

    class Renaming(probe_class):  # type: ignore[misc] # the base is whatever the config names
        def encode(self, tensors: Tensors) -> Any:  # noqa: ANN401 - the request is the probe's own affair
            return super().encode(renamed(tensors, inputs))

        def decode(self, response: Any) -> Tensors:  # noqa: ANN401
            found: Tensors = super().decode(response)
            if missing := [name for name in theirs if name not in found]:
                raise BadAnswer(f'no output "{missing[0]}"; the answer has {", ".join(sorted(found)) or "none"}')
            return renamed(found, theirs)

    if hasattr(probe_class, "encode_each"):

        def encode_each(self: Any, tensors: Tensors, examples: Sequence[int]) -> list[Any]:  # noqa: ANN401
            return list(probe_class.encode_each(self, renamed(tensors, inputs), examples))

        Renaming.encode_each = encode_each
    return Renaming


def renamed(tensors: Mapping[str, T], names: Names) -> dict[str, T]:
    """Return what is by name by the other names."""
    return {names.get(name, name): array for name, array in tensors.items()}
