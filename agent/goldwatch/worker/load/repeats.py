"""Asking for the same example twice: the check of MLPerf's referees for a cache of responses, as a phase of its own.

A golden set is the same requests each time, so a cache may hold them since the replay before, and both would be quick.
So each pair asks for an example that was altered so little that the work is the same, and that was never sent before:
if the second answer comes much sooner than the first, it was not computed. The answers are not compared with anything.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.ipc.columns import Columns
from goldwatch.probe import Probe, Tensors, example
from goldwatch.worker.load.asking import clock_ns, times_of
from goldwatch.worker.load.pace import Pace
from goldwatch.worker.load.requests import Requests

_NOISE = 1e-3
_NONCE = 2**40


def ask_twice(
    probe: Probe, inputs: Tensors, columns: Columns, pairs: int, pace: Pace, chance: np.random.Generator, batch: int = 0
) -> list[tuple[int, int]]:
    """Return the latencies in nanoseconds of the first and the second request of each pair.

    `pairs` examples are spread evenly over the replay's. Nothing comes of one that fails, or cannot be altered, and of
    those that are left once the target has no room. `batch` is the one size of batch that the model takes, 0 for any.
    Raises what the probe raises while it encodes.
    """
    rows, times = columns.layout.rows, times_of(probe)
    requests = Requests(probe, inputs, batch)
    found: list[tuple[int, int]] = []
    for row in sorted({i * rows // pairs for i in range(pairs)}):
        new = altered(example(inputs, columns.example[row]), chance)
        if new is None:
            return found
        request = requests.encode_batch(new)
        taken = []
        for _ in range(2):
            if columns.held:
                return found
            pace.wait()
            columns.begin(0, row, clock_ns())  # of a row that has its outcome: losing this request changes nothing
            sent_ns = clock_ns()
            try:
                response = probe.predict(request)
                sent_ns, came_ns = times(response, sent_ns, clock_ns())
                taken.append(came_ns - sent_ns)
            except Exception:  # the replay before has counted what ails the target
                break
            finally:
                columns.end(0)
            pace.answered(response)
        if len(taken) == 2:
            found.append((taken[0], taken[1]))
    return found


def altered(inputs: Tensors, chance: np.random.Generator) -> Tensors | None:
    """Return an example that is new and the same work: one of its inputs differs a little. None if none can be."""
    for name, value in inputs.items():
        array = np.asarray(value)
        if (new := _number(array, chance)) is None:
            new = _text(array, chance)
        if new is not None:
            return {**inputs, name: new}
    return None


def _number(array: NDArray[Any], chance: np.random.Generator) -> NDArray[Any] | None:
    if array.size and array.dtype.kind == "f":
        noise = 1 + _NOISE * chance.standard_normal(array.shape)
        return np.asarray(np.where(array == 0, _NOISE * (noise - 1), array * noise), dtype=array.dtype)
    if array.size and array.dtype.kind in "iu":
        # A few values go down by one, which an index of a vocabulary and a shade of grey both can; a zero cannot.
        able = np.flatnonzero(array > 0)
        if able.size:
            new = array.copy()
            new.reshape(-1)[chance.choice(able, size=max(1, able.size // 8), replace=False)] -= 1
            return np.asarray(new)
    return None


def _text(array: NDArray[Any], chance: np.random.Generator) -> NDArray[Any] | None:
    if array.shape[:1] != (1,) or array.size != 1 or not isinstance(text := array.reshape(-1)[0], str):
        return None
    new = _with_nonce(text, f"[{int(chance.integers(_NONCE))}] ")
    if new is None:
        return None
    found = np.empty(array.shape, dtype=object)
    found.reshape(-1)[0] = new
    return found


def _with_nonce(text: str, nonce: str) -> str | None:
    """Return a prompt with a number before it, or chat messages with it before the first that has text."""
    if not text.lstrip().startswith(("[", "{")):
        return nonce + text
    try:
        messages = json.loads(text)
    except ValueError:
        return nonce + text
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and isinstance(content := message.get("content"), str):
            message["content"] = nonce + content
            return json.dumps(messages, ensure_ascii=False)
    return None
