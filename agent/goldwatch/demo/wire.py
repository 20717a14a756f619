"""The server's side of the Open Inference Protocol: requests to tensors, tensors to answers, JSON or binary.

Written from the specification and apart from the probe's side, which the agent must not import, so that a mistake in
one does not hide the same mistake in the other.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import Rejected, Tensors, TensorSpec, dtype_name

HEADER = "Inference-Header-Content-Length"

_DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bytes": "BYTES",
    **{f"{sign}{bits}": f"{sign}{bits}".upper() for sign in ("int", "uint") for bits in (8, 16, 32, 64)},
}
_DTYPES = {datatype: dtype for dtype, datatype in _DATATYPES.items()}


def metadata(spec: TensorSpec) -> dict[str, Any]:
    """Describe a tensor, batch axis included, as the model metadata does."""
    return {"name": spec.name, "datatype": _DATATYPES[spec.dtype], "shape": [-1, *spec.shape]}


def read(body: bytes, header_length: str | None) -> tuple[dict[str, NDArray[Any]], bool]:
    """Return the inputs of a request, and whether outputs are wanted as binary. Raises Rejected."""
    try:
        split = int(header_length) if header_length else len(body)
        request = json.loads(body[:split])
        rest = memoryview(body)[split:]
        inputs = {}
        for tensor in request["inputs"]:
            size = tensor.get("parameters", {}).get("binary_data_size")
            if size is None:
                flat = _from_json(tensor["data"], _DTYPES[tensor["datatype"]])
            else:
                flat, rest = _from_bytes(rest[:size], _DTYPES[tensor["datatype"]]), rest[size:]
            inputs[str(tensor["name"])] = flat.reshape(tensor["shape"])
        return inputs, bool(request.get("parameters", {}).get("binary_data_output", False))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, struct.error) as error:
        raise Rejected(f"not an inference request: {type(error).__name__}: {error}") from error


def write(model: str, version: str, outputs: Tensors, *, binary: bool) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer, and its headers."""
    heads: list[dict[str, Any]] = []
    blobs = []
    for name, array in outputs.items():
        head = {"name": name, "datatype": _DATATYPES[dtype_name(array)], "shape": list(array.shape)}
        if binary:
            blobs.append(_to_bytes(array))
            heads.append(head | {"parameters": {"binary_data_size": len(blobs[-1])}})
        else:
            heads.append(head | {"data": _to_json(array)})
    answer = json.dumps({"model_name": model, "model_version": version, "outputs": heads}).encode()
    if not binary:
        return answer, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER: str(len(answer))}
    return b"".join([answer, *blobs]), headers


def _from_json(data: list[Any], dtype: str) -> NDArray[Any]:
    if dtype == "bytes":
        return np.array([value.encode() for value in data], dtype=object)
    return np.array(data, dtype=dtype).ravel()


def _to_json(array: NDArray[Any]) -> list[Any]:
    flat = array.ravel().tolist()
    return [value.decode(errors="replace") for value in flat] if dtype_name(array) == "bytes" else list(flat)


def _from_bytes(blob: memoryview, dtype: str) -> NDArray[Any]:
    if dtype != "bytes":
        return np.frombuffer(blob, dtype=np.dtype(dtype).newbyteorder("<"))
    values = []
    while blob:
        (length,) = struct.unpack_from("<I", blob)
        values.append(bytes(blob[4 : 4 + length]))
        blob = blob[4 + length :]
    return np.array(values, dtype=object)


def _to_bytes(array: NDArray[Any]) -> bytes:
    if dtype_name(array) != "bytes":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in array.ravel().tolist())
