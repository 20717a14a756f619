"""The manifest of a golden set."""

from __future__ import annotations

from pathlib import Path

from goldwatch.golden.error import GoldenError
from goldwatch.golden.manifest import parse, serialise

_SET = Path("set")


def target(data: bytes) -> None:
    """Return if a manifest is read and written alike, or refused."""
    try:
        found = parse(_SET, data)
        assert parse(_SET, serialise(found)) == found
    except GoldenError as error:
        str(error).encode()
