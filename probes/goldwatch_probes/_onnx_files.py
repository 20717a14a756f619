"""Finds the files that hold weights of an ONNX model, without the package onnx: only the names are read.

Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, docs/ExternalData.md
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {13: "entry"},
}
"""Numbers of the fields in which a message holds others that may name a file."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def with_external_data(file: Path) -> tuple[Path, ...]:
    """Return a model file, and after it the files with its external data that exist, in the order of their names.

    A file of another format is returned alone. Raises OSError.
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        try:
            names = set(_locations(view))
        except (ValueError, IndexError):  # no protobuf, such as ONNX Runtime's own format
            names = set()
        finally:
            view.release()
    found = (file.parent / name for name in sorted(names) if name and not Path(name).is_absolute())
    return (file, *(path for path in found if path.is_file()))


def _locations(model: memoryview) -> Iterator[str]:
    """Yield the location of each tensor's external data. Raises ValueError or IndexError if it is no protobuf."""
    left = [("model", model)]
    while left:
        kind, message = left.pop()
        with message:
            if kind == "entry":
                texts = {number: bytes(part).decode() for number, part in _parts(message)}
                if texts.get(1) == "location":
                    yield texts.get(2, "")
                continue
            inside = _INSIDE[kind]
            left += [(inside[number], part[:]) for number, part in _parts(message) if number in inside]


def _parts(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and content of each field that holds bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field is longer than its message")
            with message[at : at + size] as part:
                yield key >> 3, part
            at += size
        elif wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
