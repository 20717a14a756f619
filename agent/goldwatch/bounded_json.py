"""Parse JSON from outside in bounded memory and time: small values take thirty times the memory of their text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MAX_CONTAINERS = 200_000
"""Objects and lists in one text, and brackets within its strings. Thousands of watches, or tensors, need fewer."""
MAX_VALUES = 1_000_000
"""Values in one text, and commas within its strings."""


def parse_json(raw: bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:  # noqa: ANN401 - whatever it holds
    """Return the value of a JSON text; `hook` makes objects, as `object_pairs_hook` does.

    Raises ValueError if it is no JSON, is nested too deeply or holds too many values, before memory is spent on them.
    """
    containers, values = raw.count(b"{") + raw.count(b"["), 1 + raw.count(b",")
    if containers > MAX_CONTAINERS:
        raise ValueError(f"{containers:,} objects and lists, the most is {MAX_CONTAINERS:,}")
    if values > MAX_VALUES:
        raise ValueError(f"{values:,} values, the most is {MAX_VALUES:,}")
    try:
        return json.loads(raw.decode(), object_pairs_hook=hook)
    except RecursionError:
        raise ValueError("nested too deeply") from None
