"""Reads the arrays of a user's file, .npz or .safetensors; large ones stay in files, not in memory.

Runs in a worker, with numpy.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from goldwatch.golden import tensors
from goldwatch.golden.error import GoldenError
from goldwatch.scratch import blocks, zeros

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name. Raises GoldenError."""
    try:
        if file.suffix == ".npz":
            return dict(_of_npz(file))
        if file.suffix == ".safetensors":
            return {name: tensors.map_tensor(where) for name, where in tensors.read_header(file).items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise GoldenError(file, f"cannot be read: {error}") from None
    raise GoldenError(file, "is no file of examples; expected .npz, .safetensors, .jsonl, .csv, .tsv or .parquet")


def _of_npz(file: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays. Numpy would read each whole into memory."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                yield name.removesuffix(".npy"), _of_npy(stream, name)


def _of_npy(stream: IO[bytes], name: str) -> NDArray[Any]:
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"{name} is of version {version[0]}.{version[1]}, expected 1.0 or 2.0")
    shape, is_fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects; write numbers or text of one length")
    found = zeros(shape[::-1] if is_fortran else shape, dtype)
    raw = found.reshape(-1).view(np.uint8) if found.size else np.zeros(0, np.uint8)
    for some in blocks(raw.size):
        part = stream.read(some.stop - some.start)
        if len(part) < some.stop - some.start:
            raise EOFError(f"{name} ends after {some.start + len(part):,} of {raw.size:,} bytes")
        raw[some] = np.frombuffer(part, np.uint8)
    return found.T if is_fortran else found
