"""The scoring service's own code: the income in euros by the rates of the day, then a logistic regression."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float64]"


MADE = Path(__file__).parent / "made"


def load() -> Callable[[Mapping[str, Array]], Array]:
    """Return the model: applications [n, 4] (country, income in its currency, loan, late payments) to [n, 2]."""
    weights: Mapping[str, Any] = np.load(MADE / "model.npz")
    of_the_day = json.loads((MADE / "rates.json").read_text())

    def probabilities(inputs: Mapping[str, Array]) -> Array:
        sums = features(inputs["application"], of_the_day) @ weights["weights"] + weights["bias"]
        repaid = 1 / (1 + np.exp(-sums))
        return np.stack([1 - repaid, repaid], axis=1)

    return probabilities


def features(applications: Array, rates: Mapping[str, float]) -> Array:
    """Return log income in euros, log loan in euros and late payments, [n, 3]."""
    rate = np.array([rates[str(int(country))] for country in applications[:, 0]])
    return np.stack([np.log(applications[:, 1] * rate), np.log(applications[:, 2]), applications[:, 3]], axis=1)
