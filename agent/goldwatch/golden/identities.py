"""The names that people know examples by, such as a file name or a row key, in a file of their own.

The file is optional and has one JSON object a line, in the order of the examples: `{"identity": "img_0017.png"}`, with
an empty text for an example without a name. Readers that do not know the file only verify its digest.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden.error import GoldenError
from goldwatch.golden.lines import Lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDENTITIES = "identities.jsonl"
KEY = "identity"
MAX_LETTERS = 200

_EXCERPT = 60


def as_lines(identities: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield what the file holds."""
    return ({KEY: identity} for identity in identities)


def line_problem(found: Mapping[str, Any]) -> str:
    """Return what is wrong with the identity of one example, empty if nothing is or it has none."""
    value = found.get(KEY, "")
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return ""
    if not isinstance(value, str):
        return f"{KEY} must be a text or a whole number, such as a file name or the key of a row"
    if len(value) > MAX_LETTERS:
        return f"{KEY} has {len(value):,} characters, expected up to {MAX_LETTERS}; write a file name or a key"
    return ""


def of_line(found: Mapping[str, Any]) -> str:
    """Return the identity of one example, empty if it has none."""
    value = found.get(KEY)
    return "" if value is None else str(value)


def of_lines(lines: Lines) -> list[str]:
    """Return the identities of all examples, nothing if none of them has one. Raises GoldenError."""
    found = [of_line(line) for line in lines]
    return found if any(found) else []


def of_array(file: Path, values: NDArray[Any]) -> list[str]:
    """Return the identities in an array [n] of a file. Raises GoldenError if it is no column of texts or numbers."""
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise GoldenError(file, f"{KEY} is {values.dtype} {list(values.shape)}; expected [n] texts or whole numbers")
    found = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]
    for index, identity in enumerate(found):
        if problem := line_problem({KEY: identity}):
            raise GoldenError(file, f"example {index}: {problem}")
    return found


def problems(lines: Lines, examples: int) -> Iterator[str]:
    """Yield what is wrong with the file: its length, and the first bad line."""
    if len(lines) != examples:
        yield f"{IDENTITIES} has {len(lines):,} lines, golden.json says {examples:,} examples; freeze the set again"
    for index in range(len(lines)):
        try:
            line = lines[index]
        except GoldenError as error:
            yield error.problems[0]
            return
        problem = line_problem(line) or ("" if line.keys() == {KEY} else f"expected an object with {KEY} alone")
        if problem:
            yield f"{IDENTITIES}:{index + 1}: {problem}; correct it and freeze the set again"
            return


def excerpt(text: str, kind: str) -> str:
    """Return the beginning of a text input on one line; of a JSON value (`kind` is "json") that of its longest text."""
    if kind == "json":
        with contextlib.suppress(ValueError):
            text = max(_texts(json.loads(text)), key=len, default=text)
    plain = " ".join(text.split())
    return f"{plain[:_EXCERPT]}..." if len(plain) > _EXCERPT else plain


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
