"""Columns as long as a golden set, and reading them some rows at a time: memory stays bounded however many examples.

A short column is memory of the process. A long one is a mapped file, whose pages the kernel writes out and takes back
when memory is short. Such a file has no name and goes with its last user; it is in the folder for temporary files
(TMPDIR, or /tmp), and takes its room there at once. If there is no room, the column stays in memory.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

OWN_BYTES = 1 << 18
"""A column up to this size is memory of the process."""

_VALUES_AT_ONCE = 1 << 16


def blocks(rows: int, width: int = 1) -> Iterator[slice]:
    """Yield slices of the rows, each of about 65,000 values at `width` values a row."""
    step = max(1, _VALUES_AT_ONCE // max(width, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def open_file(size: int, own_bytes: int) -> int:
    """Return the descriptor of a new file without a name, of `size` zero bytes: in memory up to `own_bytes`."""
    if size > own_bytes:
        with contextlib.suppress(OSError, AttributeError):  # not every system takes room beforehand
            return _on_disk(size)
    return _in_memory(size)


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return a new array of zeros."""
    import numpy as np  # noqa: PLC0415 - the agent has columns too, and no numpy

    size = math.prod((shape,) if isinstance(shape, int) else shape) * np.dtype(dtype).itemsize
    if size <= OWN_BYTES:
        return np.zeros(shape, dtype)
    return np.ndarray(shape, dtype, buffer=_mapped(size))


def column(rows: int, dtype: DTypeLike, values: Callable[[slice], Any], width: int = 1) -> NDArray[Any]:
    """Return a new column [rows] of the results of `values` for slices of rows, which reads `width` values a row."""
    found = zeros(rows, dtype)
    for some in blocks(rows, width):
        found[some] = values(some)
    return found


def distinct(values: NDArray[Any]) -> NDArray[Any]:
    """Return what is different among values [n], in rising order."""
    import numpy as np  # noqa: PLC0415 - as above

    ordered, end = column(len(values), values.dtype, values.__getitem__), 0
    ordered.sort()
    for rows in blocks(len(ordered)):
        some = np.unique(ordered[rows])
        some = some[1:] if end and some[0] == ordered[end - 1] else some
        ordered[end : end + len(some)] = some
        end += len(some)
    return ordered[:end]


class Strings:
    """Some `count` byte strings in a file without a name, written once in their order. Raises OSError without room."""

    def __init__(self, strings: Iterable[bytes], count: int) -> None:
        self._ends = zeros(count + 1, "int64")
        end = 0
        with tempfile.TemporaryFile(prefix="goldwatch-") as file:
            for index, string in enumerate(strings, 1):
                file.write(string)
                end += len(string)
                self._ends[index] = end
            file.flush()
            self._memory = mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) if end else b""

    def __getitem__(self, rows: slice) -> list[bytes]:
        """Return those of some rows."""
        ends = self._ends[rows.start : rows.stop + 1].tolist()
        return [self._memory[start:end] for start, end in pairwise(ends)]


def numbers(values: Iterable[float], most: int) -> Sequence[float]:
    """Return floating numbers, `most` of them at most, in eight bytes each."""
    if 8 * most <= OWN_BYTES:
        return array("d", values)
    room = memoryview(_mapped(8 * most)).cast("d")
    count = 0
    for count, value in enumerate(values, 1):
        room[count - 1] = value
    return room[:count]


def ascending(values: Sequence[float]) -> Sequence[float]:
    """Return numbers in rising order: few as a list, many as a column that was sorted in place."""
    if 8 * len(values) <= OWN_BYTES:
        return sorted(values)
    import numpy as np  # noqa: PLC0415 - as above

    given = np.asarray(values)
    ordered = column(len(given), np.float64, lambda rows: given[rows])
    ordered.sort()
    return memoryview(ordered.data)


def _mapped(size: int) -> mmap.mmap:
    descriptor = open_file(size, OWN_BYTES)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _on_disk(size: int) -> int:
    with tempfile.TemporaryFile(prefix="goldwatch-") as file:
        # Writing to a page that a full disk has no room for would kill the process; so allocate all of them now.
        os.posix_fallocate(file.fileno(), 0, size)
        return os.dup(file.fileno())


def _in_memory(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("goldwatch", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile(prefix="goldwatch-") as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
