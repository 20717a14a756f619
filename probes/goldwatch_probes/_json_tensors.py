"""Tensors as servers write them that have no protocol of their own for it: nested lists in JSON.

Two layouts are in use. By rows there is one value for each example, an object by name where there are several tensors;
by columns there is one list for each tensor. Values carry no dtype, so it is either declared elsewhere or inferred:
bool, int64, float64 or text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.probe import BadAnswer, CannotLoad, Tensors, batch_size, dtype_name

# Kinds, as numpy infers them from JSON, that are accepted for a declared kind.
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "fiu", "O": "O"}


def nested(name: str, array: NDArray[Any], text: Callable[[bytes], Any] = bytes.decode) -> Any:  # noqa: ANN401
    """Return the values of an input as lists as deep as the array; `text` makes JSON of a byte string.

    Raises CannotLoad for bytes that are not UTF-8.
    """
    if dtype_name(array) != "bytes":
        return array.tolist()
    strings = [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel().tolist()]
    values = np.empty(array.size, dtype=object)
    try:
        values[:] = [text(value) for value in strings]
    except UnicodeDecodeError as error:
        raise CannotLoad(f'input "{name}" is not UTF-8 text, which JSON cannot carry') from error
    return values.reshape(array.shape).tolist()


def columns(inputs: Tensors, text: Callable[[bytes], Any] = bytes.decode) -> dict[str, Any]:
    """Return a list of each input by its name. Raises CannotLoad."""
    return {name: nested(name, array, text) for name, array in inputs.items()}


def rows(inputs: Tensors, *, named: bool, text: Callable[[bytes], Any] = bytes.decode) -> list[Any]:
    """Return one item an example: an object by name if `named`, else the value of the one input.

    Raises CannotLoad, also if the inputs have no common number of examples, or are several and not `named`.
    """
    size, lists = batch_size(inputs), columns(inputs, text)
    if named:
        return [{name: values[i] for name, values in lists.items()} for i in range(size)]
    if len(lists) != 1:
        raise CannotLoad(f"one input can be sent without its name; there are {', '.join(sorted(lists))}")
    return list(*lists.values())


def dump(value: Any) -> bytes:  # noqa: ANN401 - JSON is anything
    """Return the body of a request. Raises CannotLoad for a value that JSON cannot carry."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise CannotLoad("an input holds NaN or infinity, which JSON cannot carry") from error
    except TypeError as error:
        raise CannotLoad(f"an input cannot be written as JSON: {error}") from error


def outputs(value: Any, only: str, dtypes: Mapping[str, str] = {}) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    """Return the outputs of an answer by rows or by columns; `only` names the one that comes without a name.

    `dtypes` are those declared. Raises BadAnswer.
    """
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        value = _transposed(value)
    elif not isinstance(value, dict):
        value = {only: value}
    return {name: array(values, name, dtypes.get(name, "")) for name, values in value.items()}


def array(value: Any, name: str, dtype: str = "") -> NDArray[Any]:  # noqa: ANN401 - from outside
    """Return the values of an output as an array. Raises BadAnswer if they are ragged or not of `dtype`."""
    found = _inferred(value, name)
    if not dtype or found.dtype == dtype:
        return found
    wanted = np.dtype(object if dtype == "bytes" else dtype)
    if found.size and found.dtype.kind not in _KINDS[wanted.kind]:
        raise BadAnswer(f'output "{name}" has values that are no {dtype}')
    with np.errstate(over="ignore"):  # too large a float becomes infinity, which the caller refuses
        cast = found.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(cast, found):
        raise BadAnswer(f'output "{name}" has values that are no {dtype}')
    return cast


def _transposed(table: list[dict[str, Any]]) -> dict[str, Any]:
    names = table[0].keys()
    if any(row.keys() != names for row in table):
        raise BadAnswer("the examples of the answer do not all have the same outputs")
    return {name: [row[name] for row in table] for name in names}


def _inferred(value: Any, name: str) -> NDArray[Any]:  # noqa: ANN401 - from outside
    if not isinstance(value, list):
        raise BadAnswer(f'output "{name}" is {_brief(value)}, expected a list with one value an example')
    with suppress(ValueError, OverflowError):  # ragged, or text mixed with bytes: handled below
        found = np.array(value)
        if found.dtype.kind in "biuf":
            return found
    try:
        return _from_leaves(np.array(value, dtype=object), name)
    except ValueError as error:
        raise BadAnswer(f'output "{name}" is a list whose rows differ in length') from error


def _from_leaves(leaves: NDArray[Any], name: str) -> NDArray[Any]:
    """Return values that numpy cannot convert to numbers: text, or numbers in which null means NaN."""
    flat = leaves.ravel().tolist()
    if all(isinstance(leaf, (str, bytes)) for leaf in flat):
        text = np.empty(len(flat), dtype=object)
        text[:] = [leaf if isinstance(leaf, bytes) else leaf.encode("utf-8", "surrogatepass") for leaf in flat]
        return text.reshape(leaves.shape)
    if all(leaf is None or type(leaf) in (int, float) for leaf in flat):
        return leaves.astype(np.float64)
    odd = next(leaf for leaf in flat if type(leaf) not in (int, float))
    raise BadAnswer(f'output "{name}" holds {_brief(odd)} among its values, or rows that differ in length')


def _brief(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}..."
