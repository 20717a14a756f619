"""A config in YAML, which may come from a Watch."""

from __future__ import annotations

import tempfile
from pathlib import Path

from goldwatch.config import ConfigError, load

_FILE = Path(tempfile.mkdtemp(prefix="goldwatch-fuzz-"), "goldwatch.yaml")


def target(data: bytes) -> None:
    """Return if a config is loaded, or refused."""
    _FILE.write_bytes(data)
    try:
        load(_FILE, environ={"NAME": "value"})
    except ConfigError as error:
        str(error).encode()
