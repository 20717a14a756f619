"""The tensors of a golden set, from the header to the mapped arrays."""

from __future__ import annotations

import tempfile
from pathlib import Path

from goldwatch.golden.error import GoldenError
from goldwatch.golden.tensors import map_tensor, read_header

_FILE = Path(tempfile.mkdtemp(prefix="goldwatch-fuzz-"), "tensors.safetensors")


def target(data: bytes) -> None:
    """Return if a file is mapped within its bounds, or refused."""
    _FILE.write_bytes(data)
    try:
        for location in read_header(_FILE).values():
            assert location.offset + map_tensor(location).nbytes <= len(data)
    except GoldenError as error:
        str(error).encode()
