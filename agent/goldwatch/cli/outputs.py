"""Files that a command writes besides its output, all of one measurement: `--output result.json`, any number."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli.base import UNMEASURED, UNUSABLE, fail, put

SUFFIXES = {".html": "html", ".json": "json", ".xml": "junit", ".md": "markdown", ".txt": "table"}
"""The format of a file, by the end of its name."""

Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="Also write the result into a file, in the format of its suffix: .html, .json, .xml (JUnit), .md or .txt. "
        "May be repeated.",
    ),
]


def check(paths: Sequence[Path] | None, formats: Collection[str]) -> list[Path]:
    """Return the files to write, having looked before the measurement whether they can be. Ends with exit code 3."""
    for path in paths or ():
        if SUFFIXES.get(path.suffix.lower()) not in formats:
            known = ", ".join(suffix for suffix, name in SUFFIXES.items() if name in formats)
            fail(f"--output {path}: its suffix names no format of this command; there are {known}", UNUSABLE)
        if not os.access(path.absolute().parent, os.W_OK) or path.is_dir():
            fail(f"--output {path}: it cannot be written there; name a file in a folder that exists", UNUSABLE)
    return list(paths or ())


def wants(paths: Sequence[Path], name: str) -> bool:
    """Return whether one of the files has that format."""
    return any(SUFFIXES[path.suffix.lower()] == name for path in paths)


def write(paths: Sequence[Path], formats: Mapping[str, Callable[[], str]], code: int = 0) -> None:
    """Write each file in its format, and end with the exit code of what was measured: 2, not 0, if one failed."""
    failed = False
    for path in paths:
        try:
            path.write_text(formats[SUFFIXES[path.suffix.lower()]](), "utf-8")
        except OSError as error:
            put(f"--output {path}: {error.strerror}", err=True)
            failed = True
    if failed or code:
        raise typer.Exit(code or UNMEASURED)
