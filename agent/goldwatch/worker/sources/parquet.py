"""Parquet and folders of Hugging Face `datasets`, read by pyarrow (the extra `parquet`) some rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.golden.error import GoldenError
from goldwatch.installation import install_command
from goldwatch.worker.sources.table import (
    NUMBERS,
    ROWS_AT_ONCE,
    Block,
    Column,
    Kind,
    Values,
    as_texts,
    as_values,
    unique,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def arrow(file: Path) -> Any:  # noqa: ANN401 - a module without types
    """Return pyarrow. Raises GoldenError if it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - brought by an extra
        import pyarrow.parquet  # noqa: PLC0415 - as above
    except ImportError:
        raise GoldenError(file, f"needs pyarrow, which is not installed: {install_command('pyarrow')}") from None
    return pa


class _Arrow:
    """A table of Arrow batches; see `Table`. Class labels of Hugging Face datasets have their names."""

    def __init__(self, file: Path, arrow: Any, schema: Any, rows: int) -> None:  # noqa: ANN401 - without types
        self.file, self.rows = file, rows
        self._arrow, self._names = arrow, frozenset(schema.names)
        unique(file, schema.names)
        self._kept = set[str]()
        classes = _classes(schema)
        self.columns = {
            column.path: replace(column, classes=classes.get(column.path, ()))
            for field in schema
            for column in columns_of(arrow, field)
        }
        for name in [name for name, column in self.columns.items() if column.kind == "vector"]:
            self.columns[name] = self._measured(name)

    def keep_text(self, names: Iterable[str]) -> None:
        """Read the numbers of some columns as text."""
        self._kept |= {name for name in names if self.columns[name].kind in NUMBERS}
        self.columns |= {name: replace(self.columns[name], kind="text") for name in self._kept}

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the values of some columns."""
        start, roots = 0, list(dict.fromkeys(self._root(name) for name in names))
        try:
            for batch in self._batches(roots):
                for first in range(0, batch.num_rows, ROWS_AT_ONCE):
                    some = batch.slice(first, ROWS_AT_ONCE)
                    yield Block(start, {name: self._values(name, some) for name in names})
                    start += some.num_rows
        except (OSError, ValueError, self._arrow.ArrowNotImplementedError) as error:
            raise GoldenError(self.file, f"cannot be read after {self.place(start)}: {error}") from None

    def _values(self, name: str, batch: Any) -> Values:  # noqa: ANN401 - a batch of pyarrow
        column = self.columns[name]
        if name in self._kept:
            return as_texts(values_of(batch, self._root(name), replace(column, kind="json")))
        return values_of(batch, self._root(name), column)

    def _batches(self, roots: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of some columns as batches of pyarrow."""
        raise NotImplementedError

    def place(self, row: int) -> str:
        """Return the number of a row, from 1."""
        return f"row {row + 1}"

    def _root(self, name: str) -> str:
        return name if name in self._names else name.split(".", maxsplit=1)[0]

    def _measured(self, name: str) -> Column:
        """Return a column of lists of numbers: vectors if all have one length."""
        widths = set[int]()
        for block in self.blocks([name]):
            widths |= {len(value) for value in block.values[name] if value is not None}
        width = widths.pop() if len(widths) == 1 else 0
        return Column(name, "vector" if width else "json", width)


class Parquet(_Arrow):
    """One Parquet file, or several that are the parts of one table, in their order."""

    def __init__(self, file: Path, parts: Sequence[Path] = ()) -> None:
        found = arrow(file)
        try:
            self._parts = [found.parquet.ParquetFile(p, memory_map=True, pre_buffer=False) for p in parts or (file,)]
        except (OSError, ValueError, found.ArrowNotImplementedError) as error:
            raise GoldenError(file, f"cannot be read: {error}") from None
        first, *others = [part.schema_arrow for part in self._parts]
        if any(not schema.equals(first) for schema in others):
            raise GoldenError(file, "has Parquet files of different columns; name one of them")
        super().__init__(file, found, first, sum(part.metadata.num_rows for part in self._parts))

    def _batches(self, roots: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of one group after another; what a group took goes back to the system."""
        for part in self._parts:
            for group in range(part.num_row_groups):
                yield from part.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=roots, use_threads=False)
                self._arrow.default_memory_pool().release_unused()


class Dataset(_Arrow):
    """A folder that `save_to_disk` of Hugging Face `datasets` wrote: Arrow streams, named by `state.json`."""

    def __init__(self, folder: Path) -> None:
        found = arrow(folder)
        try:
            state = json.loads((folder / "state.json").read_text())
            self._files = [folder / Path(str(each["filename"])).name for each in state["_data_files"]]
            with found.memory_map(str(self._files[0])) as stream:
                schema = found.ipc.open_stream(stream).schema
            rows = sum(batch.num_rows for batch in self._all(found))
        except (OSError, ValueError, KeyError, IndexError, TypeError, found.ArrowNotImplementedError) as error:
            raise GoldenError(folder, f"is no dataset that save_to_disk wrote: {error}") from None
        super().__init__(folder, found, schema, rows)

    def _batches(self, roots: Sequence[str]) -> Iterator[Any]:
        return (batch.select(roots) for batch in self._all(self._arrow))

    def _all(self, arrow: Any) -> Iterator[Any]:  # noqa: ANN401 - a module without types
        for file in self._files:
            with arrow.memory_map(str(file)) as stream:
                yield from arrow.ipc.open_stream(stream)


def of_folder(folder: Path) -> _Arrow:
    """Open a folder: of `save_to_disk`, or of the Parquet files of one split. Raises GoldenError."""
    if (folder / "state.json").is_file():
        return Dataset(folder)
    splits = sorted(file.parent.name for file in folder.glob("*/state.json"))
    parts = sorted(folder.glob("*.parquet"))
    splits = splits or sorted({_split(part.stem) for part in parts})
    if len(splits) == 1 and parts:
        return Parquet(folder, parts)
    if splits:
        raise GoldenError(folder, f"has {', '.join(splits)}; name the folder or file of one of them")
    raise GoldenError(folder, "is no folder of save_to_disk (state.json), and has no .parquet files")


def _split(stem: str) -> str:
    """Return the split that a part is of, by its name: the hub has `test-00000-of-00002` and, converted, `0000`."""
    return "parts" if stem.isdecimal() else stem.partition("-")[0]


def _classes(schema: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401 - a schema of pyarrow
    """Return the names of the classes of columns, which `datasets` writes into the schema as JSON."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: tuple(map(str, each["names"])) for name, each in features.items() if "names" in each}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def columns_of(arrow: Any, field: Any) -> Iterator[Column]:  # noqa: ANN401 - a module without types
    """Yield the column of a field, and those of its members if it is a struct."""
    kind = _kind(arrow.types, field.type)
    yield Column(field.name, kind)
    if arrow.types.is_struct(field.type):
        yield from (Column(f"{field.name}.{inner.name}", _kind(arrow.types, inner.type)) for inner in field.type)


def _kind(types: Any, given: Any) -> Kind:  # noqa: ANN401, PLR0911 - a return for each kind
    if types.is_dictionary(given):
        return _kind(types, given.value_type)
    if types.is_boolean(given):
        return "bool"
    if types.is_integer(given):
        return "int"
    if types.is_floating(given) or types.is_decimal(given):
        return "float"
    if types.is_list(given) or types.is_large_list(given) or types.is_fixed_size_list(given):
        return "vector" if types.is_integer(given.value_type) or types.is_floating(given.value_type) else "json"
    if types.is_struct(given) or types.is_map(given):
        return "json"
    if types.is_binary(given) or types.is_large_binary(given) or types.is_fixed_size_binary(given):
        return "bytes"
    return "text"


def values_of(batch: Any, root: str, column: Column) -> Values:  # noqa: ANN401 - a batch of pyarrow
    """Return the values of a column of a batch."""
    found = batch.column(root)
    if column.path != root:
        inner = column.path.removeprefix(f"{root}.")
        return as_values([None if value is None else value[inner] for value in found.to_pylist()], column.kind)
    if column.kind not in NUMBERS:
        listed: list[Any] = found.to_pylist()
        as_text = column.kind == "text" and not all(value is None or isinstance(value, str) for value in listed)
        return [None if value is None else str(value) for value in listed] if as_text else listed
    values = found.to_numpy(zero_copy_only=False)
    if values.dtype == object:  # a decimal, or a bool that may be missing
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)
    numbers: NDArray[Any] = values
    return numbers
