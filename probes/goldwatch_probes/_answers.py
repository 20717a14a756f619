"""Parsing and checks that the answers of model servers share, whatever the protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from goldwatch.probe import BadAnswer, Looks, Tensors, TensorSpec, has_shape, looks, named_dtype


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """Parse the JSON of an answer. Raises BadAnswer."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer is not JSON: {str(error)[:100]}") from error


def parse_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises BadAnswer."""
    value = parse(body)
    if not isinstance(value, dict):
        raise BadAnswer(f"the answer is JSON, but a {type(value).__name__} and not an object")
    return value


def is_finite(value: object) -> bool:
    """Say whether a value of JSON is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_number(value: object) -> bool:
    """Say whether numpy takes a value of JSON as a float, which may be NaN."""
    return type(value) is float or is_finite(value)


CAN_IGNORE = "; if the metadata is wrong, set `metadata: ignore`"
"""The remedy of a probe with that option."""


def check_outputs(outputs: Tensors, specs: Sequence[TensorSpec], remedy: str = "") -> None:
    """Compare the outputs of an answer with what the metadata promised. Raises BadAnswer, with the `remedy`."""
    if not specs:
        return
    try:
        _check_outputs(looks(outputs), tuple(specs))
    except BadAnswer as error:
        raise BadAnswer(f"{error}{remedy}") from None


@lru_cache(maxsize=256)
def _check_outputs(found: Looks, specs: tuple[TensorSpec, ...]) -> None:
    """Check what outputs look like. Those of a golden set look alike, so one answer is checked for all of them."""
    known = {name: (dtype, shape) for name, dtype, shape in found}
    for spec in specs:
        if spec.name not in known:
            raise BadAnswer(f'no output "{spec.name}"; the answer has {", ".join(sorted(known)) or "none"}')
        _check_output(spec, *known[spec.name])


def declared_batch(sizes: Iterable[object]) -> int:
    """Return the one size of batch that a model takes, from the first axis of each input as the metadata declares it.

    0, for any, unless all inputs declare the same positive number: metadata are often written by hand.
    """
    found = set(sizes)
    size = found.pop() if len(found) == 1 else 0
    return size if type(size) is int and size > 0 else 0


def newest(versions: object) -> str:
    """Return the version that a server serves when none is asked for: the highest number, as Triton does."""
    if not isinstance(versions, list) or not versions:
        return ""
    names = [str(version)[:100] for version in versions]
    return max(names, key=int) if all(name.isdecimal() for name in names) else names[-1]


def text(value: object) -> str:
    """Return a text of the metadata, bounded; an empty one for anything else."""
    return value[:100] if isinstance(value, str) else ""


def _check_output(spec: TensorSpec, dtype: Any, whole: tuple[int, ...]) -> None:  # noqa: ANN401 - numpy.dtype
    if (found := named_dtype(dtype)) != spec.dtype:
        raise BadAnswer(f'output "{spec.name}" came as {found}, the metadata says {spec.dtype}')
    if not has_shape(whole, spec.whole):
        raise BadAnswer(f'output "{spec.name}" has shape {list(whole)}, the metadata says {list(spec.whole)} (-1: any)')
