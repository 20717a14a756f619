"""Models of handwritten digits, damaged as models in production are: each is a file in ONNX that really runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.digits import MODEL
from examples.make_digits import Digits, digits, train, write_model

Array: TypeAlias = "NDArray[Any]"
Make = Callable[[Path], None]
"""Writes a model into a file."""

LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


def layers() -> list[tuple[Array, Array]]:
    """Return weights and biases of the shipped model, by layer."""
    constants = {each.name: numpy_helper.to_array(each) for each in onnx.load(MODEL).graph.initializer}
    return [(constants[f"weights{i}"], constants[f"biases{i}"]) for i in range(2)]


def in_bits(bits: int) -> Make:
    """Return the model with each matrix of weights in `bits` bits and one scale."""
    return lambda file: write_model(file, layers(), bits)


def in_halves(file: Path) -> None:
    """Write the model with weights and biases rounded to 16-bit floats."""
    write_model(file, [(_halved(weights), _halved(biases)) for weights, biases in layers()], None)


def _halved(numbers: Array) -> Array:
    found: Array = numbers.astype(np.float16).astype(np.float32)
    return found


def optimised(file: Path) -> None:
    """Write the model as ONNX Runtime's graph optimiser leaves it, operators fused: what tool chains do to any."""
    import onnxruntime  # noqa: PLC0415 - it takes a while

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(file)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


def quantised(file: Path) -> None:
    """Write the model as ONNX Runtime's dynamic quantisation to 8 bits makes it, activations included."""
    from onnxruntime.quantization import quantize_dynamic  # noqa: PLC0415 - it takes a while

    quantize_dynamic(MODEL, file)


def pruned(share: float) -> Make:
    """Return the model without this share of each matrix' weights, the smallest."""

    def make(file: Path) -> None:
        kept = [(np.where(np.abs(w) < np.quantile(np.abs(w), share), np.float32(0), w), b) for w, b in layers()]
        write_model(file, kept, None)

    return make


def trained(passes: int, stale: float = 0.0) -> Make:
    """Return a model of the same recipe after `passes` of its 40 passes over the data.

    With `stale` this share of the nines it learns from are still labelled four, as before a correction.
    """

    def make(file: Path) -> None:
        shown, _ = digits()
        nines = np.flatnonzero(shown.labels == 9)
        labels = shown.labels.copy()
        labels[np.random.default_rng(0).permutation(nines)[: round(stale * len(nines))]] = 4
        write_model(file, train(Digits(shown.images, labels), passes), None)

    return make


def fed(*nodes: tuple[str, Sequence[Any], Mapping[str, Any]]) -> Make:
    """Return the model whose server does something to an image first: operators of ONNX, constants, attributes."""
    return lambda file: _behind(file, nodes, [8, 8])


def coloured(weights: Sequence[float]) -> Make:
    """Return the model of images in red, green and blue [3, 8, 8], which takes their luminance with these weights."""
    column = np.array(weights, dtype=np.float32).reshape(1, 3, 1, 1)
    return lambda file: _behind(
        file, [("Mul", [column], {}), ("ReduceSum", [np.array([1])], {"keepdims": 0})], [3, 8, 8]
    )


def in_colour(images: Array) -> Array:
    """Return grey images [n, 8, 8] as written in inks of many colours [n, 3, 8, 8]."""
    inks = np.random.default_rng(0).uniform(0.4, 1.0, (len(images), 3, 1, 1))
    inks /= np.tensordot(inks, np.array(LUMINANCE), axes=([1], [0]))[:, np.newaxis]
    found: Array = (images[:, np.newaxis] * inks).astype(np.float32)
    return found


def _behind(file: Path, before: Sequence[tuple[str, Sequence[Any], Mapping[str, Any]]], shape: Sequence[int]) -> None:
    model = onnx.load(MODEL)
    graph, found = model.graph, "image"
    nodes = []
    for i, (operator, constants, attributes) in enumerate(before):
        names = [f"before{i}.{k}" for k in range(len(constants))]
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(c), n) for c, n in zip(constants, names, strict=True)
        )
        nodes.append(helper.make_node(operator, [found, *names], [found := f"before{i}"], **attributes))
    graph.node[0].input[0] = found
    inner = list(graph.node)
    del graph.node[:], graph.input[:]
    graph.node.extend([*nodes, *inner])
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *shape]))
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString(deterministic=True))
