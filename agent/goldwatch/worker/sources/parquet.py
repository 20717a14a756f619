"""Parquet, read by pyarrow (the extra `parquet`) some rows of a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.golden.error import GoldenError
from goldwatch.installation import install_command
from goldwatch.worker.sources.table import NUMBERS, ROWS_AT_ONCE, Block, Column, Kind, Values, as_values, unique

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


class Parquet:
    """A Parquet file; see `Table`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._arrow = arrow(file)
        try:
            self._parquet = self._arrow.parquet.ParquetFile(file, memory_map=True, pre_buffer=False)
        except (OSError, ValueError) as error:
            raise GoldenError(file, f"cannot be read: {error}") from None
        schema = self._parquet.schema_arrow
        unique(file, schema.names)
        self.rows = self._parquet.metadata.num_rows
        self.columns = {column.path: column for field in schema for column in columns_of(self._arrow, field)}
        for name in [name for name, column in self.columns.items() if column.kind == "vector"]:
            self.columns[name] = self._measured(name)

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the values of some columns."""
        start, roots = 0, list(dict.fromkeys(self._root(name) for name in names))
        try:
            for batch in self._batches(roots):
                values = {name: values_of(batch, self._root(name), self.columns[name]) for name in names}
                yield Block(start, values)
                start += batch.num_rows
        except (OSError, ValueError) as error:
            raise GoldenError(self.file, f"cannot be read after {self.place(start)}: {error}") from None

    def _batches(self, roots: Sequence[str]) -> Iterator[Any]:
        """Yield the rows of one group after another; what a group took goes back to the system."""
        for group in range(self._parquet.num_row_groups):
            yield from self._parquet.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=roots, use_threads=False)
            self._arrow.default_memory_pool().release_unused()

    def place(self, row: int) -> str:
        """Return the number of a row, from 1."""
        return f"row {row + 1}"

    def _root(self, name: str) -> str:
        return name if name in self._parquet.schema_arrow.names else name.split(".", maxsplit=1)[0]

    def _measured(self, name: str) -> Column:
        """Return a column of lists of numbers: vectors if all have one length."""
        widths = set[int]()
        for block in self.blocks([name]):
            widths |= {len(value) for value in block.values[name] if value is not None}
        width = widths.pop() if len(widths) == 1 else 0
        return Column(name, "vector" if width else "json", width)


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
