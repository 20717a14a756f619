"""JSON Lines of any keys. A member of an object has a column too: `answers.text`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from goldwatch.golden.lines import Lines
from goldwatch.worker.sources.table import NUMBERS, ROWS_AT_ONCE, Block, Column, Kind, Values, as_texts, as_values

_WIDER: Mapping[frozenset[str], Kind] = {frozenset(("int", "float")): "float"}


class JsonLines:
    """A file of JSON Lines; see `Table`. The first reading finds the columns and their kinds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lines = Lines(file)
        self.rows = len(self._lines)
        self.columns: dict[str, Column] = {}
        for line in self._lines:
            for name, value in _members(line):
                if value is not None:
                    self._add(name, value)
        self._kept = set[str]()

    def keep_text(self, names: Iterable[str]) -> None:
        """Read the numbers of some columns as text."""
        self._kept |= {name for name in names if self.columns[name].kind in NUMBERS}
        self.columns |= {name: replace(self.columns[name], kind="text") for name in self._kept}

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the values of some columns."""
        for start in range(0, self.rows, ROWS_AT_ONCE):
            lines = [dict(_members(self._lines[row])) for row in range(start, min(start + ROWS_AT_ONCE, self.rows))]
            yield Block(start, {name: self._values(name, [line.get(name) for line in lines]) for name in names})

    def _values(self, name: str, given: list[Any]) -> Values:
        return as_texts(given) if name in self._kept else as_values(given, self.columns[name].kind)

    def place(self, row: int) -> str:
        """Return the line of a row."""
        return f"line {row + 1}"

    def _add(self, name: str, value: Any) -> None:  # noqa: ANN401 - of JSON
        kind, width = _kind(value)
        known = self.columns.get(name)
        if known is None:
            self.columns[name] = Column(name, kind, width)
        elif (known.kind, known.width) != (kind, width):
            self.columns[name] = Column(name, _WIDER.get(frozenset((known.kind, kind)), "json"))


def _members(line: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in line.items():
        yield name, value
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())


def _kind(value: Any) -> tuple[Kind, int]:  # noqa: ANN401 - of JSON
    if isinstance(value, str):
        return "text", 0
    if isinstance(value, bool):
        return "bool", 0
    if isinstance(value, int):
        return ("int" if abs(value) < 2**63 else "float"), 0
    if isinstance(value, float):
        return "float", 0
    if isinstance(value, list) and value and all(type(each) in (int, float) for each in value):
        return "vector", len(value)
    return "json", 0
