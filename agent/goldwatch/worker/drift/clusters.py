"""Finds by a key which requests of a window are of one session, user or client, and keeps a few rows of each.

The key's value identifies people. It is compared within a window, in the worker, and goes nowhere else: not into a
reason, a verdict, a log or the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.worker.drift.unreadable import UnreadableRequest


@dataclass(frozen=True, slots=True)
class Key:
    """The key that rows of one cluster share: a name, or a path with dots. A window has `max_rows` of one at most."""

    key: str
    max_rows: int

    def of(self, value: Mapping[str, Any]) -> str | None:
        """Return what an event, a line, a request or a row has there; None for nothing."""
        found = value.get(self.key)
        if found is None and "." in self.key:
            found = _at(value, self.key.split("."))
        if found is None or found in ("", [], {}):
            return None
        return found if isinstance(found, str) else json.dumps(found, sort_keys=True)

    def required(self, identity: str | None) -> str:
        """Return an identity that was found. Raises UnreadableRequest if none was."""
        if identity is None:
            raise UnreadableRequest(f"it has no {self.key}, the key of live.clusters")
        return identity


def _at(value: Any, path: Sequence[str]) -> Any:  # noqa: ANN401 - whatever was sent
    """Return the value at a path, through mappings and JSON texts of such; header names match in any case."""
    for name in path:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        if not isinstance(value, Mapping):
            return None
        lower = name.lower()
        value = value[name] if name in value else next((value[k] for k in value if k.lower() == lower), None)
    return value


def together(identities: Sequence[str], max_rows: int, seed: int) -> tuple[list[int], NDArray[np.int64]]:
    """Return the rows that are kept, `max_rows` of each identity at most, and the numbers of their clusters [kept].

    Rows are chosen at random. The `seed` follows from the window, so the choice is the same if it is read again.
    """
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(identity, len(numbers)) for identity in identities], dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]  # by cluster, at random within each
    sizes = np.bincount(codes, minlength=len(numbers))
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.sort(order[rank < max_rows])
    return kept.tolist(), codes[kept]
