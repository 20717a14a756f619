"""A table of any column names as goldwatch's own examples: lines of text, or arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.golden import identities
from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.examples import Examples
from goldwatch.golden.lines import MOST_LINE_BYTES, Lines
from goldwatch.golden.tensors import NUMPY_DTYPES
from goldwatch.probe import TensorSpec
from goldwatch.scratch import zeros
from goldwatch.worker.jobs.labels import cluster_key
from goldwatch.worker.sources.checks import check
from goldwatch.worker.sources.found import Found
from goldwatch.worker.sources.names import MAX_NAMES, Names
from goldwatch.worker.sources.roles import Roles, assign
from goldwatch.worker.sources.sampling import sample
from goldwatch.worker.sources.table import (
    NUMBERS,
    SHOWN_ROWS,
    Block,
    Column,
    Table,
    as_text,
    of_rows,
    plain,
    wrong,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Missing:
    """Counts the rows in which a column has no value, to report them together."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._found: dict[str, tuple[int, list[int]]] = {}

    def add(self, name: str, rows: Sequence[int]) -> None:
        if rows:
            count, first = self._found.get(name, (0, []))
            self._found[name] = count + len(rows), [*first, *rows[: SHOWN_ROWS - len(first)]]

    def refuse(self, why: str) -> None:
        """Raise GoldenError with every column that lacks values, if one does."""
        problems = [
            f"{count:,} of {self._table.rows:,} rows have no {quoted(name)} "
            f"({of_rows(self._table, first, count)}); {why}"
            for name, (count, first) in self._found.items()
        ]
        if problems:
            raise GoldenError(self._table.file, *problems)


def converted(table: Table, examples: Examples, folder: Path, notes: list[str]) -> Found:
    """Read a table. Text goes into a file in `folder`. Raises GoldenError with the line or row."""
    if not table.rows:
        raise examples.error("holds no example")
    roles = assign(table, examples)
    notes.append(roles.note(table))
    table.keep_text(_as_written(table, roles))
    drawn = ""
    if examples.size:
        table, drawn = sample(table, roles, examples)
        notes.append(drawn)
    if bad := [name for name in roles.used if table.columns[name].kind == "bytes"]:
        raise GoldenError(table.file, f"column {quoted(bad[0])} holds bytes; an example is numbers, text or JSON")
    numeric = {spec.name: spec.dtype for spec in examples.takes if spec.dtype in NUMPY_DTYPES}
    for name, columns in roles.inputs.items():
        if name in numeric and table.columns[columns[0]].kind in ("text", "json"):
            problem = f"the model takes {name}: {numeric[name]}, and column {quoted(columns[0])} is text or JSON"
            raise GoldenError(table.file, f"{problem}; map a column of numbers")
    of = [table.columns[name] for names in roles.inputs.values() for name in names]
    if all(column.kind in ("text", "json") for column in of):
        lines = _written(table, roles, folder)
        found = Found({}, lines, table.place, identities.of_lines(lines))
    else:
        found = _of_features(table, roles, examples, folder)
    found.drawn = drawn
    found.classes = table.columns[roles.label].classes if roles.label else ()
    check(table, roles, found, notes)
    return found


def _as_written(table: Table, roles: Roles) -> Iterator[str]:
    """Yield the columns of names: their numbers are no quantities, so 3.10 is not 3.1. False and true are classes."""
    read = {roles.label, *(column for columns in roles.inputs.values() for column in columns)}
    names = {roles.expected, roles.identity, *roles.slices.values(), *roles.clusters.values()} - {""} - read
    yield from (name for name in names if not table.columns[name].classes)
    if roles.label and table.columns[roles.label].kind == "bool":
        yield roles.label


def _own_lines(table: Table, roles: Roles) -> Iterator[dict[str, Any]]:
    """Yield the line of each example, as docs/golden-sets.md describes lines."""
    missing = _Missing(table)
    needed = {column for columns in roles.inputs.values() for column in columns} | {roles.expected, roles.label}
    for block in table.blocks(roles.used):
        for name in needed & block.values.keys():
            is_gap = _no_right if name in (roles.expected, roles.label) else _is_gap
            classes = table.columns[name].classes
            gaps = [i for i, value in enumerate(block.values[name]) if is_gap(value) or (classes and value == -1)]
            missing.add(name, [block.start + i for i in gaps])
        for i in range(len(block)):
            row = {name: _plain(values[i]) for name, values in block.values.items()}
            try:
                yield _own_line(row, roles, table, block.start + i)
            except TypeError as error:  # of `plain`
                raise wrong(table, block.start + i, str(error)) from None
    missing.refuse("fill it, or leave these rows out")


def _own_line(row: Mapping[str, Any], roles: Roles, table: Table, number: int) -> dict[str, Any]:
    line: dict[str, Any] = {
        "inputs": {
            name: row[columns[0]] if len(columns) == 1 else [row[column] for column in columns]
            for name, columns in roles.inputs.items()
        }
    }
    if roles.expected:
        names, right = table.columns[roles.expected].classes, row[roles.expected]
        line["answers"] = [_class(table, number, roles.expected, right)] if names else _answers(right)
    if roles.label:
        label = row[roles.label]
        if table.columns[roles.label].classes and label is not None:
            _class(table, number, roles.label, label)
            label = int(label)
        line["label"] = label
    if roles.identity:
        line[identities.KEY] = row[roles.identity]
        if problem := identities.line_problem(line):
            raise wrong(table, number, problem)
    for part, named in (("slices", roles.slices), ("cluster", roles.clusters)):
        if named:
            line[part] = {n: None if row[c] is None else as_text(row[c]) for n, c in named.items()}
    if roles.fields:
        line["fields"] = {name: row[column] for name, column in roles.fields.items()}
    return line


def _class(table: Table, row: int, column: str, number: Any) -> str:  # noqa: ANN401 - of any table
    """Return the name of a class, empty for a missing one. Raises GoldenError if the file does not name it."""
    names = table.columns[column].classes
    if number is None or number == -1:
        return ""
    if number not in range(len(names)):
        raise wrong(table, row, f"{quoted(column)} is {number}, and the file names {len(names):,} classes, from 0")
    return names[int(number)]


def _written(table: Table, roles: Roles, folder: Path) -> Lines:
    """Write the examples as lines into a file of their own, and open it. Raises GoldenError with the row."""
    file = folder / "examples.jsonl"
    with file.open("w", encoding="utf-8", errors="surrogatepass") as stream:
        for row, line in enumerate(_own_lines(table, roles)):
            try:
                text = json.dumps(line, ensure_ascii=False, default=plain)
            except TypeError as error:  # of `plain`
                raise wrong(table, row, str(error)) from None
            if len(text) > MOST_LINE_BYTES // 4 and len(text.encode("utf-8", "surrogatepass")) >= MOST_LINE_BYTES:
                raise wrong(table, row, f"longer than {MOST_LINE_BYTES:,} bytes; leave this example out")
            stream.write(text + "\n")
    return Lines(file)


def _of_features(table: Table, roles: Roles, examples: Examples, folder: Path) -> Found:
    """Read a table of features into arrays, and inputs that are text into lines."""
    texts = {name: cs[0] for name, cs in roles.inputs.items() if table.columns[cs[0]].kind in ("text", "json")}
    takes = {spec.name: spec for spec in examples.takes if spec.dtype in NUMPY_DTYPES}
    arrays = {
        name: _room(table, [table.columns[c] for c in columns], takes.get(name), is_vector=name in roles.vectors)
        for name, columns in roles.inputs.items()
        if name not in texts
    }
    coded = {f"slice.{n}": _Coded(table, c) for n, c in roles.slices.items()}
    coded |= {"labels": _Coded(table, roles.label)} if roles.label else {}
    clusters = {f"cluster.{n}": (c, zeros(table.rows, np.int64)) for n, c in roles.clusters.items()}
    missing, names = _Missing(table), list[str]()
    for block in table.blocks(roles.used):
        for name, array in arrays.items():
            _fill(array, table, block, roles.inputs[name], missing)
        for codes in coded.values():
            codes.add(block)
        for column, numbers in clusters.values():
            some = [-1 if _is_gap(v) else cluster_key(as_text(_plain(v))) for v in block.values[column]]
            numbers[block.start : block.start + len(some)] = some
        missing.add(roles.label, coded["labels"].gaps(block) if roles.label else [])
        names += _identities(table, block, roles.identity) if roles.identity else ()
    missing.refuse("fill it, or leave these rows out")
    arrays |= {name: codes.array() for name, codes in coded.items()}
    arrays |= {name: numbers for name, (_, numbers) in clusters.items()}
    if not texts and not roles.fields:
        return Found(arrays, None, table.place, names)
    in_lines = Roles(inputs={name: (column,) for name, column in texts.items()}, fields=roles.fields)
    return Found(arrays, _written(table, in_lines, folder), table.place, names)


def _identities(table: Table, block: Block, column: str) -> Iterator[str]:
    for row, value in enumerate(block.values[column], block.start):
        line = {identities.KEY: _plain(value)}
        if problem := identities.line_problem(line):
            raise wrong(table, row, problem)
        yield identities.of_line(line)


def _room(table: Table, columns: Sequence[Column], takes: TensorSpec | None, *, is_vector: bool) -> NDArray[Any]:
    """Return the empty array of an input: as the model takes it, else the type of the columns."""
    width = sum(column.width or 1 for column in columns)
    vector = is_vector or columns[0].kind == "vector"
    if takes is not None:
        shape = (width,) if vector or takes.shape in ((1,), (-1,)) else ()
        if len(shape) != len(takes.shape) or any(size not in (-1, width) for size in takes.shape):
            has = f"vectors of {width} numbers" if vector else "one number a row"
            raise GoldenError(
                table.file,
                f"the model takes {takes.name}: {takes.dtype} {list(takes.shape)}, and "
                f"{' and '.join(quoted(column.path) for column in columns)} has {has}; name the right columns by "
                f"--map inputs.{takes.name}=COLUMN+COLUMN",
            )
        return zeros((table.rows, *shape), takes.dtype)
    own = {"bool": np.bool_, "int": np.int64}.get(columns[0].kind, np.float64)
    if not vector:
        return zeros(table.rows, own)
    return zeros((table.rows, width), np.float32 if all(column.kind == "vector" for column in columns) else np.float64)


def _fill(array: NDArray[Any], table: Table, block: Block, columns: Sequence[str], missing: _Missing) -> None:
    """Copy a block into the rows of an input. Missing numbers are counted. Raises GoldenError for a misfit."""
    rows, at = slice(block.start, block.start + len(block)), 0
    into = array[rows].reshape(len(block), -1)
    for column in columns:
        width = table.columns[column].width or 1
        given = block.values[column]
        if table.columns[column].kind == "vector":
            values = np.array([np.full(width, np.nan) if value is None else value for value in given], np.float64)
        else:
            values = np.asarray(given).reshape(-1, 1)
        gaps = np.isnan(values).any(axis=1) if values.dtype.kind == "f" else np.zeros(len(values), np.bool_)
        missing.add(column, (block.start + np.flatnonzero(gaps)).tolist())
        with np.errstate(invalid="ignore", over="ignore"):
            into[:, at : at + width] = values
        if (
            array.dtype.kind != "f"
            and (bad := np.flatnonzero(~gaps & (into[:, at : at + width] != values).any(axis=1))).size
        ):
            row = block.start + int(bad[0])
            raise wrong(table, row, f"{quoted(column)} is {given[bad[0]]}, which {array.dtype} does not hold")
        at += width


class _Coded:
    """Labels or slices of a table: numbers as they are, or names."""

    def __init__(self, table: Table, column: str) -> None:
        self._table, self._column = table, column
        self._numbers = zeros(table.rows, np.float64) if table.columns[column].kind in NUMBERS else None
        self._names = Names(table.rows if self._numbers is None else 0)

    def add(self, block: Block) -> None:
        """Take the values of a block."""
        values = block.values[self._column]
        if self._numbers is not None:
            rows = self._numbers[block.start : block.start + len(block)]
            rows[:] = values
            if classes := self._table.columns[self._column].classes:
                rows[rows == -1] = np.nan  # as `datasets` marks what has no class
                for wild in np.flatnonzero(~np.isnan(rows) & ((rows < 0) | (rows >= len(classes))))[:1]:
                    _class(self._table, block.start + int(wild), self._column, int(rows[wild]))
            return
        for row, value in enumerate(values, block.start):
            name = "" if _no_right(value) else as_text(value)
            if len(name) > identities.MAX_LETTERS:
                problem = f"{quoted(self._column)} has {len(name):,} characters, expected the name of a class or slice"
                raise wrong(self._table, row, f"{problem}, up to {identities.MAX_LETTERS}; map another column")
            self._names[row] = name
            if len(self._names) > MAX_NAMES:
                problem = f"more than {MAX_NAMES:,} different values of {quoted(self._column)}: no classes"
                raise wrong(self._table, row, f"{problem}; group them, or name another column")

    def gaps(self, block: Block) -> list[int]:
        """Return the rows of a block without a value."""
        rows = slice(block.start, block.start + len(block))
        if self._numbers is None:
            return self._names.missing(rows)
        return [block.start + int(i) for i in np.flatnonzero(np.isnan(self._numbers[rows]))]

    def array(self) -> NDArray[Any]:
        """Return the values [n]: numbers, or names."""
        return self._names.array() if self._numbers is None else self._numbers


def _is_gap(value: Any) -> bool:  # noqa: ANN401 - of any table
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _no_right(value: Any) -> bool:  # noqa: ANN401 - of any table
    """Return whether there is no right answer: a list of none, or of one that is missing."""
    return not value or any(map(_is_gap, value)) if isinstance(value, list) else _is_gap(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - of any table
    """Return a value as JSON has it; None for a missing number."""
    found = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(found, float) and math.isnan(found) else found


def _answers(value: Any) -> list[str]:  # noqa: ANN401 - of any table
    """Return the accepted answers: one, or all that a list has."""
    return list(dict.fromkeys(map(as_text, value))) if isinstance(value, list) else [as_text(value)]
