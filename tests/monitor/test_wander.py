"""How much days of a reference differ: found where they do, and nothing where the sample and the week explain it."""

from __future__ import annotations

import numpy as np
import pytest

from goldwatch.worker.monitors.season import Usual
from goldwatch.worker.monitors.wander import wander

DAYS = 28


def table(seed: int, spread: float, days: int = DAYS) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return rows whose days have levels of this standard deviation, and the hours that they are of."""
    random = np.random.default_rng(seed)
    hours = np.sort(random.integers(24 * days, size=400 * days))
    levels = random.normal(0, spread, days)[hours // 24] + 0.3 * (hours // 24 % 7 >= 5)
    amount = random.normal(np.sin(2 * np.pi * hours / 24) + levels, 1)
    shares = np.clip(0.2 + 0.4 * levels, 0, 1)
    kinds = np.where(random.random(len(hours)) < shares, "a", np.where(random.random(len(hours)) < 0.5, "b", "c"))
    return {"amount": amount, "kind": kinds.astype(object)}, hours


@pytest.mark.parametrize("seed", range(5))
def test_days_that_differ_are_found_and_others_are_not(seed: int) -> None:
    rows, hours = table(seed, 0.3)
    found = wander(Usual.of(rows, hours), rows, hours)
    # A level of 0.3 sd moves the mean place by about 0.3 / sqrt(2 (1 + 1/2)) / sqrt(2 pi) x 10/9.
    assert 0.04 < found["amount"] < 0.14
    rows, hours = table(seed, 0.0)
    assert wander(Usual.of(rows, hours), rows, hours) == {}


def test_a_reference_of_few_days_shows_nothing() -> None:
    rows, hours = table(0, 0.5, 10)
    assert wander(Usual.of(rows, hours), rows, hours) == {}
