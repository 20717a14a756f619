"""alibi-detect's detectors at their defaults, over windows of rows; run by the Python of `.venv-alibi`.

Reads a .npz of `reference` [rows, columns] and windows [n, rows, columns] by the name of a change; writes JSON: for
each rule and name, whether each window is flagged.
"""

import json
import sys
from pathlib import Path

import numpy as np
from alibi_detect.cd import CVMDrift, KSDrift

RULES = {"KSDrift (alibi-detect)": KSDrift, "CVMDrift (alibi-detect)": CVMDrift}


def main(source, target):
    """Run every rule over every window."""
    data, found = np.load(source), {}
    for rule, make in RULES.items():
        detector = make(data["reference"], p_val=0.05)
        found[rule] = {
            name: [bool(detector.predict(window)["data"]["is_drift"]) for window in data[name]]
            for name in data.files
            if name != "reference"
        }
    Path(target).write_text(json.dumps(found))


main(*sys.argv[1:])
