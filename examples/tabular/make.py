"""Make up credit applications, train a model on them, and write it with the examples for its golden set.

`python make.py` writes `made/model.npz`, `made/rates.json` and `made/examples.npz`. `python make.py --damage` writes
`made/rates.json` again with an old rate for one currency, as a feed that stopped would leave it.

The applications are synthetic: 4,000 from one seed, in three countries with a currency each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scoring import features  # type: ignore[import-not-found]  # the folder of this file is on its path
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

MADE = Path(__file__).parent / "made"
COUNTRIES = ("France", "Japan", "Poland")
RATES = {"0": 1.0, "1": 0.006, "2": 0.23}  # euros
OLD_RATES = RATES | {"2": 0.15}
APPLICATIONS, HELD_OUT = 4000, 1500


def main() -> None:
    """Write the rates; without `--damage` the model and the examples too."""
    MADE.mkdir(exist_ok=True)
    if "--damage" in sys.argv[1:]:
        (MADE / "rates.json").write_text(json.dumps(OLD_RATES))
        return
    (MADE / "rates.json").write_text(json.dumps(RATES))
    random = np.random.default_rng(21)
    country = random.choice(3, APPLICATIONS, p=(0.5, 0.35, 0.15))
    income, loan = random.lognormal(8.1, 0.4, APPLICATIONS), random.lognormal(9.6, 0.5, APPLICATIONS)  # in euros
    late = random.poisson(0.6, APPLICATIONS)
    surplus = 5 * (np.log(income) - 8.1) - 3 * (np.log(loan) - 9.6) - 0.8 * (late - 0.6)
    repaid = (surplus + random.logistic(0, 0.5, APPLICATIONS) > -0.5).astype(np.int64)
    rate = np.array(list(RATES.values()))[country]
    application = np.stack([country, income / rate, loan, late], axis=1)

    seen = features(application[HELD_OUT:], RATES)
    scaler = StandardScaler().fit(seen)
    model = LogisticRegression().fit(scaler.transform(seen), repaid[HELD_OUT:])
    weights = model.coef_[0] / scaler.scale_
    np.savez(MADE / "model.npz", weights=weights, bias=model.intercept_[0] - scaler.mean_ @ weights)
    labels = np.array(["default", "repaid"])[repaid[:HELD_OUT]]
    countries = np.array(COUNTRIES)[country[:HELD_OUT]]
    examples: dict[str, Any] = {"application": application[:HELD_OUT], "labels": labels, "slice.country": countries}
    np.savez(MADE / "examples.npz", **examples)


if __name__ == "__main__":
    main()
