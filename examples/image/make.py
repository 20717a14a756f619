"""Train a classifier of handwritten digits, and write it with the examples for its golden set.

`python make.py` writes `made/model.onnx` and `made/examples.npz`. `python make.py --damage` writes the model again,
behind a preprocessing step that swaps the rows and columns of each image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

MADE = Path(__file__).parent / "made"
TRAINED = 1197  # the file follows the order of the writers: the other 600 digits are by people the model hardly knows


def main() -> None:
    """Write the model; without `--damage` the examples too."""
    damage = "--damage" in sys.argv[1:]
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    model = LogisticRegression(max_iter=200).fit(images[:TRAINED].reshape(-1, 64), digits.target[:TRAINED])
    MADE.mkdir(exist_ok=True)
    onnx.save(exported(model, (0, 2, 1) if damage else (0, 1, 2)), MADE / "model.onnx")
    if not damage:
        labels = digits.target[TRAINED:]
        examples = {"image": images[TRAINED:], "labels": labels, "slice.digit": labels}
        np.savez(MADE / "examples.npz", **examples)


def exported(model: LogisticRegression, axes: tuple[int, int, int]) -> onnx.ModelProto:
    """Return the model in ONNX: images [n, 8, 8] to probabilities [n, 10], behind a transposition to `axes`."""
    nodes = [
        helper.make_node("Transpose", ["image"], ["turned"], perm=axes),
        helper.make_node("Flatten", ["turned"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "biases"], ["sums"]),
        helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])],
        [
            numpy_helper.from_array(model.coef_.T.astype(np.float32), "weights"),
            numpy_helper.from_array(model.intercept_.astype(np.float32), "biases"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
