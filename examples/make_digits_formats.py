"""Write the model of `goldwatch demo` in every format that goldwatch has a probe for: the same weights each time.

Run it from the repository: `python examples/make_digits_formats.py FOLDER [FORMAT ...]`. The weights come from the
shipped digits.onnx. Each format needs its framework; `mxnet` needs an interpreter of its own, and reads the weights
that the format `npz` has put there before.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = "Mapping[str, NDArray[np.float32]]"
"""weights0 [64, 128], biases0 [128], weights1 [128, 10], biases1 [10]: sums are x @ weights + biases."""

DIGITS = Path(__file__).parent.parent / "agent" / "goldwatch" / "demo" / "digits"
LAYERS = ("weights0", "biases0", "weights1", "biases1")

FACTORY = '''"""The model of digits.safetensors, as `factory: digits_model:make` names it."""

import torch


class Digits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(64, 128)
        self.classes = torch.nn.Linear(128, 10)

    def forward(self, image):
        return torch.softmax(self.classes(torch.relu(self.hidden(image.flatten(1)))), 1)


def make():
    return Digits()
'''


def main() -> None:
    """Write the formats asked for, by default all but MXNet's."""
    parser = argparse.ArgumentParser(
        description="Write the digits model in every format that goldwatch has a probe for."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"default: {' '.join(DEFAULT)}; or mxnet")
    arguments = parser.parse_args()
    unknown = set(arguments.formats) - set(FORMATS)
    if unknown:
        parser.error(f"no format {', '.join(sorted(unknown))}; there are {', '.join(FORMATS)}")
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "digits.npz"
    weights = dict(np.load(stored)) if stored.exists() else onnx_weights()
    for name in arguments.formats or DEFAULT:
        FORMATS[name](folder, weights)


def onnx_weights() -> Weights:
    """Read the weights out of the shipped model."""
    import onnx  # noqa: PLC0415 - each format is made where its framework is

    graph = onnx.load(DIGITS / "digits.onnx").graph
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}


def write_npz(folder: Path, weights: Weights) -> None:
    """Write digits.npz, for an interpreter without onnx."""
    arrays: dict[str, Any] = {name: weights[name] for name in LAYERS}
    np.savez(folder / "digits.npz", **arrays)


def write_onnx(folder: Path, weights: Weights) -> None:
    """Write digits.onnx, digits-fp16.onnx, which computes in 16 bits, and digits-int8.onnx."""
    import onnx  # noqa: PLC0415

    (folder / "digits.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes())
    half = {name: onnx.numpy_helper.from_array(weights[name].astype(np.float16), name) for name in LAYERS}
    make, types = onnx.helper.make_node, onnx.TensorProto
    nodes = [
        make("Cast", ["image"], ["half"], to=types.FLOAT16),
        make("Flatten", ["half"], ["flat"]),
        make("Gemm", ["flat", "weights0", "biases0"], ["sums0"]),
        make("Relu", ["sums0"], ["hidden"]),
        make("Gemm", ["hidden", "weights1", "biases1"], ["sums1"]),
        make("Softmax", ["sums1"], ["shares"], axis=1),
        make("Cast", ["shares"], ["probabilities"], to=types.FLOAT),
    ]
    image = onnx.helper.make_tensor_value_info("image", types.FLOAT, ["batch", 8, 8])
    probabilities = onnx.helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", 10])
    graph = onnx.helper.make_graph(nodes, "digits", [image], [probabilities], list(half.values()))
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "digits-fp16.onnx")
    quantise_onnx(folder / "digits.onnx", folder / "digits-int8.onnx")


def quantise_onnx(model: Path, quantised: Path) -> None:
    """Write a model with weights and activations of 8 bits, whose ranges are those of images not in the golden set."""
    from onnxruntime import quantization  # noqa: PLC0415

    class Seen(quantization.CalibrationDataReader):  # type: ignore[misc] # without types
        def __init__(self) -> None:
            self._images = iter(calibration())

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._images, None)
            return None if image is None else {"image": image[None]}

    quantization.quantize_static(model, quantised, Seen(), weight_type=quantization.QuantType.QInt8)


def calibration() -> NDArray[np.float32]:
    """Return images [200, 8, 8], none of the golden set."""
    from sklearn.datasets import load_digits  # noqa: PLC0415

    return np.asarray(load_digits().images[:200] / 16, np.float32)


def write_torch(folder: Path, weights: Weights) -> None:
    """Write digits.ts, digits.pt2, and digits.safetensors with digits_model.py."""
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    (folder / "digits_model.py").write_text(FACTORY)
    sys.path.insert(0, str(folder))
    model = importlib.import_module("digits_model").make().eval()
    names = dict(zip(LAYERS, ("hidden.weight", "hidden.bias", "classes.weight", "classes.bias"), strict=True))
    state = {names[layer]: torch.tensor(np.ascontiguousarray(weights[layer].T)) for layer in LAYERS}
    model.load_state_dict(state)
    save_file(model.state_dict(), folder / "digits.safetensors")
    image = torch.zeros(2, 8, 8)
    torch.jit.trace(model, image).save(str(folder / "digits.ts"))
    exported = torch.export.export(model, (image,), dynamic_shapes={"image": {0: torch.export.Dim("batch")}})
    torch.export.save(exported, folder / "digits.pt2")


def write_tensorflow(folder: Path, weights: Weights) -> None:
    """Write digits.keras, the SavedModel saved_model, digits.tflite, digits-fp16.tflite and digits-int8.tflite."""
    import keras  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    image = keras.Input((8, 8), name="image")
    hidden = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Dense(10, activation="softmax", name="probabilities")(hidden))
    model.set_weights([weights[layer] for layer in LAYERS])
    model.save(folder / "digits.keras")

    module = tf.Module()
    module.layers = [tf.Variable(weights[layer]) for layer in LAYERS]

    def digits(image: Any) -> dict[str, Any]:  # noqa: ANN401
        weights0, biases0, weights1, biases1 = module.layers
        hidden = tf.nn.relu(tf.reshape(image, (-1, 64)) @ weights0 + biases0)
        return {"probabilities": tf.nn.softmax(hidden @ weights1 + biases1)}

    serve = tf.function(digits, input_signature=[tf.TensorSpec((None, 8, 8), tf.float32, name="image")])
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": serve})

    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    (folder / "digits.tflite").write_bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    (folder / "digits-fp16.tflite").write_bytes(converter.convert())
    converter.target_spec.supported_types = []
    quantise(tf, converter)
    (folder / "digits-int8.tflite").write_bytes(converter.convert())


def quantise(tf: Any, converter: Any) -> None:  # noqa: ANN401 - without types
    """Set the converter to integers of 8 bits throughout, inputs and outputs too."""
    seen = calibration()
    converter.representative_dataset = lambda: ([image[None]] for image in seen)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8


def write_openvino(folder: Path, weights: Weights) -> None:  # noqa: ARG001 - it converts the file itself
    """Write digits.xml and digits.bin."""
    import openvino  # noqa: PLC0415

    model = openvino.convert_model(DIGITS / "digits.onnx")
    openvino.save_model(model, folder / "digits.xml", compress_to_fp16=False)


def write_jax(folder: Path, weights: Weights) -> None:
    """Write digits.jax."""
    import jax  # noqa: PLC0415
    from jax import export  # noqa: PLC0415

    def digits(inputs: dict[str, Any]) -> dict[str, Any]:
        flat = inputs["image"].reshape(-1, 64)
        hidden = jax.nn.relu(flat @ weights["weights0"] + weights["biases0"])
        return {"probabilities": jax.nn.softmax(hidden @ weights["weights1"] + weights["biases1"])}

    (batch,) = export.symbolic_shape("batch")
    exported = export.export(jax.jit(digits))({"image": jax.ShapeDtypeStruct((batch, 8, 8), np.float32)})
    (folder / "digits.jax").write_bytes(exported.serialize())


def write_sklearn(folder: Path, weights: Weights) -> None:
    """Write digits.skops, and digits.joblib, which is a pickle."""
    import joblib  # noqa: PLC0415
    import skops.io  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    model = MLPClassifier((128,), max_iter=1, solver="lbfgs")
    model.n_layers_, model.n_outputs_, model.out_activation_ = 3, 10, "softmax"
    model.classes_, model.n_features_in_ = np.arange(10), 64
    model.coefs_ = [weights["weights0"], weights["weights1"]]
    model.intercepts_ = [weights["biases0"], weights["biases1"]]
    skops.io.dump(model, folder / "digits.skops")
    joblib.dump(model, folder / "digits.joblib")


def write_mxnet(folder: Path, weights: Weights) -> None:
    """Write digits-symbol.json and digits-0000.params."""
    import mxnet as mx  # noqa: PLC0415

    found = mx.sym.Flatten(mx.sym.Variable("image"))
    found = mx.sym.FullyConnected(found, mx.sym.Variable("weights0"), mx.sym.Variable("biases0"), num_hidden=128)
    found = mx.sym.Activation(found, act_type="relu")
    found = mx.sym.FullyConnected(found, mx.sym.Variable("weights1"), mx.sym.Variable("biases1"), num_hidden=10)
    mx.sym.softmax(found, name="probabilities").save(str(folder / "digits-symbol.json"))
    arguments = {f"arg:{name}": mx.nd.array(weights[name].T) for name in LAYERS}
    mx.nd.save(str(folder / "digits-0000.params"), arguments)


FORMATS: dict[str, Callable[[Path, Weights], None]] = {
    "npz": write_npz,
    "onnx": write_onnx,
    "torch": write_torch,
    "tensorflow": write_tensorflow,
    "openvino": write_openvino,
    "jax": write_jax,
    "sklearn": write_sklearn,
    "mxnet": write_mxnet,
}
DEFAULT = [name for name in FORMATS if name != "mxnet"]

if __name__ == "__main__":
    main()
