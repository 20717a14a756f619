"""Limits how often extra work runs after a replay, since it is load too; survives restarts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeAlias

Key: TypeAlias = tuple[str, str]
"""Watch and target."""

LastAt: TypeAlias = Callable[[str, str, float], float | None]
"""Says when it was last done for a watch and target, after a Unix time, as the ledger knows it."""


class Seldom:
    """Knows when something was last done for each watch and target. Thread-safe."""

    def __init__(self) -> None:
        self._done_s: dict[Key, float] = {}

    def is_due(self, key: Key, every_s: float, last_at: LastAt) -> bool:
        """Say whether `every_s` seconds have passed; the ledger is asked once, for what was done before the start."""
        now_s = time.monotonic()
        if (done_s := self._done_s.get(key)) is None:
            now = time.time()
            at = last_at(*key, now - every_s)
            done_s = self._done_s[key] = -math.inf if at is None else now_s - max(now - at, 0.0)
        return now_s - done_s >= every_s

    def done(self, key: Key) -> None:
        """Say that it is done now."""
        self._done_s[key] = time.monotonic()
