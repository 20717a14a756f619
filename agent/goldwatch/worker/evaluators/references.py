"""What the answers of a language model are held against: reference texts, and the answers that count as right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from goldwatch.golden.lines import Lines
from goldwatch.scratch import Strings

_FEW = 1 << 12
"""Up to this number of examples, the texts are kept in memory."""

_BETWEEN = b"\xff"
"""What no text in UTF-8 holds."""

Reference = tuple[str, list[str]]
"""A reference text, and the answers that count as right."""


class References:
    """The texts of the examples of a set, whose lines are read once, however often they are asked for.

    Those of a large set are in a file; without room for it, its lines are read again each time. `decision`
    names the output; `labelled` is whether there are answers.
    """

    def __init__(self, lines: Lines, decision: str, *, labelled: bool) -> None:
        self._lines, self._decision, self._labelled = lines, decision, labelled
        self._few = list(self._read(slice(0, len(lines)))) if len(lines) <= _FEW else None
        self._many: Strings | None = None
        if self._few is None:
            with contextlib.suppress(OSError):
                self._many = Strings(map(_packed, self._read(slice(0, len(lines)))), len(lines))

    def __getitem__(self, rows: slice) -> list[Reference]:
        """Return those of some rows."""
        if self._few is not None:
            return self._few[rows]
        if self._many is not None:
            return [_unpacked(raw) for raw in self._many[rows]]
        return list(self._read(rows))

    def _read(self, rows: slice) -> Iterator[Reference]:
        for index in range(rows.start, rows.stop):
            line = self._lines[index]
            yield line["outputs"][self._decision], line["answers"] if self._labelled else []


def _packed(found: Reference) -> bytes:
    return _BETWEEN.join(text.encode("utf-8", "surrogatepass") for text in (found[0], *found[1]))


def _unpacked(raw: bytes) -> Reference:
    reference, *answers = (text.decode("utf-8", "surrogatepass") for text in raw.split(_BETWEEN))
    return reference, answers
