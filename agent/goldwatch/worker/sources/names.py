"""A column of names, such as labels or slices, of which each different one is kept once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.scratch import blocks, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_NAMES = 10_000
"""Of different labels, or values of a slice: more are no classes."""


class Names:
    """The names [n] of n examples; an example that none was set for has the empty one."""

    def __init__(self, n: int) -> None:
        self._known: dict[str, int] = {"": 0}
        self._codes: NDArray[Any] = zeros(n, np.int64)

    def __setitem__(self, row: int, name: str) -> None:
        self._codes[row] = self._known.setdefault(name, len(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def missing(self, rows: slice) -> list[int]:
        """Return those of some rows that have no name."""
        return [rows.start + int(i) for i in np.flatnonzero(self._codes[rows] == 0)]

    def array(self) -> NDArray[Any]:
        """Return the names as an array of text [n]."""
        names = np.array(list(self._known))
        found = zeros(len(self._codes), names.dtype)
        for rows in blocks(len(found)):
            found[rows] = names[self._codes[rows]]
        return found
