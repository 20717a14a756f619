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
from goldwatch.worker.sources.table import NUMBERS, Block, Column, Table, of_rows, wrong

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Missing:
    """Counts the rows in which a column has no value, to report them together."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows: dict[str, list[int]] = {}

    def add(self, name: str, rows: Sequence[int]) -> None:
        if rows:
            self._rows.setdefault(name, []).extend(rows)

    def refuse(self, why: str) -> None:
        """Raise GoldenError with every column that lacks values, if one does."""
        problems = [
            f"{len(rows):,} of {self._table.rows:,} rows have no {quoted(name)} ({of_rows(self._table, rows)}); {why}"
            for name, rows in self._rows.items()
        ]
        if problems:
            raise GoldenError(self._table.file, *problems)


def converted(table: Table, examples: Examples, folder: Path, notes: list[str]) -> Found:
    """Read a table. Text goes into a file in `folder`. Raises GoldenError with the line or row."""
    if not table.rows:
        raise examples.error("holds no example")
    roles = assign(table, examples)
    notes.append(roles.note(table))
    drawn = ""
    if examples.size:
        table, drawn = sample(table, roles, examples)
        notes.append(drawn)
    of = [table.columns[name] for names in roles.inputs.values() for name in names]
    if bad := [column for column in of if column.kind == "bytes"]:
        raise GoldenError(table.file, f"column {quoted(bad[0].path)} holds bytes; an input is numbers, text or JSON")
    if all(column.kind in ("text", "json") for column in of):
        lines = _written(table, roles, folder)
        found = Found({}, lines, table.place, identities.of_lines(lines))
    else:
        found = _of_features(table, roles, examples, folder)
    found.drawn = drawn
    found.classes = table.columns[roles.label].classes if roles.label else ()
    check(table, roles, found, notes)
    return found


def _own_lines(table: Table, roles: Roles) -> Iterator[dict[str, Any]]:
    """Yield the line of each example, as docs/golden-sets.md describes lines."""
    missing = _Missing(table)
    needed = {column for columns in roles.inputs.values() for column in columns} | {roles.expected, roles.label}
    for block in table.blocks(roles.used):
        for name in needed & block.values.keys():
            missing.add(name, [block.start + i for i, value in enumerate(block.values[name]) if _is_gap(value)])
        for i in range(len(block)):
            row = {name: _plain(values[i]) for name, values in block.values.items()}
            yield _own_line(row, roles, table, block.start + i)
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
        line["answers"] = [names[right]] if names and right in range(len(names)) else _answers(right)
    if roles.label:
        label = row[roles.label]
        line["label"] = int(label) if isinstance(label, bool) else label
    if roles.identity:
        line[identities.KEY] = row[roles.identity]
        if problem := identities.line_problem(line):
            raise wrong(table, number, problem)
    for part, named in (("slices", roles.slices), ("cluster", roles.clusters)):
        if named:
            line[part] = {n: None if row[c] is None else _text(row[c]) for n, c in named.items()}
    if roles.fields:
        line["fields"] = {name: row[column] for name, column in roles.fields.items()}
    return line


def _written(table: Table, roles: Roles, folder: Path) -> Lines:
    """Write the examples as lines into a file of their own, and open it. Raises GoldenError with the row."""
    file = folder / "examples.jsonl"
    with file.open("w", encoding="utf-8", errors="surrogatepass") as stream:
        for row, line in enumerate(_own_lines(table, roles)):
            text = json.dumps(line, ensure_ascii=False, default=str)
            if len(text) > MOST_LINE_BYTES // 4 and len(text.encode("utf-8", "surrogatepass")) >= MOST_LINE_BYTES:
                raise wrong(table, row, f"longer than {MOST_LINE_BYTES:,} bytes; leave this example out")
            stream.write(text + "\n")
    return Lines(file)


def _of_features(table: Table, roles: Roles, examples: Examples, folder: Path) -> Found:
    """Read a table of features into arrays, and inputs that are text into lines."""
    texts = {name: cs[0] for name, cs in roles.inputs.items() if table.columns[cs[0]].kind in ("text", "json")}
    takes = {spec.name: spec for spec in examples.takes}
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
            some = [-1 if _is_gap(v) else cluster_key(_text(_plain(v))) for v in block.values[column]]
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
    if takes is not None and takes.dtype in NUMPY_DTYPES:
        shape = (width,) if vector or takes.shape in ((1,), (-1,)) else ()
        return zeros((table.rows, *shape), takes.dtype)
    own = {"bool": np.bool_, "int": np.int64}.get(columns[0].kind, np.float64)
    return zeros((table.rows, width) if vector else table.rows, np.float32 if vector else own)


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
            self._numbers[block.start : block.start + len(block)] = values
            return
        for row, value in enumerate(values, block.start):
            self._names[row] = "" if _is_gap(value) else _text(value)
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


def _plain(value: Any) -> Any:  # noqa: ANN401 - of any table
    """Return a value as JSON has it; None for a missing number."""
    found = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(found, float) and math.isnan(found) else found


def _text(value: Any) -> str:  # noqa: ANN401 - of any table
    """Return a value as people write it: text, or JSON; a whole number without a fraction."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _answers(value: Any) -> list[str]:  # noqa: ANN401 - of any table
    """Return the accepted answers: one, or all that a list has."""
    return list(dict.fromkeys(map(_text, value))) if isinstance(value, list) and value else [_text(value)]
