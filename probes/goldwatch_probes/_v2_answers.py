"""The outputs in an answer of the Open Inference Protocol (version 2) over gRPC."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import BadAnswer, TensorSpec
from goldwatch_probes import _v2_proto
from goldwatch_probes import _v2_tensors as tensors
from goldwatch_probes._answers import check_outputs
from goldwatch_probes._proto import Mould, parsed

_LITTLE = sys.byteorder == "little"


class Answers:
    """Reads the answers of one model; of those that differ in their values alone, the first is parsed and checked."""

    def __init__(self, message: Any, specs: Sequence[TensorSpec]) -> None:  # noqa: ANN401 - protobuf has no types
        """Make ready for answers of the class `message`, whose outputs the metadata described so."""
        self._message = message
        self._specs = specs
        self._usual: _Usual | None = None
        self._looked = False

    def outputs(self, body: bytes) -> dict[str, NDArray[Any]]:
        """Return the outputs, checked against the metadata. Raises BadAnswer."""
        if self._usual is not None and self._usual.mould.fits(body):
            return self._usual.outputs(body)
        outputs = _outputs(parsed(self._message, body))
        check_outputs(outputs, self._specs)
        if not self._looked:  # once: there are servers whose answers bear an id
            self._looked = True
            self._usual = _Usual.of(self._message, body, outputs)
        return outputs


class _Usual:
    """An answer that was checked, and stands for those that differ from it in their values alone."""

    def __init__(self, mould: Mould, outputs: Mapping[str, NDArray[Any]]) -> None:
        self.mould = mould
        self._tensors = [
            (name, array.shape, array.dtype, offset)
            for (name, array), offset in zip(outputs.items(), mould.offsets, strict=True)
        ]

    @classmethod
    def of(cls, message: Any, body: bytes, outputs: Mapping[str, NDArray[Any]]) -> _Usual | None:  # noqa: ANN401
        """Remember an answer, unless its values are not numbers that lie in it as they do in memory."""
        mould = Mould.of(message, "raw_output_contents", body)
        numbers = _LITTLE and all(array.dtype.kind in "fiu" for array in outputs.values())
        return cls(mould, outputs) if mould is not None and numbers and len(mould.offsets) == len(outputs) else None

    def outputs(self, body: bytes) -> dict[str, NDArray[Any]]:
        """Return the outputs of an answer that fits the mould."""
        return {name: np.ndarray(shape, dtype, body, offset) for name, shape, dtype, offset in self._tensors}


def _outputs(answer: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - a message
    raw = list(answer.raw_output_contents)
    if raw and len(raw) != len(answer.outputs):
        raise BadAnswer(f"the answer has {len(answer.outputs)} outputs, and raw contents of {len(raw)}")
    outputs = {}
    for index, tensor in enumerate(answer.outputs):
        name, datatype, shape = tensor.name, tensor.datatype, list(tensor.shape)
        tensors.check_head(name, datatype, shape)
        flat = tensors.unpack(memoryview(raw[index]), name, datatype) if raw else _contents(tensor)
        outputs[name] = tensors.shaped(flat, name, shape)
    return outputs


def _contents(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 - a message
    if tensor.datatype not in _v2_proto.CONTENTS:
        raise BadAnswer(f'output "{tensor.name}" is {tensor.datatype}, and not in raw contents')
    values = list(getattr(tensor.contents, _v2_proto.CONTENTS[tensor.datatype]))
    if tensor.datatype == "BYTES":
        return tensors.as_objects(values)
    try:
        return np.array(values, dtype=tensors.DTYPES[tensor.datatype])
    except OverflowError as error:
        raise BadAnswer(f'output "{tensor.name}" has values that are no {tensor.datatype}') from error
