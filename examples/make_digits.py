"""Make the digits of `goldwatch demo`: a golden set, a model in ONNX and the same model quantised too far.

Run it from the repository: `python examples/make_digits.py`. It needs onnx, onnxruntime and scikit-learn, and replaces
the files in agent/goldwatch/demo/digits. On one machine and set of versions it gives the same bytes every time.

The examples are the last 600 of scikit-learn's 1,797 digits. Its file follows the order of the writers, so the model is
judged on people whose writing it has hardly seen; a random split would look better and mean less.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
import scipy
import sklearn
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from goldwatch.golden.freeze import freeze

Array: TypeAlias = "NDArray[Any]"

FOLDER = Path(__file__).parent.parent / "agent" / "goldwatch" / "demo" / "digits"
EXAMPLES = 600
REPLAYS = (10, 10)
TOLERANCE = 0.001
NEAR_TIE = 1e-4
INKS = ("light", "medium", "heavy")
BITS = 3
VERSION = "1"  # of the quantised model too: a careless change keeps the version
"""With 2 bits the model guesses (accuracy 0.08), with 4 it hardly suffers (0.92)."""


@dataclass(frozen=True)
class Digits:
    """Images [n, 8, 8] of ink from 0 to 1, float32, and labels [n], int64."""

    images: Array
    labels: Array


def main() -> None:
    """Make everything and print what it measures."""
    parser = argparse.ArgumentParser(description="Make the golden set and the models of `goldwatch demo`.")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    shown, held_out = digits()
    layers = train(shown)
    write_model(folder / "digits.onnx", layers, bits=None)
    write_model(folder / "digits-quantised.onnx", layers, bits=BITS)
    outputs = [replay(folder / "digits.onnx", held_out) for _ in range(sum(REPLAYS))]
    broken = replay(folder / "digits-quantised.onnx", held_out)
    report(held_out, outputs[0], broken)
    shutil.rmtree(folder / "golden", ignore_errors=True)
    golden = freeze(folder / "golden", manifest(folder, outputs), tensors(held_out, outputs))
    print(f"froze {golden}, {golden.examples} examples")


def digits() -> tuple[Digits, Digits]:
    """Return the digits to train on and those held out, in the order of the file."""
    found = load_digits()
    images, labels = (found.images / 16).astype(np.float32), found.target.astype(np.int64)
    return Digits(images[:-EXAMPLES], labels[:-EXAMPLES]), Digits(images[-EXAMPLES:], labels[-EXAMPLES:])


def train(shown: Digits, passes: int = 40) -> list[tuple[Array, Array]]:
    """Train a small perceptron on the digits and ten distorted copies of each; return weights and biases by layer.

    40 passes over the data are enough, and quick.
    """
    rng = np.random.default_rng(0)
    copies = [shown.images] + [np.stack([bend(image, rng) for image in shown.images]) for _ in range(10)]
    model = MLPClassifier((128,), alpha=1e-3, batch_size=128, max_iter=passes, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.concatenate(copies).reshape(-1, 64), np.tile(shown.labels, len(copies)))
    return [(w.astype(np.float32), b.astype(np.float32)) for w, b in zip(model.coefs_, model.intercepts_, strict=True)]


def bend(image: Array, rng: np.random.Generator) -> Array:
    """Turn, slant, scale and shift an image a little, as another hand might."""
    angle, slant = rng.normal(0, 0.12, 2)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ np.array([[1, slant], [0, 1]]) @ np.diag(np.exp(rng.normal(0, 0.08, 2)))
    centre = np.array([3.5, 3.5])
    offset = centre - matrix @ centre + rng.normal(0, 0.5, 2)
    bent: Array = ndimage.affine_transform(image, matrix, offset=offset, order=1)
    return bent


def write_model(file: Path, layers: list[tuple[Array, Array]], bits: int | None) -> None:
    """Write the layers as ONNX: whole, or with each matrix of weights as integers of `bits` bits and one scale."""
    nodes = [helper.make_node("Flatten", ["image"], ["flat"])]
    constants: list[Any] = []
    found = "flat"
    for i, (weights, biases) in enumerate(layers):
        last = i == len(layers) - 1
        nodes += weight_nodes(f"weights{i}", weights, bits, constants)
        constants.append(numpy_helper.from_array(biases, f"biases{i}"))
        nodes.append(helper.make_node("Gemm", [found, f"weights{i}", f"biases{i}"], [f"sum{i}"]))
        found = "probabilities" if last else f"hidden{i}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"sum{i}"], [found]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 8, 8])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "digits", [image], [probabilities], constants)
    # Old enough for the runtimes that people have.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.producer_name, model.model_version = "goldwatch", int(VERSION)
    model.doc_string = "Handwritten digits of 8 x 8 pixels." + (f" Weights in {bits} bits." if bits else "")
    helper.set_model_props(model, {"name": "digits", "version": VERSION})
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString(deterministic=True))


def weight_nodes(name: str, weights: Array, bits: int | None, constants: list[Any]) -> list[Any]:
    """Add a matrix of weights to the constants; return the nodes that make it of its integers, if it is quantised."""
    if bits is None:
        constants.append(numpy_helper.from_array(weights, name))
        return []
    most = 2 ** (bits - 1) - 1
    scale = np.float32(np.abs(weights).max() / most)
    integers = np.round(weights / scale).astype(np.int8)
    constants.append(numpy_helper.from_array(integers, f"{name}.integers"))
    constants.append(numpy_helper.from_array(np.array(scale), f"{name}.scale"))
    return [helper.make_node("DequantizeLinear", [f"{name}.integers", f"{name}.scale"], [name])]


def replay(file: Path, held_out: Digits) -> Array:
    """Ask the model for one example at a time, in a session of its own; return the probabilities [n, 10]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    answers = [session.run(["probabilities"], {"image": image[None]})[0] for image in held_out.images]
    return np.concatenate(answers)


def tensors(held_out: Digits, outputs: list[Array]) -> dict[str, Array]:
    """Return what the golden set holds, by name."""
    ink = held_out.images.sum(axis=(1, 2))
    right = np.stack([(output.argmax(axis=1) == held_out.labels) for output in outputs]).astype(np.int64)
    return {
        "inputs.image": held_out.images,
        "labels": held_out.labels,
        "outputs.probabilities": outputs[0],
        "slices.digit": held_out.labels,
        "slices.ink": np.searchsorted(np.quantile(ink, [1 / 3, 2 / 3]), ink).astype(np.int64),
        "reference.right": np.stack([right[: REPLAYS[0]].sum(axis=0), right[REPLAYS[0] :].sum(axis=0)]),
    }


def manifest(folder: Path, outputs: list[Array]) -> dict[str, Any]:
    """Say what the golden set is."""
    classes = [str(digit) for digit in range(10)]
    digest = hashlib.sha256((folder / "digits.onnx").read_bytes()).hexdigest()
    return {
        "name": "digits",
        "version": "1",
        "task": "classification",
        "examples": EXAMPLES,
        "inputs": {"image": {"dtype": "float32", "shape": [8, 8]}},
        "labels": {"classes": classes},
        "outputs": {"probabilities": {"dtype": "float32", "shape": [10], "tolerance": TOLERANCE}},
        "decision": "probabilities",
        "slices": {"digit": {"values": classes}, "ink": {"values": INKS}},
        "reference": {
            "replays": REPLAYS,
            "deterministic": all(np.abs(output - outputs[0]).max() <= TOLERANCE for output in outputs),
            "made_with": {"framework": "onnxruntime", "version": onnxruntime.__version__, "model": f"sha256:{digest}"},
        },
        "provenance": {
            "source": f"The last {EXAMPLES} of the 1,797 images of sklearn.datasets.load_digits, a copy of the test "
            "part of the UCI data set; ink scaled from 0..16 to 0..1",
            "citation": 'E. Alpaydin and C. Kaynak (1998). "Optical Recognition of Handwritten Digits". '
            "UCI Machine Learning Repository. https://doi.org/10.24432/C50P49",
            "made_by": f"examples/make_digits.py with scikit-learn {sklearn.__version__}, numpy {np.__version__}, "
            f"scipy {scipy.__version__}, onnx {onnx.__version__}",
            "notes": "Held out by the order of the file, which follows the writers, not at random. "
            f"{near_ties(outputs[0])}. Slices of ink are the terciles of its sum.",
        },
        "licence": "CC-BY-4.0",
    }


def near_ties(output: Array) -> str:
    """Say how many examples another build of the same runtime might decide otherwise."""
    highest = np.sort(output, axis=1)
    margins = highest[:, -1] - highest[:, -2]
    count = int((margins < NEAR_TIE).sum())
    return f"Near ties (highest two probabilities within {NEAR_TIE:g}): {count}, the closest is {margins.min():.4f}"


def report(held_out: Digits, reference: Array, broken: Array) -> None:
    """Print the accuracies and what the quantisation did."""
    before, now, labels = reference.argmax(axis=1), broken.argmax(axis=1), held_out.labels
    print(f"accuracy on {EXAMPLES} held out: {np.mean(before == labels):.4f}")
    print(f"  with weights in {BITS} bits: {np.mean(now == labels):.4f}")
    print(near_ties(reference))
    harmful = (before == labels) & (now != labels)
    helpful = (before != labels) & (now == labels)
    neutral = (before != now) & (before != labels) & (now != labels)
    print(f"flips: {harmful.sum()} harmful, {helpful.sum()} helpful, {neutral.sum()} neutral")
    for digit in range(10):
        answers = np.bincount(now[harmful & (labels == digit)], minlength=10)
        instead = ", ".join(f"{n} as {other}" for other, n in enumerate(answers) if n)
        print(f"  {digit}: {answers.sum()} of {(labels == digit).sum()} now wrong  {instead}")


if __name__ == "__main__":
    main()
