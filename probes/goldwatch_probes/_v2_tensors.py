"""Tensors as the Open Inference Protocol (version 2) writes them, as JSON or after the binary tensor data extension.

Pure functions of bytes: what is wrong with our own inputs is CannotLoad, what is wrong with an answer BadAnswer.
Specification: https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import Axes, BadAnswer, CannotLoad, Tensors, TensorSpec, dtype_name, tensor_spec
from goldwatch_probes._answers import parse_object

DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "BF16": "float32",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "bytes",
}
"""The protocol's datatypes, and the names in a TensorSpec. BF16, which numpy lacks, is read as float32."""

DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}  # float32 is FP32, which comes after BF16

_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_LITTLE = sys.byteorder == "little"

# JSON kinds, as numpy infers them, that are accepted for a value of the kind.
_JSON_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}


def output_specs(tensors: Iterable[Any], axes: Axes) -> tuple[TensorSpec, ...]:
    """Return the specs of the outputs of the metadata that numpy can hold; others are not looked at.

    Raises CannotLoad.
    """
    known = (t for t in tensors if not (isinstance(t, Mapping) and t.get("datatype", "BOOL") not in DTYPES))
    return tuple(_spec_of(tensor, axes) for tensor in known)


def spec_of(tensor: Any, axes: Axes) -> TensorSpec:  # noqa: ANN401 - from outside, so anything
    """Return the spec of one input of the metadata, which numpy must have. Raises CannotLoad."""
    spec = _spec_of(tensor, axes)
    if tensor["datatype"] == "BF16":
        raise CannotLoad(f'tensor "{spec.name}" is BF16, which numpy has no dtype for')
    return spec


def _spec_of(tensor: Any, axes: Axes) -> TensorSpec:  # noqa: ANN401 - from outside, so anything
    match tensor:
        case {"name": str(name), "datatype": str(datatype), "shape": [*shape]}:
            pass
        case _:
            raise CannotLoad(f"the metadata describes a tensor as {str(tensor)[:100]}")
    if datatype not in DTYPES:
        raise CannotLoad(f'tensor "{name}" is {datatype[:20]}, which numpy has no dtype for')
    if not all(type(size) is int and size >= -1 for size in shape):
        raise CannotLoad(f'tensor "{name}" has shape {str(shape)[:100]} in the metadata')
    return tensor_spec(name, DTYPES[datatype], shape, axes)


def split_parameters(inputs: Tensors, names: Sequence[str]) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors of a request, and its parameters: the inputs of these names, which have one value an example.

    Raises CannotLoad if there is no such input, if it has several values, or if the examples of a request differ in it.
    """
    found = {}
    for name in names:
        if name not in inputs:
            raise CannotLoad(f"`parameter_inputs` names {name}, which is no input; the set has {', '.join(inputs)}")
        values = np.atleast_1d(inputs[name])
        if values.ndim != 1:
            raise CannotLoad(f'input "{name}" has shape {list(values.shape[1:])}; a parameter is one value an example')
        distinct = set(values.tolist())
        if len(distinct) != 1:
            raise CannotLoad(f'the {len(values)} examples of a request differ in the parameter "{name}": send one each')
        value = distinct.pop()
        found[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return ({name: array for name, array in inputs.items() if name not in found} if found else inputs), found


def encode_json(inputs: Tensors, more: Mapping[str, Any] = {}) -> bytes:
    """Return the body of an inference request as JSON, with `more` members.

    Raises CannotLoad for a value that JSON cannot carry.
    """
    tensors = [head(name, array) | {"data": _json_data(name, array)} for name, array in inputs.items()]
    try:
        return _JSON.encode({"inputs": tensors, **more}).encode()
    except ValueError as error:
        raise CannotLoad("an input holds NaN or infinity, which JSON cannot carry; set `binary: true`") from error


def encode_binary(inputs: Tensors, more: Mapping[str, Any] = {}) -> tuple[bytes, int]:
    """Return the body of an inference request with binary tensors, and the length of its JSON header in bytes."""
    heads, blobs = [], []
    for name, array in inputs.items():
        blob = pack(array)
        heads.append(head(name, array) | {"parameters": {"binary_data_size": len(blob)}})
        blobs.append(blob)
    parameters = {**more.get("parameters", {}), "binary_data_output": True}
    header = json.dumps({"inputs": heads, **more, "parameters": parameters}, separators=(",", ":")).encode()
    return b"".join([header, *blobs]), len(header)


def decode(body: bytes, header_length: str | None = None) -> dict[str, NDArray[Any]]:
    """Return the outputs of an inference answer, binary after the `Inference-Header-Content-Length` if it had one.

    Raises BadAnswer.
    """
    split = len(body)
    if header_length is not None:
        if not header_length.isdecimal() or len(header_length) > 12 or int(header_length) > len(body):
            raise BadAnswer(f"the JSON header should have {header_length[:20]} bytes, the answer has {len(body)}")
        split = int(header_length)
    answer = parse_object(body[:split])
    tensors = answer.get("outputs")
    if not isinstance(tensors, list):
        raise BadAnswer('the answer has no list "outputs"')
    return _decode_outputs(tensors, memoryview(body)[split:])


def head(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Return name, shape and datatype of an input as a request has them. Raises CannotLoad."""
    dtype = dtype_name(array)
    if dtype not in DATATYPES:
        raise CannotLoad(f'input "{name}" is {dtype}, which the Open Inference Protocol has no datatype for')
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[dtype]}


def _json_data(name: str, array: NDArray[Any]) -> list[Any]:
    if dtype_name(array) != "bytes":
        return list(array.ravel().tolist())
    try:
        return [value.decode() for value in _byte_strings(array)]
    except UnicodeDecodeError as error:
        raise CannotLoad(f'input "{name}" is not UTF-8 text, which JSON cannot carry; set `binary: true`') from error


def _byte_strings(array: NDArray[Any]) -> list[bytes]:
    return [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel().tolist()]


def pack(array: NDArray[Any]) -> bytes:
    """Return the values as raw bytes: little-endian, and each text with its length before it."""
    if dtype_name(array) == "bytes":
        return b"".join(struct.pack("<I", len(value)) + value for value in _byte_strings(array))
    return (
        array.tobytes() if _LITTLE and array.dtype.isnative else array.astype(array.dtype.newbyteorder("<")).tobytes()
    )


def _decode_outputs(tensors: list[Any], rest: memoryview) -> dict[str, NDArray[Any]]:
    outputs = {}
    for tensor in tensors:
        if isinstance(tensor, Mapping) and isinstance(tensor.get("datatype"), str) and tensor["datatype"] not in DTYPES:
            rest = rest[_binary_size(tensor, str(tensor.get("name"))[:100], len(rest)) or 0 :]
            continue  # an output that numpy cannot hold; others can be judged
        name, datatype, shape = checked_head(tensor)
        size = _binary_size(tensor, name, len(rest))
        if size is None:
            flat = _from_json(tensor.get("data"), name, datatype)
        else:
            flat, rest = unpack(rest[:size], name, datatype), rest[size:]
        outputs[name] = shaped(flat, name, shape)
    if len(rest):
        raise BadAnswer(f"{len(rest)} bytes are left after the last output")
    return outputs


def checked_head(tensor: Any) -> tuple[str, str, list[int]]:  # noqa: ANN401 - from outside
    """Return name, datatype and shape of an output as an answer has them. Raises BadAnswer."""
    match tensor:
        case {"name": str(name), "datatype": str(datatype), "shape": [*shape]}:
            pass
        case _:
            raise BadAnswer("an output lacks name, datatype or shape")
    check_head(name, datatype, shape)
    return name, datatype, shape


def check_head(name: str, datatype: str, shape: list[int]) -> None:
    """Check what an answer declares of an output. Raises BadAnswer."""
    if datatype not in DTYPES:
        raise BadAnswer(f'output "{name}" has datatype {datatype[:20]}, which numpy has no dtype for')
    if not all(type(size) is int and size >= 0 for size in shape):
        raise BadAnswer(f'output "{name}" has shape {str(shape)[:100]}')


def _binary_size(tensor: Mapping[str, Any], name: str, available: int) -> int | None:
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or not 0 <= size <= available):
        raise BadAnswer(f'output "{name}" should have {str(size)[:20]} bytes, {available} are there')
    return size


def shaped(flat: NDArray[Any], name: str, shape: list[int]) -> NDArray[Any]:
    """Return the values of output `name` in the shape that the answer declares. Raises BadAnswer."""
    if flat.size != math.prod(shape):
        raise BadAnswer(f'output "{name}" has {flat.size} values, its shape {shape} needs {math.prod(shape)}')
    try:
        return flat.reshape(shape)
    except ValueError as error:
        raise BadAnswer(f'output "{name}" has shape {str(shape)[:100]}') from error


def _from_json(data: Any, name: str, datatype: str) -> NDArray[Any]:  # noqa: ANN401 - from outside
    if not isinstance(data, list):
        raise BadAnswer(f'output "{name}" has no data')
    if datatype == "BYTES":
        return _text(data, name)
    dtype = np.dtype(DTYPES[datatype])
    wrong = BadAnswer(f'output "{name}" has values that are no {datatype}')
    try:
        found = np.array(data)
        if found.dtype.kind not in _JSON_KINDS[dtype.kind] and found.size:
            found = _unusual(found, data, dtype)
        with np.errstate(over="ignore"):  # too large a float becomes infinity, which the caller refuses
            values = found.astype(dtype, copy=False).ravel()
    except (ValueError, TypeError, OverflowError) as error:
        raise wrong from error
    if dtype.kind in "iu" and not np.array_equal(values, found.ravel()):
        raise wrong
    return values


def _unusual(found: NDArray[Any], data: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read values whose kind numpy did not infer as declared. Raises ValueError if they are something else."""
    if dtype.kind == "f" and found.dtype.kind == "O":  # some servers write NaN as null
        return np.array(data, dtype=np.float64)
    if dtype.kind == "u" and found.dtype.kind in "fO":  # numpy takes large and small integers together for floats
        exact = np.array(data, dtype=object)
        if all(type(value) is int for value in exact.ravel()):
            return exact.astype(dtype)
    raise ValueError


def _text(data: list[Any], name: str) -> NDArray[np.object_]:
    flat: list[Any] = data
    while flat and all(isinstance(value, list) for value in flat):
        flat = [value for inner in flat for value in inner]
    if not all(isinstance(value, str) for value in flat):
        raise BadAnswer(f'output "{name}" has values that are no BYTES')
    return as_objects([value.encode("utf-8", "surrogatepass") for value in flat])


def unpack(blob: memoryview, name: str, datatype: str) -> NDArray[Any]:
    """Return the values of raw bytes, shape [values]. Raises BadAnswer."""
    if datatype == "BYTES":
        return as_objects(_unpack_byte_strings(blob, name))
    if datatype == "BOOL":
        return np.frombuffer(blob, dtype=np.uint8).astype(np.bool_)
    if datatype == "BF16":
        return _from_bfloat16(blob, name)
    dtype, wire = _dtypes(datatype)
    if len(blob) % dtype.itemsize:
        raise BadAnswer(f'output "{name}" has {len(blob)} bytes, no whole number of {datatype}')
    return np.frombuffer(blob, dtype=wire).astype(dtype, copy=False)


def _from_bfloat16(blob: memoryview, name: str) -> NDArray[np.float32]:
    """Return numbers of which the wire has the upper 16 bits."""
    if len(blob) % 2:
        raise BadAnswer(f'output "{name}" has {len(blob)} bytes, no whole number of BF16')
    return (np.frombuffer(blob, dtype="<u2").astype(np.uint32) << 16).view(np.float32)


@cache
def _dtypes(datatype: str) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype of a datatype, and that of its values in raw bytes."""
    dtype: np.dtype[Any] = np.dtype(DTYPES[datatype])
    return dtype, dtype.newbyteorder("<")


def _unpack_byte_strings(blob: memoryview, name: str) -> list[bytes]:
    values = []
    while blob:
        length = struct.unpack_from("<I", blob)[0] if len(blob) >= 4 else len(blob)
        if 4 + length > len(blob):
            raise BadAnswer(f'output "{name}" ends inside a string')
        values.append(bytes(blob[4 : 4 + length]))
        blob = blob[4 + length :]
    return values


def as_objects(values: list[bytes]) -> NDArray[np.object_]:
    """Return byte strings as an array, shape [values]."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
