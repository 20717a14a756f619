"""The messages of TensorFlow Serving's gRPC API, and its tensors.

The table holds the fields that a probe reads or writes; protobuf passes over all others. A map is what it is on the
wire, a list of entries.
https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis and tensorflow/core/framework/tensor.proto
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from goldwatch.probe import BadAnswer, CannotLoad, dtype_name
from goldwatch_probes._proto import classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREDICTION = "tensorflow.serving.PredictionService"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

_MESSAGES = {
    "Int64Value": "1 value int64",
    "ModelSpec": "1 name string, 2 version Int64Value, 3 signature_name string, 4 version_label string",
    "Dim": "1 size int64",
    "Shape": "2 dim Dim*, 3 unknown_rank bool",
    "Tensor": (
        "1 dtype int32, 2 tensor_shape Shape, 4 tensor_content bytes, 5 float_val float*, 6 double_val double*, "
        "7 int_val int32*, 8 string_val bytes*, 10 int64_val int64*, 11 bool_val bool*, 13 half_val int32*, "
        "16 uint32_val uint32*, 17 uint64_val uint64*"
    ),
    "TensorEntry": "1 key string, 2 value Tensor",
    "PredictRequest": "1 model_spec ModelSpec, 2 inputs TensorEntry*",
    "PredictResponse": "1 outputs TensorEntry*",
    "StatusRequest": "1 model_spec ModelSpec",
    "VersionStatus": "1 version int64, 2 state int32",
    "StatusResponse": "1 model_version_status VersionStatus*",
    "MetadataRequest": "1 model_spec ModelSpec, 2 metadata_field string*",
    "Any": "1 type_url string, 2 value bytes",
    "AnyEntry": "1 key string, 2 value Any",
    "MetadataResponse": "1 model_spec ModelSpec, 2 metadata AnyEntry*",
    "TensorInfo": "1 name string, 2 dtype int32, 3 tensor_shape Shape",
    "InfoEntry": "1 key string, 2 value TensorInfo",
    "Signature": "1 inputs InfoEntry*, 2 outputs InfoEntry*, 3 method_name string",
    "SignatureEntry": "1 key string, 2 value Signature",
    "SignatureMap": "1 signature_def SignatureEntry*",
}

AVAILABLE = 30
"""The state of a version that can be used."""

# TensorFlow's number of a dtype: numpy's name (or bytes), and the field of typed values.
_DTYPES = {
    1: ("float32", "float_val"),
    2: ("float64", "double_val"),
    3: ("int32", "int_val"),
    4: ("uint8", "int_val"),
    5: ("int16", "int_val"),
    6: ("int8", "int_val"),
    7: ("bytes", "string_val"),
    9: ("int64", "int64_val"),
    10: ("bool", "bool_val"),
    17: ("uint16", "int_val"),
    19: ("float16", "half_val"),
    22: ("uint32", "uint32_val"),
    23: ("uint64", "uint64_val"),
}
_NUMBERS = {name: number for number, (name, _) in _DTYPES.items()}


_MOST_REPEATED = 2**20
"""A short list of values stands for at most so many: an answer of a few bytes must not fill the memory."""


def messages() -> dict[str, Any]:
    """Return the class of each message by its name. Raises ImportError without protobuf."""
    return classes("tensorflow", _MESSAGES)


def dtype(number: int) -> str:
    """Return the name of a dtype in a TensorSpec. Raises CannotLoad for one that numpy has not."""
    if number not in _DTYPES:
        raise CannotLoad(f"the model has tensors of TensorFlow's dtype {number}, which numpy has not")
    return _DTYPES[number][0]


def fields(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Return an array as the fields of a Tensor. Raises CannotLoad for a dtype that TensorFlow has not."""
    kind = dtype_name(array)
    if kind not in _NUMBERS:
        raise CannotLoad(f'input "{name}" is {kind}, which TensorFlow Serving does not take')
    found: dict[str, Any] = {"dtype": _NUMBERS[kind], "tensor_shape": {"dim": [{"size": n} for n in array.shape]}}
    if kind == "bytes":
        flat = array.ravel().tolist()
        return found | {"string_val": [v if isinstance(v, bytes) else str(v).encode() for v in flat]}
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return found | {"tensor_content": little.tobytes()}


def array(name: str, tensor: Any) -> NDArray[Any]:  # noqa: ANN401 - a message
    """Return a Tensor of an answer as an array. Raises BadAnswer."""
    import numpy as np  # noqa: PLC0415

    if tensor.dtype not in _DTYPES:
        raise BadAnswer(f'output "{name}" has TensorFlow\'s dtype {tensor.dtype}, which numpy has not')
    kind, place = _DTYPES[tensor.dtype]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    size = math.prod(shape)
    if min(shape, default=0) < 0:
        raise BadAnswer(f'output "{name}" has shape {list(shape)}, which cannot be')
    if tensor.tensor_content and kind != "bytes":
        wanted = size * np.dtype(kind).itemsize
        if len(tensor.tensor_content) != wanted:
            raise BadAnswer(f'output "{name}" has {len(tensor.tensor_content):,} bytes, its shape needs {wanted:,}')
        little = np.dtype(kind).newbyteorder("<")
        return np.frombuffer(tensor.tensor_content, dtype=little).reshape(shape).astype(kind, copy=False)
    values = list(getattr(tensor, place))
    if len(values) > size or (size and not values) or (len(values) < size and size > _MOST_REPEATED):
        raise BadAnswer(f'output "{name}" has {len(values):,} values, its shape needs {size:,}')
    values += values[-1:] * (size - len(values))  # what is repeated at the end is left out
    return _typed(values, kind).reshape(shape)


def _typed(values: list[Any], kind: str) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415

    if kind == "bytes":
        found: NDArray[Any] = np.empty(len(values), dtype=object)
        found[:] = values
        return found
    if kind == "float16":  # its bits, as integers
        return np.array(values, dtype=np.int32).astype(np.uint16).view(np.float16)
    return np.array(values).astype(kind)
