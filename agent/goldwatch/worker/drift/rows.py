"""Parses raw requests into rows: the forms that model servers and loggers use. Runs in a worker.

| form | what it looks like |
|---|---|
| V1 (KServe, TensorFlow Serving) | `{"instances": [row, ...]}`, or by column `{"inputs": {NAME: [value, ...]}}` |
| V2 (Open Inference Protocol) | `{"inputs": [{"name": ..., "shape": [rows, ...], "data": [...]}, ...]}` |
| a row by itself | `{NAME: value, ...}` with the names of the golden set's inputs; other keys are ignored |
| a CloudEvent, structured | `{"specversion": "1.0", "data": any of the others, ...}`, or `data_base64` |
| a line of a log | `{"request": any of the others, ...}` |

A request is of the session, user or client whose key it holds (see `clusters`), at any of these levels; the innermost
counts. Nothing that comes from outside is an error: a row that cannot be read is counted, with the reason.
"""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.cloud_events import RESPONSE
from goldwatch.worker.drift.clusters import Key, together
from goldwatch.worker.drift.features import Input, Rows
from goldwatch.worker.drift.unreadable import UnreadableRequest

_DEPTH = 3
_MOST_REASONS = 5


@dataclass(slots=True)
class Read:
    """Rows that were read, and how many could not be, by reason.

    With a key `clusters` [rows] numbers what they are of, from 0 on, and `cut` counts the rows that were left out since
    their cluster has more than it may have.
    """

    rows: Rows
    count: int
    bad: Counter[str] = field(default_factory=Counter)
    clusters: NDArray[np.int64] | None = None
    cut: int = 0

    @property
    def reasons(self) -> dict[str, int]:
        """The commonest reasons why something could not be read."""
        return dict(self.bad.most_common(_MOST_REASONS))


def read(bodies: Iterable[bytes], inputs: Sequence[Input], most: int | None = None, key: Key | None = None) -> Read:
    """Read requests; of each, at most `most` rows, chosen by its content and not by its time.

    With a `key`, a row without it cannot be read. Identities stay in here.
    """
    found: list[dict[str, Any]] = []
    of: list[str] = []
    bad: Counter[str] = Counter()
    seed = 0
    for body in bodies:
        seed = zlib.crc32(body, seed)
        try:
            rows = list(_rows(_value(body), inputs, _DEPTH, key, None))
        except UnreadableRequest as error:
            bad[str(error)] += 1
            continue
        except RecursionError:
            bad["it is nested too deeply"] += 1
            continue
        if most is not None and len(rows) > most:
            rows = random.Random(zlib.crc32(body)).sample(rows, most)  # noqa: S311 - a sample, no secret
        for row, identity in rows:
            try:
                fitted = {i.name: _fitted(row.get(i.name), i) for i in inputs}
                if key is not None:
                    of.append(key.required(identity))
                found.append(fitted)
            except UnreadableRequest as error:
                bad[str(error)] += 1
            except RecursionError:
                bad["it is nested too deeply"] += 1
    if key is None:
        return Read(_columns(found, inputs), len(found), bad)
    kept, clusters = together(of, key.max_rows, seed)
    return Read(_columns([found[row] for row in kept], inputs), len(kept), bad, clusters, len(found) - len(kept))


def _value(body: bytes) -> Any:  # noqa: ANN401 - whatever was sent
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableRequest("it is not JSON") from None


def _rows(
    value: Any,  # noqa: ANN401 - see above
    inputs: Sequence[Input],
    depth: int,
    key: Key | None,
    identity: str | None,
) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Yield each row, and the identity that it or what it is in has; `identity` is that of what the value is in."""
    if not isinstance(value, dict):
        raise UnreadableRequest("it is no JSON object")
    if str(value.get("type", "")).rpartition(".")[2] == RESPONSE and "specversion" in value:
        return  # an answer, logged with its request
    if key is not None:
        identity = key.of(value) or identity
    if depth and (inner := _inside(value)) is not None:
        yield from _rows(inner, inputs, depth - 1, key, identity)
    elif isinstance(instances := value.get("instances"), list):
        for instance in instances:
            row = _row(instance, inputs)
            yield row, (key.of(row) if key is not None else None) or identity
    elif isinstance(tensors := value.get("inputs"), list) and all(
        isinstance(t, dict) and "shape" in t for t in tensors
    ):
        yield from ((row, identity) for row in _from_tensors(tensors, inputs))
    elif isinstance(columns := value.get("inputs"), dict):
        yield from ((row, identity) for row in _from_columns(columns, inputs))
    elif any(i.name in value for i in inputs):
        yield value, identity
    else:
        raise UnreadableRequest("it has neither instances nor inputs, nor a key with the name of an input")


def _inside(value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - see above
    """Return what an event or a line of a log carries, None for something else."""
    if "specversion" in value:
        if isinstance(encoded := value.get("data_base64"), str):
            try:
                return _value(base64.b64decode(encoded, validate=True))
            except ValueError as error:
                raise UnreadableRequest("the data of the event are not base64 of JSON") from error
        inner = value.get("data")
    else:
        inner = value.get("request")
    return _value(inner.encode("utf-8", "surrogatepass")) if isinstance(inner, str) else inner


def _row(instance: Any, inputs: Sequence[Input]) -> Mapping[str, Any]:  # noqa: ANN401 - see above
    """Return an instance by name of input; a bare value is that of the only input of the model."""
    if isinstance(instance, dict):
        return instance
    if len(inputs) != 1:
        raise UnreadableRequest("an instance has no names of inputs, and several are watched")
    return {inputs[0].name: instance}


def _from_columns(columns: Mapping[str, Any], inputs: Sequence[Input]) -> Iterator[Mapping[str, Any]]:
    wanted = {i.name: columns[i.name] for i in inputs if isinstance(columns.get(i.name), list)}
    if len({len(values) for values in wanted.values()}) != 1:
        raise UnreadableRequest("the columns of a request are missing, or of unequal length")
    yield from (dict(zip(wanted, values, strict=True)) for values in zip(*wanted.values(), strict=True))


def _from_tensors(tensors: Sequence[Mapping[str, Any]], inputs: Sequence[Input]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of tensors of the Open Inference Protocol: row-major, flat or nested, rows first."""
    by_name = {name: tensor for tensor in tensors if isinstance(name := tensor.get("name"), str)}
    wanted = {}
    for i in inputs:
        # A model with one input is often asked without its exact name.
        tensor = by_name.get(i.name, tensors[0] if len(inputs) == len(tensors) == 1 else None)
        if tensor is None:
            raise UnreadableRequest(f"it has no input {i.name}")
        wanted[i.name] = _tensor_rows(tensor, i)
    if len({len(values) for values in wanted.values()}) != 1:
        raise UnreadableRequest("the inputs of a request have unequal numbers of rows")
    yield from (dict(zip(wanted, values, strict=True)) for values in zip(*wanted.values(), strict=True))


def _tensor_rows(tensor: Mapping[str, Any], of: Input) -> list[Any]:
    data = tensor.get("data")
    if not isinstance(data, list):
        raise UnreadableRequest(f"input {of.name} has no data in JSON; binary tensors are not read")
    flat = list(_flat(data))
    width = 1 if of.text else of.values
    if not flat or len(flat) % width:
        raise UnreadableRequest(f"input {of.name} has {len(flat)} values, expected a multiple of {width}")
    return flat if of.text else [flat[at : at + width] for at in range(0, len(flat), width)]


def _fitted(value: Any, of: Input) -> Any:  # noqa: ANN401 - see above
    """Return a text, or a list of numbers as long as the input has values; what is missing is None or NaN."""
    if of.text:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # the same text in any notation, 1e16 too
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    flat = [None] * of.values if value is None else list(_flat(value))
    if len(flat) != of.values:
        raise UnreadableRequest(f"input {of.name} has {len(flat)} values, expected {of.values}")
    return [_number(each, of) for each in flat]


def _number(value: Any, of: Input) -> float:  # noqa: ANN401 - see above
    if value is None:
        return float("nan")
    if not isinstance(value, int | float):
        raise UnreadableRequest(f"input {of.name} holds a {type(value).__name__}, expected numbers")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _flat(value: Any) -> Iterator[Any]:  # noqa: ANN401 - see above
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _columns(found: Sequence[Mapping[str, Any]], inputs: Sequence[Input]) -> Rows:
    rows = {}
    for i in inputs:
        if i.text:
            rows[i.name] = np.array([row[i.name] for row in found], dtype=object)
        else:
            rows[i.name] = np.array([row[i.name] for row in found], dtype=np.float64).reshape(len(found), i.values)
    return rows
