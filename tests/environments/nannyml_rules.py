"""NannyML's univariate drift at its defaults, over chunks of rows; run by the Python of `.venv-nannyml`.

Reads and writes as alibi_rules.py does. A window is a chunk, and flagged if any column of it is.
"""

import json
import sys
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd


def main(source, target):
    """Run the calculator over the windows of each change."""
    data, found = np.load(source), {}
    columns = [f"column_{i}" for i in range(data["reference"].shape[1])]
    rows = data["none"].shape[1]
    calculator = nannyml.UnivariateDriftCalculator(column_names=columns, chunk_size=rows)
    calculator.fit(pd.DataFrame(data["reference"], columns=columns))
    for name in data.files:
        if name == "reference":
            continue
        table = calculator.calculate(pd.DataFrame(np.concatenate(data[name]), columns=columns)).to_df()
        analysed = table[table[("chunk", "chunk", "period")] == "analysis"]
        alerts = analysed.loc[:, [column for column in analysed.columns if column[-1] == "alert"]]
        found[name] = alerts.any(axis=1).tolist()
    Path(target).write_text(json.dumps({"univariate drift, any column (NannyML)": found}))


main(*sys.argv[1:])
