"""Opens the examples of `golden build`, whatever their file is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden import arrays, identities
from goldwatch.golden.examples import TABLES, Examples, is_table
from goldwatch.golden.lines import Lines
from goldwatch.worker.sources.table import opened

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True)
class Found:
    """Examples as `golden build` freezes them: arrays [n, ...] by name, lines with what is text, or both.

    `place` gives the line or row of an example. Equal inputs have equal `keys` [n], if they are known.
    `drawn` describes a sample, and `classes` names class numbers, if the file does.
    """

    arrays: dict[str, NDArray[Any]]
    lines: Lines | None
    place: Callable[[int], str]
    identities: list[str] = field(default_factory=list)
    keys: NDArray[Any] | None = None
    drawn: str = ""
    classes: tuple[str, ...] = ()


def find(examples: Examples, folder: Path, notes: list[str]) -> Found:
    """Open the examples; `folder` takes what must be rewritten, and may go afterwards. Raises GoldenError."""
    from goldwatch.worker.sources.convert import converted  # noqa: PLC0415 - it imports this module

    suffix = examples.file.suffix.lower()
    if examples.size and not is_table(examples.file):
        raise examples.error(f"--size draws rows of a table; expected one of {', '.join(TABLES)}")
    if suffix in (".jsonl", ".ndjson") and not examples.columns:
        lines = Lines(examples.file)
        if not len(lines):
            raise examples.error("holds no example")
        if isinstance(lines[0].get("inputs"), dict):
            if examples.size:
                raise examples.error(
                    "--size draws rows of a table, and line 1 is an example; draw the lines beforehand"
                )
            return Found({}, lines, _line, identities.of_lines(lines))
    if is_table(examples.file):
        return converted(opened(examples.file), examples, folder, notes)
    if examples.columns:
        raise examples.error(f"has no columns, which --map names; expected one of {', '.join(TABLES)}")
    found = arrays.read(examples.file)
    names = identities.of_array(examples.file, found.pop(identities.KEY)) if identities.KEY in found else []
    return Found({name.removeprefix("inputs."): found[name] for name in found}, None, _example, names)


def _line(row: int) -> str:
    return f"line {row + 1}"


def _example(row: int) -> str:
    return f"example {row}"
