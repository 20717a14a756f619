"""The outputs in an answer of the Open Inference Protocol (version 2) over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import BadAnswer, TensorSpec
from goldwatch_probes import _v2_proto
from goldwatch_probes import _v2_tensors as tensors
from goldwatch_probes._answers import CAN_IGNORE, check_outputs
from goldwatch_probes._proto import parsed


def outputs(message: Any, body: bytes, specs: Sequence[TensorSpec]) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - protobuf
    """Return the outputs in an answer of the class `message`, checked against the metadata. Raises BadAnswer."""
    found = _outputs(parsed(message, body))
    check_outputs(found, specs, CAN_IGNORE)
    return found


def _outputs(answer: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - a message
    raw = list(answer.raw_output_contents)
    if raw and len(raw) != len(answer.outputs):
        raise BadAnswer(f"the answer has {len(answer.outputs)} outputs, and raw contents of {len(raw)}")
    outputs = {}
    for index, tensor in enumerate(answer.outputs):
        name, datatype, shape = tensor.name, tensor.datatype, list(tensor.shape)
        if datatype not in tensors.DTYPES:
            continue  # an output that numpy cannot hold; others can be judged
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
