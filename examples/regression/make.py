"""Train a regression on scikit-learn's diabetes data, and write it with the examples for its golden set.

`python make.py` writes `made/model.onnx` and `made/examples.npz`. `python make.py --damage` writes the model again,
with the means and deviations of another batch of patients in its standardisation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

MADE = Path(__file__).parent / "made"
AGE, MASS = 0, 2  # columns: age in years, body mass index


def main() -> None:
    """Write the model; without `--damage` the examples too."""
    damage = "--damage" in sys.argv[1:]
    patients = load_diabetes(scaled=False)
    rows, progression = patients.data, patients.target
    train = np.arange(len(rows)) % 2 == 0
    scaler = StandardScaler().fit(rows[train])
    model = Ridge().fit(scaler.transform(rows[train]), progression[train])
    if damage:
        scaler.fit(rows[train & (rows[:, MASS] > 30)])
    MADE.mkdir(exist_ok=True)
    onnx.save(exported(scaler, model), MADE / "model.onnx")
    if not damage:
        held_out, ages = rows[~train], rows[~train, AGE]
        decades = np.array([f"{10 * int(age // 10)}s" for age in ages])
        labels = progression[~train].astype(np.float64)
        np.savez(
            MADE / "examples.npz", **{"patient": held_out.astype(np.float32), "labels": labels, "slice.age": decades}
        )


def exported(scaler: StandardScaler, model: Ridge) -> onnx.ModelProto:
    """Return standardisation and model in ONNX: patients [n, 10] to the progression of their disease [n, 1]."""

    def weights(name: str, values: NDArray[np.float64]) -> TensorProto:
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Sub", ["patient", "means"], ["centred"]),
        helper.make_node("Div", ["centred", "deviations"], ["standardised"]),
        helper.make_node("Gemm", ["standardised", "weights", "bias"], ["progression"]),
    ]
    graph = helper.make_graph(
        nodes,
        "diabetes",
        [helper.make_tensor_value_info("patient", TensorProto.FLOAT, ["n", 10])],
        [helper.make_tensor_value_info("progression", TensorProto.FLOAT, ["n", 1])],
        [
            weights("means", scaler.mean_),
            weights("deviations", scaler.scale_),
            weights("weights", model.coef_.reshape(10, 1)),
            weights("bias", np.array([model.intercept_])),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
