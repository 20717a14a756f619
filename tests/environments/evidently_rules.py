"""Evidently's data drift at its defaults, over windows of rows; run by the Python of `.venv-evidently`.

Reads and writes as alibi_rules.py does. Two rules: any column drifted, and half of them, the dataset.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def main(source, target):
    """Run the preset over every window."""
    data = np.load(source)
    columns = [f"column_{i}" for i in range(data["reference"].shape[1])]
    reference = pd.DataFrame(data["reference"], columns=columns)
    anything, whole = {}, {}
    for name in data.files:
        if name == "reference":
            continue
        counts = [drifted(reference, pd.DataFrame(window, columns=columns)) for window in data[name]]
        anything[name] = [count > 0 for count in counts]
        whole[name] = [count >= len(columns) / 2 for count in counts]
    Path(target).write_text(
        json.dumps({"data drift, any column (Evidently)": anything, "data drift, the dataset (Evidently)": whole})
    )


def drifted(reference, window):
    """Return how many columns the preset finds drifted."""
    snapshot = Report([DataDriftPreset()]).run(window, reference)
    for metric in snapshot.dict()["metrics"]:
        if metric["metric_name"].startswith("DriftedColumnsCount"):
            return int(metric["value"]["count"])
    raise SystemExit("the report has no count of drifted columns")


main(*sys.argv[1:])
