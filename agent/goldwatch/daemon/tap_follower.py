"""A log that grows: one JSON value a line, in a file or in the files of a folder, rotated or not.

It is read from its end as it was when goldwatch began to follow it: what was written before, or while the agent was
down, is not made up for. Files are known by device and inode, so one that is renamed is read to its end, and one that
is cut short is read from its beginning. Nothing of a file is held but a line that is not finished.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TypeAlias

MOST_LINE_BYTES = 2**20
MOST_FILES = 16
"""Of a folder the newest so many are followed."""
MOST_BEHIND_BYTES = 64 * 2**20
"""Of a file that has grown by more since it was last read, only so much of its end is read."""
_CHUNK = 256 * 1024
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")

_Identity: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class _Open:
    """A file that is being read. `unfinished` is the beginning of a line; `dropping` until the line ends."""

    stream: FileIO
    unfinished: bytes = b""
    dropping: bool = False

    def skip(self, to: int) -> None:
        """Go on at another place, from the first line that begins there."""
        self.stream.seek(max(to - 1, 0))
        self.unfinished, self.dropping = b"", to > 0


@dataclass(slots=True)
class Follower:
    """Reads the lines that are appended to a file, or to the files of a folder. Not thread-safe.

    `problem` is the reason why something cannot be read, empty if all can; `too_long` counts the lines that were left
    out for their length, and `skipped_bytes` what was left out of a log that grew faster than it was read.
    """

    path: Path
    problem: str = ""
    too_long: int = 0
    skipped_bytes: int = 0
    _files: dict[_Identity, _Open] = field(default_factory=dict)
    _begun: bool = False

    def lines(self) -> Iterator[bytes]:
        """Yield what was appended since the last call, line by line, without the line breaks."""
        self.problem = ""
        try:
            current = self._current()
        except OSError as error:  # for a moment, perhaps: what comes back then is not read once more
            self._say(self.path, error)
            current = dict.fromkeys(self._files, self.path)
        for identity, path in current.items():
            if identity not in self._files:
                self._open(identity, path)
        self._begun = True
        for identity, opened in list(self._files.items()):
            before = opened.stream.tell()
            try:
                yield from self._read(opened)
            except OSError as error:
                self._say(self.path, error)
            # Who rotates goes on writing to the file that was renamed, until they open the new one.
            if identity not in current and opened.stream.tell() == before:
                self._files.pop(identity).stream.close()

    def close(self) -> None:
        """Let go of the files."""
        for opened in self._files.values():
            opened.stream.close()
        self._files.clear()

    def _current(self) -> dict[_Identity, Path]:
        """Return the files to follow, the oldest first. Raises OSError."""
        if not self.path.is_dir():
            about = self.path.stat()
            if stat.S_ISREG(about.st_mode):
                return {_identity(about): self.path}
            self.problem = f"{self.path} is neither a file nor a folder: it cannot be followed"
            return {}
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # it was deleted since
                    if entry.is_file() and Path(entry.path).suffix not in _COMPRESSED and entry.name[0] != ".":
                        found.append((entry.stat(), Path(entry.path)))
        newest = sorted(found, key=lambda pair: pair[0].st_mtime)[-MOST_FILES:]
        return {_identity(about): path for about, path in newest}

    def _open(self, identity: _Identity, path: Path) -> None:
        try:
            opened = _Open(FileIO(path))
        except OSError as error:
            self._say(path, error)
            return
        self._files[identity] = opened
        if not self._begun:
            opened.skip(os.fstat(opened.stream.fileno()).st_size)

    def _say(self, path: Path, error: OSError) -> None:
        self.problem = f"{path} cannot be read: {error.strerror}"

    def _read(self, opened: _Open) -> Iterator[bytes]:
        size, at = os.fstat(opened.stream.fileno()).st_size, opened.stream.tell()
        if size < at:  # cut short in place, as logrotate's copytruncate does
            opened.skip(0)
        elif size - at > MOST_BEHIND_BYTES:
            self.skipped_bytes += size - at - MOST_BEHIND_BYTES
            opened.skip(size - MOST_BEHIND_BYTES)
        while chunk := opened.stream.read(_CHUNK):
            *whole, rest = (opened.unfinished + chunk).split(b"\n")
            for line in whole:
                if not opened.dropping and line.strip():
                    yield line
                opened.dropping = False
            opened.unfinished = rest
            if len(rest) > MOST_LINE_BYTES:
                self.too_long += not opened.dropping
                opened.unfinished, opened.dropping = b"", True


def _identity(about: os.stat_result) -> _Identity:
    return about.st_dev, about.st_ino
