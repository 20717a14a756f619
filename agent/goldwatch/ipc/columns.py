"""The columns of observations of one replay, in memory that agent and worker share, or in a file if they are large.

The worker writes each row as it happens, so that a crash, a hang or a kill loses nothing but the request in flight,
and the agent can see from outside how long each request has been in flight. Layout: eight 64-bit words of progress,
two words for each request that may be in flight, then one block a column. The agent reads it with the standard library
alone; `array` needs numpy.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from goldwatch import scratch
from goldwatch.probe import TensorSpec, kept_as

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ITEM_BYTES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4}
_ITEM_BYTES |= {"float32": 4, "int64": 8, "uint64": 8, "float64": 8}
FINISH_BYTES = 16
"""The bytes kept of the reason why a language model stopped."""

_TOKENS = ("first_token_ns", "next_token_ns", "input_tokens", "output_tokens")
MAX_GAPS = 64
"""The times between tokens kept of an answer. A longer answer keeps as many evenly spaced ones of its sorted times."""

_UNKNOWN = b"\xff" * 8
"""-1 as a number of 64 bits."""

_HEADER_BYTES = 64
_FLIGHT_BYTES = 16
MOST_IN_FLIGHT = 256
"""The most requests at a time."""

OWN_BYTES = 1 << 24
"""Columns up to this size, some 250,000 rows of ten numbers, lie in memory: no disk is near the usual replay."""

_ALIGN = 64


class Phase(IntEnum):
    """The worker's current phase of the replay."""

    STARTING = 0
    OPENING = 1
    WARMING_UP = 2
    REPLAYING = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """Number of rows, the outputs kept for each, and whether what its tokens were is kept too.

    The batch axis of the outputs is the row.
    """

    rows: int
    outputs: tuple[TensorSpec, ...]
    tokens: bool = False

    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> dtype and shape of every column, in memory order.

        Times are nanoseconds of the monotonic clock. `latency_ns` is from `sent_ns` to the whole answer,
        `dispatch_delay_ns` from when an open load meant to send to `sent_ns`, and `late_ns` the part of that delay that
        is goldwatch's own: the rest is waiting for one of the requests in flight to be answered. A request of several
        examples has as many rows, all with the same times. Tokens are -1 if the answer has no count. `first_unknown`
        and `next_unknown` count from 1 in `TIME_UNKNOWN`. `gaps_s` are ascending seconds, 0 after the last.
        """
        fixed = {
            "example": ("int64", (self.rows,)),
            "sent_ns": ("int64", (self.rows,)),
            "latency_ns": ("int64", (self.rows,)),
            "dispatch_delay_ns": ("int64", (self.rows,)),
            "late_ns": ("int64", (self.rows,)),
            "outcome": ("uint8", (self.rows,)),
        }
        if self.tokens:
            fixed |= dict.fromkeys(_TOKENS, ("int64", (self.rows,)))
            fixed["finish"] = (f"S{FINISH_BYTES}", (self.rows,))
            fixed |= dict.fromkeys(("first_unknown", "next_unknown"), ("uint8", (self.rows,)))
        gaps: dict[str, tuple[str, tuple[int, ...]]] = (
            {"gaps_s": ("float64", (self.rows, MAX_GAPS))} if self.tokens else {}
        )
        outputs = {f"output.{spec.name}": (kept_as(spec.dtype), (self.rows, *spec.shape)) for spec in self.outputs}
        return fixed | gaps | outputs


class Columns:
    """A mapped block of shared memory with a layout."""

    def __init__(self, fd: int, layout: Layout) -> None:
        """Map `fd`, which the columns then own; it must be large enough for the layout."""
        self.fd = fd
        self.layout = layout
        self._offsets, size = _offsets(layout)
        self._memory = mmap.mmap(fd, size)
        self._words = memoryview(self._memory)[:_HEADER_BYTES].cast("q")
        self._flights = memoryview(self._memory)[_HEADER_BYTES:][: _FLIGHT_BYTES * MOST_IN_FLIGHT].cast("q")
        self.example = self.integers("example")
        self.sent_ns = self.integers("sent_ns")
        self.latency_ns = self.integers("latency_ns")
        self.dispatch_delay_ns = self.integers("dispatch_delay_ns")
        self.late_ns = self.integers("late_ns")
        self.outcome = memoryview(self._memory)[self._offsets["outcome"] :][: layout.rows]

    @classmethod
    def create(cls, layout: Layout, examples: Sequence[int]) -> Columns:
        """Make new columns for a replay of `examples`, one a row."""
        columns = cls(scratch.open_file(_offsets(layout)[1], OWN_BYTES), layout)
        for name in _TOKENS if layout.tokens else ():
            start = columns._offsets[name]
            for rows in scratch.blocks(layout.rows):
                columns._memory[start + 8 * rows.start : start + 8 * rows.stop] = _UNKNOWN * (rows.stop - rows.start)
        for row, example in enumerate(examples):
            columns.example[row] = example
        return columns

    @property
    def phase(self) -> Phase:
        """The current phase."""
        return Phase(self._words[0])

    @property
    def since_ns(self) -> int:
        """When the worker began its present phase, or request of warm-up, by the monotonic clock."""
        return self._words[1]

    def progress(self, phase: Phase, now_ns: int) -> None:
        """Say what the worker does now, and since when."""
        words = self._words
        words[0] = phase
        words[1] = now_ns

    @property
    def held(self) -> bool:
        """Whether the agent wants no further request to be sent for now."""
        return bool(self._words[2])

    def hold(self, *, on: bool) -> None:
        """Say from the agent whether the worker is to wait before its next request."""
        self._words[2] = on

    def begin(self, flight: int, row: int, now_ns: int) -> None:
        """Mark the request of `row` as in flight, from the worker; `flight` is its slot, from 0."""
        flights = self._flights
        flights[2 * flight] = row
        flights[2 * flight + 1] = now_ns

    def end(self, flight: int) -> None:
        """Mark the request of a slot as ended, from the worker."""
        self._flights[2 * flight + 1] = 0

    def forget_flights(self) -> None:
        """Clear the requests in flight: the worker that sent them has ended."""
        for flight in range(MOST_IN_FLIGHT):
            self.end(flight)

    def flights(self) -> list[tuple[int, int]]:
        """Return the first row of each request in flight, and since when."""
        words = self._flights.tolist()
        return [(row, since_ns) for row, since_ns in zip(words[::2], words[1::2], strict=True) if since_ns]

    def array(self, name: str) -> NDArray[Any]:
        """Return a view of a column as a numpy array."""
        import numpy as np  # noqa: PLC0415 - the agent itself stays without numpy

        dtype, shape = self.layout.columns()[name]
        return np.ndarray(shape, dtype, buffer=self._memory, offset=self._offsets[name])

    def text(self, name: str, row: int) -> str:
        """Return the text of a row in a column of bytes."""
        size = int(self.layout.columns()[name][0][1:])
        start = self._offsets[name] + row * size
        return self._memory[start : start + size].rstrip(b"\0").decode("utf-8", "replace")

    def close(self) -> None:
        """Let go of the memory; views that are still alive keep the mapping, not the descriptor."""
        for view in (self._words, self._flights, self.example, self.sent_ns, self.latency_ns, self.outcome):
            view.release()
        for view in (self.dispatch_delay_ns, self.late_ns):
            view.release()
        with contextlib.suppress(BufferError):  # a numpy view is still in use; the mapping goes with it
            self._memory.close()
        os.close(self.fd)

    def gaps_s(self, row: int) -> list[float]:
        """Return the times kept between the tokens of an answer, ascending."""
        start = self._offsets["gaps_s"] + 8 * MAX_GAPS * row
        with memoryview(self._memory)[start : start + 8 * MAX_GAPS].cast("d") as view:
            return [gap for gap in view.tolist() if gap]

    def integers(self, name: str) -> memoryview[int]:
        """Return a view of a column of whole numbers, for the caller to release before the columns are closed."""
        start = self._offsets[name]
        return memoryview(self._memory)[start : start + 8 * self.layout.rows].cast("q")


def _offsets(layout: Layout) -> tuple[dict[str, int], int]:
    offsets = {}
    end = _HEADER_BYTES + _FLIGHT_BYTES * MOST_IN_FLIGHT
    for name, (dtype, shape) in layout.columns().items():
        offsets[name] = end
        size = (int(dtype[1:]) if dtype.startswith("S") else _ITEM_BYTES[dtype]) * math.prod(shape)
        end += _aligned(size)
    return offsets, end


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
