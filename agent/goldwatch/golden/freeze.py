"""Freezing: a golden set is written once, whole, and never changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldwatch.golden import lines as text
from goldwatch.golden import tensors as stored
from goldwatch.golden.attached import references
from goldwatch.golden.error import GoldenError, quoted, reason
from goldwatch.golden.identities import IDENTITIES, as_lines
from goldwatch.golden.manifest import FORMAT, MANIFEST, TENSORS, Manifest, parse, serialise
from goldwatch.golden.opened import GoldenSet


def freeze(
    folder: Path,
    manifest: Mapping[str, Any],
    tensors: Mapping[str, ArrayLike],
    examples: Iterable[Mapping[str, Any]] = (),
    identities: Iterable[str] = (),
    files: Mapping[str, Path] | None = {},
) -> GoldenSet:
    """Write a new golden set and return it, opened and with its values checked.

    `manifest` is the future golden.json without `format` and `files`, as plain values; `tensors` are named as in
    `Manifest.tensors`; `examples` are the lines of a set that has text, in the form of `golden.lines`; `identities` are
    the names of all examples, if they have names. `files` are those that structured inputs refer to, by their names in
    the set; None if what looks like a reference is text, as in sets of formats up to 5. The folder appears whole or
    not at all. Equal arguments give equal digests.

    Raises GoldenError if the folder exists already or the set would not be valid.
    """
    if os.path.lexists(folder):
        raise GoldenError(folder, "exists already; a golden set is never changed: freeze a new version in a new folder")
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir()
        arrays = {name: _array(folder, name, values) for name, values in tensors.items()}
        _write(unfinished, manifest, arrays, {text.LINES: examples, IDENTITIES: as_lines(identities)}, files)
        GoldenSet.open(unfinished).check_values()
        unfinished.rename(folder)
        _synchronise(folder.parent)
    except GoldenError as error:
        raise GoldenError(folder, *error.problems) from error
    except OSError as error:
        raise GoldenError(folder, f"cannot be written: {reason(error)}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return GoldenSet.open(folder)


def _array(folder: Path, name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise GoldenError(folder, f"tensor {quoted(name)} is not an array: {error}") from error


def _write(
    folder: Path,
    manifest: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    lines: Mapping[str, Iterable[Mapping[str, Any]]],
    attached: Mapping[str, Path] | None,
) -> None:
    stored.write(folder / TENSORS, tensors)
    files = [folder / TENSORS]
    refer = bool(attached)

    def seen(each: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        nonlocal refer
        for line in each:
            if attached is not None and not refer and isinstance(line.get("inputs"), dict):
                with contextlib.suppress(RecursionError):  # the line is refused when it is read
                    refer = any(name for value in line["inputs"].values() for name in references(value))
            yield line

    for name, each in lines.items():
        rest = seen(each)
        if (first := next(rest, None)) is not None:
            text.write(folder / name, chain([first], rest))
            files.append(folder / name)
    for name, file in (attached or {}).items():
        if Path(name).name != name or (folder / name).exists():
            raise GoldenError(folder, f"the file {quoted(name)} cannot have this name in a set")
        shutil.copyfile(file, folder / name)
        files.append(folder / name)
    whole = {"format": FORMAT, **manifest, "files": {file.name: _entry(file) for file in files}}
    try:
        raw = json.dumps(whole).encode()
    except (TypeError, ValueError) as error:
        raise GoldenError(folder, f"the manifest is not plain values: {error}") from error
    (folder / MANIFEST).write_bytes(serialise(_oldest(parse(folder, raw), refer=refer)))
    for path in (*files, folder / MANIFEST, folder):
        _synchronise(path)


def _entry(file: Path) -> dict[str, str | int]:
    with file.open("rb") as stream:
        return {"sha256": hashlib.file_digest(stream, "sha256").hexdigest(), "bytes": file.stat().st_size}


def _oldest(manifest: Manifest, *, refer: bool) -> Manifest:
    """Return it with the oldest format that is read as it is meant: up to 5, none sends files."""
    return manifest.model_copy(update={"format": FORMAT if refer else manifest.oldest_format})


def _synchronise(path: Path) -> None:
    """Make sure that a file or folder survives a loss of power from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
