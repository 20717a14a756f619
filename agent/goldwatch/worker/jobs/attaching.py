"""Collects the files next to the lines of a first golden set that their structured inputs refer to.

Runs in a worker, next to `goldwatch.worker.jobs.examples_of_lines`.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goldwatch.golden.attached import MAX_BYTES, MAX_FILES, MEDIA_TYPES, reference, references, with_files
from goldwatch.golden.error import quoted, reason


class Attaching:
    """The files in a folder, or below it. In the set each has a name of its own: its stem, and part of its digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._names: dict[str, tuple[str, int]] = {}
        self.files: dict[str, Path] = {}
        """The files by their names in the set."""

    def problem(self, inputs: Mapping[str, Any]) -> str:
        """Take the files of one example. Returns what is wrong with them, empty if nothing is."""
        total = 0
        for value in inputs.values():
            for path in references(value):
                if path not in self._names and (problem := self._take(path)):
                    return f"{quoted(reference(path))} {problem}"
                total += self._names[path][1]
        if total > MAX_BYTES:
            return f"the files of this example have {total:,} bytes, more than {MAX_BYTES:,}; make them smaller"
        return f"more than {MAX_FILES:,} files; leave out examples" if len(self.files) > MAX_FILES else ""

    def renamed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return inputs that refer to the files by their names in the set."""
        return {n: with_files(value, lambda _, path: reference(self._names[path][0])) for n, value in inputs.items()}

    def _take(self, path: str) -> str:
        suffix = Path(path).suffix.lower()
        if suffix not in MEDIA_TYPES:
            return f"has the suffix {quoted(suffix)}; expected one of {', '.join(MEDIA_TYPES)}"
        try:
            file = (self._folder / path).resolve(strict=True)
            found = file.stat()
            if not file.is_relative_to(self._folder):
                return f"is outside of {self._folder}; put the file next to the lines"
            if not stat.S_ISREG(found.st_mode):
                return "is no regular file"
            if found.st_size > MAX_BYTES:
                return f"has {found.st_size:,} bytes, more than {MAX_BYTES:,}; make it smaller"
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL in the path, a loop of links
            return f"cannot be read: {reason(error) if isinstance(error, OSError) else error}"
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(path).stem)[:60]
        name = f"{stem}-{digest[:16]}{suffix}"
        self._names[path] = (name, found.st_size)
        self.files[name] = file
        return ""
