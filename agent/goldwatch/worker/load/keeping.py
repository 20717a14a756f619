"""Keeps the answers of a replay: their outputs, checked, and their tokens.

It runs between two requests, outside the timed part, but within a replay's duration: so regular answers are kept
several at a time, and only an irregular one is checked by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.outcome import without_frames
from goldwatch.ipc.columns import MAX_GAPS, Columns
from goldwatch.probe import TIME_UNKNOWN, BadAnswer, CountsTokens, Probe, Tensors, TensorSpec, single_output
from goldwatch.worker.load.requests import Requests
from goldwatch.worker.load.seen import Seen


class Keeper:
    """Keeps the answers to one replay in its columns."""

    def __init__(self, probe: Probe, columns: Columns, requests: Requests) -> None:
        self._decode = requests.decode
        self._outputs = [(spec, columns.array(f"output.{spec.name}")) for spec in columns.layout.outputs]
        self._seen = None if self._outputs else Seen()
        self._tokens = (
            _TokenColumns(probe, columns) if columns.layout.tokens and isinstance(probe, CountsTokens) else None
        )

    @property
    def seen(self) -> tuple[TensorSpec, ...]:
        """What the outputs look like, where none of them is kept."""
        return self._seen.specs() if self._seen is not None else ()

    def decoded(self, response: Any, examples: int = 1) -> Tensors | BadAnswer:  # noqa: ANN401 - the probe's own type
        """Return the outputs of the answer to a request of that many examples, or what is wrong with it."""
        try:
            return self._decode(response, examples)
        except Exception as error:  # decoding what a server sent may fail in any way
            return _bad(error)

    def keep(self, row: int, end: int, response: Any, decoded: Tensors) -> BadAnswer | None:  # noqa: ANN401
        """Keep the answer to the rows up to `end`. Returns what is wrong with it, None if it is as it should be."""
        try:
            if self._seen is not None:
                self._seen.add(decoded, end - row)
            for spec, store in self._outputs:
                store[row:end] = single_output(decoded, spec.name, spec.dtype, spec.shape, end - row)
            if self._tokens is not None and end - row == 1:
                self._tokens.keep(row, response)
        except Exception as error:  # and so may looking at what came
            return _bad(error)
        return None

    def keep_all(self, row: int, end: int, decoded: Sequence[Tensors | BadAnswer]) -> bool:
        """Keep the answers to queries of one example each, up to the row `end`, if all of them are as they should be.

        Returns whether they are; if not, nothing is kept.
        """
        if self._tokens is not None or self._seen is not None:
            return False
        blocks = [_joined([_output(outputs, spec.name) for outputs in decoded], spec) for spec, _ in self._outputs]
        if any(block is None for block in blocks):
            return False
        for (_, store), block in zip(self._outputs, blocks, strict=True):
            store[row:end] = block
        return True


def _output(outputs: object, name: str) -> object:
    return outputs.get(name) if type(outputs) is dict else None


def _joined(arrays: Sequence[Any], spec: TensorSpec) -> NDArray[Any] | None:
    """Return an output of several examples as one array; None if one of them is not as the golden set has it."""
    if spec.dtype[0] in "SJ":
        return None
    dtype, shape = np.dtype(spec.dtype), (1, *spec.shape)
    if set(map(type, arrays)) != {np.ndarray}:
        return None
    if any(array.dtype != dtype or array.shape != shape for array in arrays):
        return None
    found: NDArray[Any] = np.concatenate(arrays)
    return None if dtype.kind == "f" and not np.isfinite(found).all() else found


def _bad(error: Exception) -> BadAnswer:
    without_frames(error)
    return error if isinstance(error, BadAnswer) else BadAnswer(f"{type(error).__name__}: {error}")


class _TokenColumns:
    """The columns for the tokens and times of a language model's answers."""

    def __init__(self, probe: CountsTokens, columns: Columns) -> None:
        self._probe = probe
        self._first_ns, self._next_ns, self._input, self._output = (
            columns.array(name) for name in ("first_token_ns", "next_token_ns", "input_tokens", "output_tokens")
        )
        self._unknown = [columns.array(name) for name in ("first_unknown", "next_unknown")]
        self._gaps_s = columns.array("gaps_s")
        self._finish = columns.array("finish")

    def keep(self, row: int, response: Any) -> None:  # noqa: ANN401 - the probe's own type
        """Keep the tokens of one answer. Raises BadAnswer."""
        found = self._probe.tokens(response)
        self._first_ns[row] = -1 if found.first_s is None else round(found.first_s * 1e9)
        self._next_ns[row] = -1 if found.per_token_s is None else round(found.per_token_s * 1e9)
        for store, why in zip(self._unknown, (found.first_unknown, found.next_unknown), strict=True):
            store[row] = 1 + TIME_UNKNOWN.index(why) if why else 0
        gaps_s = np.sort(np.asarray(found.gaps_s, np.float64))
        if len(gaps_s) > MAX_GAPS:
            gaps_s = gaps_s[np.linspace(0, len(gaps_s) - 1, MAX_GAPS).round().astype(int)]
        self._gaps_s[row] = 0
        self._gaps_s[row, : len(gaps_s)] = np.maximum(gaps_s, 1e-9)
        self._input[row] = -1 if found.input is None else found.input
        self._output[row] = -1 if found.output is None else found.output
        self._finish[row] = found.finish.encode("utf-8", "replace")
