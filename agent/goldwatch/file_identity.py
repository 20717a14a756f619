"""Identifies a file and detects its replacement: for files that are read again when they change."""

from __future__ import annotations

from pathlib import Path


def identity(path: Path) -> tuple[int, int, int] | None:
    """Return the identity of a file; a ConfigMap's name is a link, which is moved to a new file atomically."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
