"""A table of examples in a file: the columns, and the rows some at a time.

`delimited`, `json_lines` and `parquet` read one format each. A file is read from its beginning for each use, so that
memory is bounded by a block of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from goldwatch.golden.error import GoldenError, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AT_ONCE = 8192
SHOWN_ROWS = 5
"""Of the rows of an error, how many it names."""

Kind = Literal["bool", "int", "float", "text", "vector", "json", "bytes"]
"""The values of a column: `vector` is numbers [width], `json` any other structure, `bytes` what no table here reads."""
NUMBERS = ("bool", "int", "float")

Values: TypeAlias = "Sequence[Any] | NDArray[Any]"


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `width` is that of vectors. A dot in `path` leads to a member of an object: `answers.text`.

    `classes` names the class numbers, if the file does.
    """

    path: str
    kind: Kind
    width: int = 0
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows: the number of the first, from 0, and the values of the columns that were asked for.

    Numbers are arrays, with NaN where one is missing; other values are lists, with None.
    """

    start: int
    values: Mapping[str, Values]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


class Table(Protocol):
    """The rows of a file. All methods raise GoldenError with the place in the file."""

    @property
    def file(self) -> Path:
        """The file."""
        ...

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns by path, in their order."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are."""
        ...

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the values of some columns, in the order of the file."""
        ...

    def keep_text(self, names: Iterable[str]) -> None:
        """Read the numbers of some columns as text from now on: as they are written, where the format has it."""
        ...

    def place(self, row: int) -> str:
        """Return where a row is, for people: "line 7"."""
        ...


def as_values(given: Sequence[Any], kind: Kind) -> Values:
    """Return plain values as a block holds them."""
    import numpy as np  # noqa: PLC0415 - the agent's side of `golden build` knows the suffixes alone

    if kind not in NUMBERS:
        return given
    if any(value is None for value in given):
        return np.array([np.nan if value is None else value for value in given], np.float64)
    return np.array(given, {"bool": np.bool_, "int": np.int64}.get(kind, np.float64))


def as_text(value: Any) -> str:  # noqa: ANN401 - of any table
    """Return a value as people write it: text, JSON, a whole number without a fraction. Raises TypeError for bytes."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_json = value is None or isinstance(value, bool | int | float | list | dict)
    return json.dumps(value, ensure_ascii=False, default=plain) if is_json else plain(value)


def plain(value: Any) -> str:  # noqa: ANN401 - of any table
    """Return what JSON has no type for, such as a date, as text. Raises TypeError for bytes, which are none."""
    if isinstance(value, bytes):
        raise TypeError("holds bytes; an example is numbers, text or JSON")
    return str(value)


def as_texts(given: Values) -> list[str | None]:
    """Return numbers as text; None and NaN as None."""
    return [None if value is None or value != value else as_text(value) for value in given]  # noqa: PLR0124 - NaN


def of_rows(table: Table, rows: Sequence[int], count: int = 0) -> str:
    """Name the places of some rows, the first few of them, of `count` or else all of them."""
    count = count or len(rows)
    shown = [table.place(row) for row in rows[:SHOWN_ROWS]]
    word = shown[0].split()[0] if shown else ""
    numbers = [place.removeprefix(f"{word} ") for place in shown]
    more = f" and {count - SHOWN_ROWS:,} more" if count > SHOWN_ROWS else ""
    return f"{word}{'s' if count > 1 else ''} {', '.join(numbers)}{more}"


def wrong(table: Table, row: int, problem: str) -> GoldenError:
    """Return the error of a row."""
    return GoldenError(table.file, f"{table.place(row)}: {problem}")


def unique(file: Path, names: Sequence[str]) -> None:
    """Raise GoldenError if two columns share a name."""
    known = set[str]()
    for name in names:
        if name in known:
            raise GoldenError(file, f"has two columns named {quoted(name)}; rename one")
        known.add(name)


def opened(file: Path) -> Table:
    """Open a folder, or a table by the suffix of its file. Raises GoldenError."""
    from goldwatch.worker.sources.delimited import Delimited  # noqa: PLC0415 - one of three is needed
    from goldwatch.worker.sources.json_lines import JsonLines  # noqa: PLC0415 - as above
    from goldwatch.worker.sources.parquet import Parquet, of_folder  # noqa: PLC0415 - as above

    if file.is_dir():
        return of_folder(file)
    kinds: Mapping[str, Callable[[Path], Table]] = {
        **dict.fromkeys((".csv", ".tsv"), Delimited),
        **dict.fromkeys((".jsonl", ".ndjson"), JsonLines),
        **dict.fromkeys((".parquet", ".pq"), Parquet),
    }
    return kinds[file.suffix.lower()](file)
