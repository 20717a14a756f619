"""Tensors on disk: a strict reader, mapper and writer of the safetensors format.

A file is the length of the header (8 bytes, little-endian), the header (JSON: name -> dtype, shape, data_offsets) and
the data, without holes. The header is read with the standard library alone, so that the agent verifies a set and gives
a worker the location of the data without importing numpy; arrays are mapped into memory, never copied.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.bounded_json import parse_json
from goldwatch.golden.error import GoldenError, quoted, reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES: Mapping[str, tuple[str, int]] = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "U16": ("uint16", 2),
    "I16": ("int16", 2),
    "F16": ("float16", 2),
    "U32": ("uint32", 4),
    "I32": ("int32", 4),
    "F32": ("float32", 4),
    "U64": ("uint64", 8),
    "I64": ("int64", 8),
    "F64": ("float64", 8),
}
"""The dtypes of the format that numpy has as well: numpy's name and the bytes of one value."""

NUMPY_DTYPES = frozenset(name for name, _ in DTYPES.values())

_CODES = {name: code for code, (name, _) in DTYPES.items()}
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 16 * 2**20  # the format has 100 MB; a set's names need less than its manifest
_MOST_AXES = 32  # numpy 1.26 has no more
_ALIGNMENT = 64
_VALUES_AT_ONCE = 1 << 16
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class TensorLocation:
    """The location of a tensor, as plain values: `dtype` is numpy's name, `offset` counts bytes from the file's start.

    Values are little-endian in C order.
    """

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


class _Malformed(Exception):
    """A problem of a file, without the file's name."""


def read_header(file: Path) -> dict[str, TensorLocation]:
    """Return the location of each tensor of the file, in the order of the data. Raises GoldenError."""
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = _header_length(stream.read(_LENGTH_BYTES), size)
            header = stream.read(length)
        return _locations(str(file.absolute()), header, size - _LENGTH_BYTES - length)
    except OSError as error:
        raise GoldenError(file.parent, f"{file.name} cannot be read: {reason(error)}") from error
    except _Malformed as problem:
        message = f"{file.name} is not a valid safetensors file: {problem}; restore it or freeze the set again"
        raise GoldenError(file.parent, message) from problem


def map_tensor(location: TensorLocation) -> NDArray[Any]:
    """Map one tensor into memory, read-only. Raises GoldenError if the file has gone or shrunk since it was read."""
    import numpy as np  # noqa: PLC0415 - the agent, which maps nothing, stays without numpy

    dtype = np.dtype(location.dtype).newbyteorder("<")
    if math.prod(location.shape) == 0:  # the system maps no empty range
        empty = np.zeros(location.shape, dtype)
        empty.setflags(write=False)
        return empty
    try:
        return np.memmap(location.file, dtype, "r", location.offset, location.shape)
    except (OSError, ValueError) as error:
        file = Path(location.file)
        raise GoldenError(
            file.parent, f"{file.name}: tensor {quoted(location.name)} cannot be mapped: {error}"
        ) from error


def write(file: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors so that equal ones give equal bytes and each is aligned to its dtype, the first to 64 bytes.

    Raises GoldenError for a name or dtype that the format does not have, OSError if the file cannot be written.
    """
    header: dict[str, Any] = {}
    end = 0
    # Without holes between tensors, the widest dtypes first are all aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    for name, array in ordered:
        if name == _METADATA or array.dtype.name not in _CODES:
            expected = f"expected one of {', '.join(sorted(_CODES))}"
            raise GoldenError(file.parent, f"tensor {quoted(name)} of dtype {array.dtype} cannot be stored; {expected}")
        begin, end = end, end + array.nbytes
        code = _CODES[array.dtype.name]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(_LENGTH_BYTES + len(encoded)) % _ALIGNMENT)
    with file.open("xb") as stream:
        stream.write(len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded)
        for _, array in ordered:
            for some in _pieces(array):
                stream.write(some)


def _pieces(array: NDArray[Any]) -> Iterator[bytes]:
    """Yield the values, little-endian in C order, in pieces that need little memory."""
    import numpy as np  # noqa: PLC0415 - as above

    found = np.nditer(
        array,
        ["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=array.dtype.newbyteorder("<"),
        order="C",
        casting="equiv",
        buffersize=_VALUES_AT_ONCE,
    )
    return (np.asarray(some).tobytes() for some in found)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse JSON that names a key twice (for `object_pairs_hook`): readers differ in the one they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(most, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {quoted(most)} appears twice")
    return found


def _header_length(prefix: bytes, size: int) -> int:
    if len(prefix) < _LENGTH_BYTES:
        raise _Malformed(f"it has {size} bytes, too few for the length of a header")
    length = int.from_bytes(prefix, "little")
    if length > _MOST_HEADER_BYTES:
        raise _Malformed(f"its header would be {length:,} bytes long, the most is {_MOST_HEADER_BYTES:,}")
    if length > size - _LENGTH_BYTES:
        raise _Malformed(f"its header would be {length:,} bytes long, the file has {size:,} bytes")
    return length


def _locations(file: str, header: bytes, data_bytes: int) -> dict[str, TensorLocation]:
    spans = sorted(_spans(header), key=lambda span: span[1:3])
    found: dict[str, TensorLocation] = {}
    covered = 0
    data_start = _LENGTH_BYTES + len(header)
    for name, begin, end, dtype, shape in spans:
        if begin != covered:
            kind = "overlaps the tensor before it" if begin < covered else "leaves a hole before it"
            raise _Malformed(f"tensor {quoted(name)} {kind}: it begins at byte {begin:,}, expected {covered:,}")
        covered = end
        found[name] = TensorLocation(name, file, dtype, shape, data_start + begin)
    if covered != data_bytes:
        raise _Malformed(f"its tensors need {covered:,} bytes of data, it has {data_bytes:,}")
    return found


def _spans(header: bytes) -> Iterator[tuple[str, int, int, str, tuple[int, ...]]]:
    if not header.startswith(b"{"):
        raise _Malformed("its header does not begin with {")
    try:
        entries = parse_json(header, unique_keys)
    except ValueError as error:
        raise _Malformed(f"its header is not usable JSON: {error}") from error
    for name, entry in entries.items():
        if name == _METADATA:
            _check_metadata(entry)
        else:
            yield _span(name, entry)


def _check_metadata(entry: Any) -> None:  # noqa: ANN401 - anything that JSON holds
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise _Malformed(f"{_METADATA} is not a map of strings to strings")


def _span(name: str, entry: Any) -> tuple[str, int, int, str, tuple[int, ...]]:  # noqa: ANN401
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Malformed(f"tensor {quoted(name)} needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise _Malformed(f"tensor {quoted(name)} has dtype {quoted(str(dtype))}, expected one of {known}")
    if not _are_sizes(shape) or len(shape) > _MOST_AXES:
        raise _Malformed(f"tensor {quoted(name)}: shape is not a list of at most {_MOST_AXES} sizes")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _Malformed(f"tensor {quoted(name)}: data_offsets is not a pair of sizes")
    begin, end = offsets
    numpy_name, width = DTYPES[dtype]
    if math.prod(size or 1 for size in shape) * width >= 2**63:  # numpy makes no such array, though it may be empty
        raise _Malformed(f"tensor {quoted(name)}: shape {shape} is too large")
    needed = math.prod(shape) * width
    if end - begin != needed:
        raise _Malformed(
            f"tensor {quoted(name)}: {dtype} {shape} needs {needed:,} bytes, data_offsets say {end - begin:,}"
        )
    return name, begin, end, numpy_name, tuple(shape)


def _are_sizes(value: Any) -> bool:  # noqa: ANN401
    """Tell whether it is a list of integers from 0 to 2**63 - 1; `True` is not one."""
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)
