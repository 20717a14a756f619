"""Files of a golden set that its structured inputs refer to, such as the images and sounds of messages.

A text "file:NAME" under one of `KEYS` refers to the file NAME of the set, and is sent as its content: a data URL (RFC
2397), or plain base64 under `data`. Workers read the files, some of them in old interpreters: standard library alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from goldwatch.golden.error import GoldenError, quoted, reason

KEYS = ("url", "image_url", "file_data", "file", "data")
"""Where APIs have a file: `image_url.url`, `image_url`, `file_data`, `file` of a transcription, `input_audio.data`."""

FILES_SINCE = 6
"""The first format of golden sets that has files; in older ones, what looks like a reference is text."""

_PLAIN = "data"
_REFERENCE = "file:"

MAX_BYTES = 8 * 2**20
"""Of all files of one example: some requests are made ahead, and each is held in memory as text."""

MAX_FILES = 4000
"""Of a set: a manifest has at most 20,000 keys, and three are of one file."""

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".pdf": "application/pdf",
}


def references(value: object) -> Iterator[str]:
    """Yield the names of the files that a JSON value refers to."""
    found: list[str] = []

    def note(_: str, name: str) -> str:
        found.append(name)
        return name

    with_files(value, note)
    return iter(found)


def with_files(value: Any, content: Callable[[str, str], str], key: str = "") -> Any:  # noqa: ANN401 - JSON is anything
    """Return a JSON value with `content(key, name)` in place of each reference to a file."""
    if isinstance(value, dict):
        return {name: with_files(item, content, name) for name, item in value.items()}
    if isinstance(value, list):
        return [with_files(item, content) for item in value]
    if key in KEYS and isinstance(value, str) and value.startswith(_REFERENCE) and value[len(_REFERENCE) :][:1] != "/":
        return content(key, value[len(_REFERENCE) :])
    return value


def reference(name: str) -> str:
    """Return what refers to a file of the set."""
    return _REFERENCE + name


class Attached:
    """The files in the folder of a set whose manifest was verified."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest: dict[str, Any] | None = None

    def sent(self, value: Any) -> Any:  # noqa: ANN401 - JSON is anything
        """Return a JSON value with the contents of the files it refers to. Raises GoldenError."""
        total = 0

        def content(key: str, name: str) -> str:
            nonlocal total
            if self._opened()["format"] < FILES_SINCE:
                return reference(name)
            raw = self._read(name, MAX_BYTES - total)
            total += len(raw)
            text = base64.b64encode(raw).decode()
            return text if key == _PLAIN else f"data:{MEDIA_TYPES[Path(name).suffix.lower()]};base64,{text}"

        return with_files(value, content)

    def _opened(self) -> dict[str, Any]:
        """Return the manifest. Raises GoldenError."""
        try:
            if self._manifest is None:
                self._manifest = json.loads((self._folder / "golden.json").read_bytes())
        except OSError as error:
            raise GoldenError(self._folder, f"golden.json cannot be read: {reason(error)}") from error
        return self._manifest

    def _read(self, name: str, most: int) -> bytes:
        """Return the content of a file that is as the manifest says. Raises GoldenError."""
        try:
            expected = self._opened()["files"].get(name)
            if expected is None or Path(name).suffix.lower() not in MEDIA_TYPES:
                raise GoldenError(self._folder, f"an input refers to {quoted(name)}, which is no such file of the set")
            if expected["bytes"] > most:
                raise GoldenError(self._folder, f"the files of an example have more than {MAX_BYTES:,} bytes")
            raw = (self._folder / name).read_bytes()
        except OSError as error:
            raise GoldenError(self._folder, f"{name} cannot be read: {reason(error)}") from error
        if hashlib.sha256(raw).hexdigest() != expected["sha256"]:
            raise GoldenError(self._folder, f"{name} was changed after the set was frozen")
        return raw
