"""Small real models of different kinds: each in two formats, and once damaged.

Weights have closed forms or are fitted by scikit-learn in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from goldwatch.probe import BatchAxes

Array = NDArray[Any]
RNG = np.random.default_rng(20)
TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "string": TensorProto.STRING}
node = helper.make_node


@dataclass(frozen=True)
class Show:
    """A model as the targets `first`, `other` and `damaged`, its examples, and its answers by the framework alone.

    `alone` takes the name of the target, and that of another output than the judged one. `right` says which answers
    [n, ...] are right; without it those within 0.001 of the answers of `first`. `options` are those of `golden build`,
    by the names of `Examples`.
    """

    targets: Mapping[str, Mapping[str, Any]]
    examples: Mapping[str, Any]
    alone: Callable[..., Array]
    right: Callable[[Array], Array] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def saved(
    file: Path, nodes: list[Any], inputs: Mapping[str, Any], outputs: Mapping[str, Any], constants: Mapping[str, Any]
) -> dict[str, Any]:
    """Write an ONNX model and return its target; `inputs` and `outputs` are shapes by name, or dtype and shape."""

    def value(name: str, found: Any) -> Any:
        dtype, shape = found if isinstance(found, tuple) else ("float32", found)
        return helper.make_tensor_value_info(name, TYPES[dtype], shape)

    kept = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    sides = ([value(name, found) for name, found in side.items()] for side in (inputs, outputs))
    takes, gives = sides
    graph = helper.make_graph(nodes, file.stem, list(takes), list(gives), kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), file)
    return {"probe": "onnx-runtime", "file": str(file), "threads": 1}


def converted(target: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an ONNX model to OpenVINO's own format and return its target."""
    import openvino

    file = Path(target["file"]).with_suffix(".xml")
    openvino.save_model(openvino.convert_model(target["file"]), file, compress_to_fp16=False)
    return {"probe": "openvino", "file": str(file), "precision": "f32"}


def by(targets: Mapping[str, Any], inputs: Mapping[str, Array], judged: str) -> Callable[..., Array]:
    """Return what runs a target by ONNX Runtime or OpenVINO alone."""
    given = {name: array for name, array in inputs.items() if name != "labels"}

    def run(which: str, output: str = judged) -> Array:
        file = targets[which]["file"]
        if targets[which]["probe"] == "onnx-runtime":
            session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            return np.asarray(session.run([output], given)[0])
        import openvino

        compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.asarray(compiled(given)[compiled.output(output)])

    return run


def audio(folder: Path) -> Show:
    """Which of four tones a waveform holds, by the energy in bands. Damaged: made for another sample rate."""
    tones = np.array([300.0, 450.0, 650.0, 900.0])
    labels = RNG.integers(0, 4, 60)
    waves = np.sin(2 * np.pi * tones[labels, None] * np.arange(256) / 8000 + RNG.uniform(0, 6, (60, 1)))
    waves = (waves + RNG.normal(scale=2.5, size=waves.shape)).astype(np.float32)

    def model(name: str, rate: float) -> dict[str, Any]:
        angle = 2 * np.pi * tones * np.arange(256)[:, None] / rate
        nodes = [
            node("MatMul", ["wave", "bands"], ["parts"]),
            node("Mul", ["parts", "parts"], ["power"]),
            node("MatMul", ["power", "both"], ["energy"]),
            node("Softmax", ["energy"], ["tone"], axis=1),
        ]
        constants = {
            "bands": np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32),
            "both": np.tile(np.eye(4, dtype=np.float32), (2, 1)) / 256,
        }
        return saved(folder / name, nodes, {"wave": ["n", 256]}, {"tone": ["n", 4]}, constants)

    first = model("audio.onnx", 8000)
    targets = {"first": first, "other": converted(first), "damaged": model("audio-8820.onnx", 8820)}
    given = {"wave": waves, "labels": labels}
    return Show(targets, given, by(targets, given, "tone"), lambda found: found.argmax(axis=1) == labels)


def segmentation(folder: Path) -> Show:
    """Which pixels are bright around: a mask of probabilities. Damaged: the kernel has lost a row."""
    given = {"image": RNG.uniform(size=(24, 1, 12, 12)).astype(np.float32)}

    def model(name: str, kernel: Array) -> dict[str, Any]:
        nodes = [
            node("Conv", ["image", "kernel", "bias"], ["logits"], pads=[1, 1, 1, 1]),
            node("Sigmoid", ["logits"], ["mask"]),
        ]
        constants = {"kernel": kernel, "bias": np.array([-18], np.float32)}
        return saved(folder / name, nodes, {"image": ["n", 1, 12, 12]}, {"mask": ["n", 1, 12, 12]}, constants)

    kernel = np.full((1, 1, 3, 3), 4, np.float32)
    first = model("segmentation.onnx", kernel)
    kernel[..., 0, :] = 0
    targets = {"first": first, "other": converted(first), "damaged": model("segmentation-less.onnx", kernel)}
    return Show(targets, given, by(targets, given, "mask"))


def recurrent(folder: Path) -> Show:
    """What an LSTM makes of a series; its state goes in and out, batch second. Damaged: its gates forget all."""
    inputs = {"series": RNG.normal(size=(40, 9, 1)).astype(np.float32)}
    inputs |= {name: RNG.normal(size=(40, 1, 4)).astype(np.float32) for name in "hc"}
    shapes = {"W": (1, 16, 1), "R": (1, 16, 4), "B": (1, 32)}
    weights = {name: RNG.normal(scale=0.5, size=shape).astype(np.float32) for name, shape in shapes.items()}

    def model(name: str, forget: float = 0) -> dict[str, Any]:
        constants = {name: array.copy() for name, array in weights.items()} | {"first": np.array([0])}
        constants["B"][:, 8:12] -= forget  # the gates are i, o, f, c
        nodes = [
            node("Transpose", ["series"], ["x"], perm=[1, 0, 2]),
            node("LSTM", ["x", "W", "R", "B", "", "h", "c"], ["", "h_next", "c_next"], hidden_size=4),
            node("Squeeze", ["h_next", "first"], ["last"]),
        ]
        state = [1, "n", 4]
        gives = {"last": ["n", 4], "h_next": state, "c_next": state}
        return saved(folder / name, nodes, {"series": ["n", 9, 1], "h": state, "c": state}, gives, constants)

    first = model("recurrent.onnx")
    targets = {"first": first, "other": converted(first), "damaged": model("recurrent-forgets.onnx", forget=20)}
    axes = BatchAxes({"h": 1, "c": 1}, {"h_next": 1, "c_next": 1})
    own = inputs | {name: inputs[name].swapaxes(0, 1) for name in "hc"}
    return Show(targets, inputs, by(targets, own, "last"), options={"batch_axes": axes, "decision": "last"})


def regression(folder: Path) -> Show:
    """How far diabetes has come in a year. Damaged: one column is not scaled."""
    from sklearn.datasets import load_diabetes

    rows, values = load_diabetes(return_X_y=True)
    solved = np.linalg.lstsq(np.c_[rows[:300], np.ones(300)], values[:300], rcond=None)[0].astype(np.float32)
    given = {"x": rows[300:].astype(np.float32), "labels": values[300:]}

    def model(name: str, scale: float) -> dict[str, Any]:
        weights = solved[:10, None] * np.where(np.arange(10) == 2, np.float32(scale), 1)[:, None]
        constants = {"W": weights.astype(np.float32), "b": solved[10:]}
        nodes = [node("Gemm", ["x", "W", "b"], ["y"])]
        return saved(folder / name, nodes, {"x": ["n", 10]}, {"y": ["n", 1]}, constants)

    first = model("regression.onnx", 1)
    targets = {"first": first, "other": converted(first), "damaged": model("regression-unscaled.onnx", 20)}
    right = lambda found: np.abs(found[:, 0] - values[300:]) <= 60  # noqa: E731
    return Show(targets, given, by(targets, given, "y"), right, {"within": 60.0, "tolerance": 0.01})


def sigmoid(folder: Path) -> Show:
    """Whether a tumour is benign, as one probability with a threshold. Damaged: the columns are moved by twelve."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression

    rows, benign = load_breast_cancer(return_X_y=True)
    rows = ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype(np.float32)
    fitted = LogisticRegression().fit(rows[:400], benign[:400])
    given = {"x": rows[400:], "labels": benign[400:]}

    def model(name: str, shift: int) -> dict[str, Any]:
        nodes = [node("Gemm", ["x", "W", "b"], ["logit"]), node("Sigmoid", ["logit"], ["benign"])]
        weights = np.roll(fitted.coef_.T, -shift, axis=0)
        constants = {"W": weights.astype(np.float32), "b": fitted.intercept_.astype(np.float32)}
        return saved(folder / name, nodes, {"x": ["n", 30]}, {"benign": ["n", 1]}, constants)

    first = model("sigmoid.onnx", 0)
    targets = {"first": first, "other": converted(first), "damaged": model("sigmoid-rolled.onnx", 12)}
    return Show(targets, given, by(targets, given, "benign"), lambda found: (found[:, 0] > 0.5) == given["labels"])


def several_outputs(folder: Path) -> Show:
    """A classifier of digits with logits, a brightness and a mask besides. Damaged: it sees pictures turned."""
    from sklearn.datasets import load_digits
    from sklearn.naive_bayes import MultinomialNB

    images, digits = load_digits(return_X_y=True)
    fitted = MultinomialNB().fit(images[::4], digits[::4])
    given = {"image": images[1:400:4].astype(np.float32), "labels": digits[1:400:4]}

    def model(name: str, weights: Array) -> dict[str, Any]:
        nodes = [
            node("Gemm", ["image", "W", "b"], ["logits"]),
            node("Softmax", ["logits"], ["digit"], axis=1),
            node("ReduceMean", ["image", "last"], ["ink"], keepdims=0),
            node("Greater", ["image", "half"], ["is_ink"]),
            node("Cast", ["is_ink"], ["mask"], to=TensorProto.INT64),
        ]
        constants = {
            "W": (weights / 16).astype(np.float32),
            "b": (fitted.class_log_prior_ / 16).astype(np.float32),
            "half": np.float32(8),
            "last": np.array([1]),
        }
        gives = {"digit": ["n", 10], "logits": ["n", 10], "ink": ["n"], "mask": ("int64", ["n", 64])}
        return saved(folder / name, nodes, {"image": ["n", 64]}, gives, constants)

    weights = fitted.feature_log_prob_.T
    first = model("several.onnx", weights)
    turned = weights.reshape(8, 8, 10).swapaxes(0, 1).reshape(64, 10)
    targets = {"first": first, "other": converted(first), "damaged": model("several-turned.onnx", turned)}
    right = lambda found: found.argmax(axis=1) == given["labels"]  # noqa: E731
    return Show(targets, given, by(targets, given, "digit"), right, {"decision": "digit"})


WORDS = {
    "praise": ["good", "great", "lovely", "fine", "happy", "warm", "bright", "kind"],
    "blame": ["bad", "awful", "poor", "sad", "cold", "dull", "rude", "broken"],
}
PLAIN = ["the", "a", "it", "was", "is", "very", "quite", "and", "service", "food", "room", "staff", "film"]


def text_classifier(folder: Path) -> Show:
    """Whether a review is praise or blame, by its words. Damaged: the weights belong to the words before."""

    def review(kind: str) -> str:
        other = "praise" if kind == "blame" else "blame"
        words = [*RNG.choice(WORDS[kind], 3), *RNG.choice(WORDS[other], 1), *RNG.choice(PLAIN, 5)]
        return " ".join(RNG.permutation(words))

    kinds = RNG.choice(["blame", "praise"], 60)
    texts = [review(kind) for kind in kinds]
    known = sorted([*WORDS["praise"], *WORDS["blame"], *PLAIN])
    counts = np.array([[text.split().count(word) for word in known] for text in texts], np.float32)
    weights = np.array([[word in WORDS["blame"], word in WORDS["praise"]] for word in known], np.float32)

    def model(name: str, shift: int) -> dict[str, Any]:
        grams: dict[str, Any] = {
            "min_gram_length": 1,
            "max_gram_length": 1,
            "max_skip_count": 0,
            "mode": "TF",
            "ngram_counts": [0],
        }
        pool: dict[str, Any] = {"ngram_indexes": [*range(len(known))], "pool_strings": known}
        nodes = [
            node("StringSplit", ["text"], ["words", "lengths"]),
            node("TfIdfVectorizer", ["words"], ["n"], **grams, **pool),
            node("MatMul", ["n", "W"], ["logits"]),
            node("Softmax", ["logits"], ["kind"], axis=1),
        ]
        constants = {"W": np.roll(weights, shift, axis=0)}
        return saved(folder / name, nodes, {"text": ("string", ["n"])}, {"kind": ["n", 2]}, constants)

    (folder / "show_text.py").write_text(
        f"import numpy as np\nKNOWN = {known}\nW = np.array({weights.tolist()})\n"
        "def answer(t):\n    words = [str(text).split() for text in t['text']]\n"
        "    counts = np.array([[each.count(word) for word in KNOWN] for each in words])\n"
        "    odds = np.exp(counts @ W)\n    return {'kind': odds / odds.sum(axis=1, keepdims=True)}\n"
    )
    other = {"probe": "python", "callable": "show_text:answer", "path": str(folder)}
    targets = {"first": model("text.onnx", 0), "other": other, "damaged": model("text-shifted.onnx", 1)}
    run = by(targets, {"text": np.array(texts, dtype=object)}, "kind")
    lines = [{"inputs": {"text": text}, "label": str(kind)} for text, kind in zip(texts, kinds, strict=True)]
    return Show(
        targets,
        {"lines": lines},
        lambda which: counts @ weights if which == "other" else run(which),
        lambda found: (found.argmax(axis=1) == 1) == (kinds == "praise"),
    )


def detection(folder: Path) -> Show:
    """Where an image is bright: boxes of any count, one image a request. Damaged: another threshold."""
    images = RNG.uniform(size=(20, 8, 8)).astype(np.float32)

    def model(name: str, threshold: float) -> dict[str, Any]:
        nodes = [
            node("Greater", ["image", "threshold"], ["bright"]),
            node("NonZero", ["bright"], ["places"]),
            node("Slice", ["places", "one", "three", "zero"], ["corners"]),
            node("Transpose", ["corners"], ["at"], perm=[1, 0]),
            node("Cast", ["at"], ["low"], to=TensorProto.FLOAT),
            node("Add", ["low", "size"], ["high"]),
            node("Concat", ["low", "high"], ["boxes"], axis=1),
        ]
        constants: dict[str, Any] = {"threshold": np.float32(threshold), "size": np.float32(1.5)}
        constants |= {name: np.array([i], np.int64) for i, name in ((0, "zero"), (1, "one"), (3, "three"))}
        return saved(folder / name, nodes, {"image": [1, 8, 8]}, {"boxes": ["boxes", 4]}, constants)

    first = model("detection.onnx", 0.95)
    targets = {"first": first, "other": converted(first), "damaged": model("detection-less.onnx", 0.97)}

    def alone(which: str, output: str = "boxes") -> Array:
        """Return the boxes of each image, and rows of -1."""
        found = np.full((len(images), 64, 4), -1.0)
        for row, image in zip(found, images, strict=True):
            boxes = by(targets, {"image": image[None]}, output)(which)
            row[: len(boxes)] = boxes
        return found

    axes = BatchAxes({}, {"boxes": None})
    return Show(targets, {"image": images}, alone, options={"batch_axes": axes})


SHOWS: Mapping[str, Callable[[Path], Show]] = {
    "audio": audio,
    "detection": detection,
    "segmentation": segmentation,
    "recurrent": recurrent,
    "regression": regression,
    "sigmoid": sigmoid,
    "several-outputs": several_outputs,
    "text-classifier": text_classifier,
}
