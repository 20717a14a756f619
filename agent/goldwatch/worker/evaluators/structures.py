"""How far JSON answers are from those of a reference: lists of any length, such as boxes, and objects."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_MAX_PAIRS = 4096
"""Answers with more pairs of items are compared place by place: aligning nested lists takes their product."""

_MAX_DIGITS = 300
"""A longer integer is no float."""


def read(text: bytes | str) -> Any:  # noqa: ANN401 - JSON is anything
    """Parse a kept answer; what is no JSON, or has a number that is not finite or too long, is a text."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
    except (ValueError, RecursionError):
        return text if isinstance(text, str) else text.decode("utf-8", "replace")


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no number that can be compared")


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _refuse(text)


def _bounded(text: str) -> int:
    return int(text) if len(text) <= _MAX_DIGITS else _refuse(text)


def largest_difference(a: Any, b: Any) -> float | None:  # noqa: ANN401
    """Return the largest absolute difference of two numbers in the same place; None if the structures differ."""
    if _is_number(a) and _is_number(b):
        return float(abs(a - b))  # exact for whole numbers, which may be longer than a float holds
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return _largest([largest_difference(x, y) for x, y in zip(a, b, strict=True)])
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return _largest([largest_difference(a[name], b[name]) for name in a])
    return 0.0 if type(a) is type(b) and a == b else None


def distance(a: Any, b: Any, tolerance: float, *, aligned: bool = True) -> float:  # noqa: ANN401
    """Return how far two values are apart, from 0 to 1; two that differ by no more than the tolerance by 0.

    Numbers x and y are |x - y| / (|x| + |y|) apart, whole ones 1, since they count or name something. Objects: the mean
    over all their keys, a missing one is 1. Lists: the least sum over all ways to align them in order, an item without
    a partner is 1, divided by the longer length (an edit distance, Wagner and Fischer 1974); lists of numbers, and all
    lists if there are too many pairs or `aligned` is False, place by place instead. Anything else: 0 or 1.
    """
    found = largest_difference(a, b)
    if found is not None and found <= tolerance:
        return 0.0
    if _is_number(a) and _is_number(b):
        return (
            1.0
            if isinstance(a, int) and isinstance(b, int)
            else min(1.0, abs(a / 2 - b / 2) / (abs(a / 2) + abs(b / 2)))
        )
    if isinstance(a, list) and isinstance(b, list):
        return _apart(a, b, tolerance, aligned=aligned and _items(a) * _items(b) <= _MAX_PAIRS)
    if isinstance(a, dict) and isinstance(b, dict):
        names = a.keys() | b.keys()
        apart = [distance(a[n], b[n], tolerance, aligned=aligned) if n in a and n in b else 1.0 for n in names]
        return sum(apart) / len(names)
    return 1.0


def _apart(a: list[Any], b: list[Any], tolerance: float, *, aligned: bool) -> float:
    longer = max(len(a), len(b))
    if not aligned or all(map(_is_number, (*a, *b))):
        apart = [distance(x, y, tolerance, aligned=aligned) for x, y in zip(a, b, strict=False)]
        return (sum(apart) + abs(len(a) - len(b))) / longer
    costs = [float(i) for i in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        before, costs[0] = costs[0], float(i)
        for j, y in enumerate(b, 1):
            least = min(before + distance(x, y, tolerance), costs[j] + 1, costs[j - 1] + 1)
            before, costs[j] = costs[j], least
    return costs[-1] / longer


def _items(value: Any) -> int:  # noqa: ANN401
    """Count the values that may be aligned; a short list of numbers is one, such as a box."""
    if isinstance(value, dict):
        return sum(map(_items, value.values())) or 1
    if not isinstance(value, list):
        return 1
    return max(1, len(value) // 8) if all(map(_is_number, value)) else sum(map(_items, value))


def _largest(found: list[float | None]) -> float | None:
    known = [each for each in found if each is not None]
    return max(known, default=0.0) if len(known) == len(found) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
