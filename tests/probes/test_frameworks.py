"""Errors of the other probes of models in process for files, options and inputs that they cannot take."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import CannotLoad, Rejected, TensorSpec

from tests.probes.formats import CASES, MXNET, Formats, images, reference

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def refused(formats: Formats, name: str, **options: Any) -> str:
    with pytest.raises(CannotLoad) as caught:
        formats.probe(CASES[name], **options).open()
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Keras", "neither a SavedModel folder nor a .keras file"),
        ("LiteRT", "ValueError: The model is not a valid Flatbuffer buffer"),
        ("OpenVINO IR", "RuntimeError: "),
        ("jax.export", "no function of jax.export: "),
        ("skops", "not a .skops file; a pickle runs whatever code it names"),
    ],
)
def test_a_file_of_something_else(formats: Formats, tmp_path: Path, name: str, expected: str) -> None:
    file = tmp_path / "model.xml"
    file.write_bytes(b"no model at all, whatever it is called")
    message = refused(formats, name, file=file)
    assert message.startswith(f"{file}: {expected}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("SavedModel", {"signature": "other"}, "no signature 'other'; it has serving_default"),
        ("SavedModel", {"device": "GPU:7"}, "`device` is 'GPU:7'; TensorFlow has CPU:0"),
        ("Keras", {"signature": "other"}, "a .keras file has no signatures"),
        ("Keras", {"threads": -1}, "`threads` is -1"),
        ("LiteRT", {"signature": "other"}, "`signature` is 'other', expected one of serving_default"),
        ("LiteRT", {"delegates": ("none.so",)}, "`delegates`: none.so: "),
        ("OpenVINO IR", {"device": "AUTO"}, "no device AUTO; OpenVINO has CPU"),
        ("jax.export", {"inputs": ("a", "b")}, "`inputs` names 2, the function takes 1"),
        ("skops", {"method": "decision_function"}, "MLPClassifier has no decision_function; it has predict_proba"),
    ],
)
def test_options_that_cannot_be(formats: Formats, name: str, options: dict[str, Any], expected: str) -> None:
    assert expected in refused(formats, name, **options)


@pytest.mark.parametrize("name", ["SavedModel", "Keras", "LiteRT", "OpenVINO IR", "jax.export"])
def test_the_tensors_are_told_and_held_to(formats: Formats, name: str) -> None:
    probe = formats.probe(CASES[name])
    probe.open()
    assert probe.describe().inputs == (TensorSpec("image", "float32", (8, 8)),)
    assert probe.describe().outputs == (TensorSpec("probabilities", "float32", (10,)),)
    with pytest.raises(CannotLoad, match=r'input "image" has examples of shape \[8, 7\]'):
        probe.encode({"image": np.zeros((1, 8, 7), np.float32)})


def test_a_folder_that_is_no_saved_model(formats: Formats, tmp_path: Path) -> None:
    assert "no saved_model.pb in it" in refused(formats, "SavedModel", file=tmp_path)


def test_a_lambda_layer_is_refused(formats: Formats, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "lambda.keras")
    assert "lambda" in refused(formats, "Keras", file=tmp_path / "lambda.keras").lower()


def test_a_keras_model_with_several_inputs_by_name(formats: Formats, tmp_path: Path) -> None:
    import keras

    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    difference = keras.layers.Subtract(name="difference")([b, a])
    keras.Model({"first": a, "second": b}, difference).save(tmp_path / "two.keras")
    probe = formats.probe(CASES["Keras"], file=tmp_path / "two.keras")
    probe.open()
    inputs = {"a": np.ones((1, 2), np.float32), "b": np.full((1, 2), 3, np.float32)}
    found = probe.decode(probe.predict(probe.encode(inputs)))
    np.testing.assert_array_equal(found["difference"], [[2, 2]])


def test_a_sequential_keras_model(formats: Formats, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((2,), name="x"), keras.layers.Dense(3, name="scores")])
    model.save(tmp_path / "line.keras")
    probe = formats.probe(CASES["Keras"], file=tmp_path / "line.keras")
    probe.open()
    x = np.array([[1, 2], [3, 4]], np.float32)
    found = probe.decode(probe.predict(probe.encode({"x": x})))
    assert list(found) == ["scores"]
    assert found["scores"] == pytest.approx(np.asarray(model(x)), rel=1e-6)
    probe.close()


def test_an_output_of_unknown_rank_is_not_described(formats: Formats, tmp_path: Path) -> None:
    import tensorflow as tf

    class Model(tf.Module):  # type: ignore[misc] # TensorFlow has no types here
        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def answer(self, x: Any) -> Any:
            sizes = tf.shape(x)
            return {"y": tf.reshape(2 * x, tf.boolean_mask(sizes, sizes > 0)), "z": x}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=model.answer)
    probe = formats.probe(CASES["SavedModel"], file=tmp_path / "saved")
    probe.open()
    assert [spec.name for spec in probe.describe().outputs] == ["z"]
    found = probe.decode(probe.predict(probe.encode({"x": np.ones((3, 2), np.float32)})))
    assert found["y"].tolist() == [[2, 2]] * 3
    probe.close()


def test_quantised_inputs_are_taken_as_they_are_or_made(formats: Formats) -> None:
    probe = formats.probe(CASES["LiteRT, int8"])
    probe.open()
    assert probe.describe().inputs == (TensorSpec("image", "float32", (8, 8)),)
    request = probe.encode({"image": images()[:1]})
    integers = request["image"]
    assert (integers.dtype, integers.min()) == (np.int8, -128)
    np.testing.assert_allclose((integers + 128.0) / 255, images()[:1], atol=1 / 255)
    assert probe.encode({"image": integers})["image"] is integers
    assert probe.encode({"image": images()[:1] * 9})["image"].max() == 127  # clipped, not wrapped round
    found = probe.decode(probe.predict(request))["probabilities"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference()[:1], atol=0.05)


def test_openvino_chooses_its_precision_unless_it_is_told(formats: Formats) -> None:
    probe = formats.probe(CASES["OpenVINO IR"], precision="bf16")
    probe.open()
    found = probe.decode(probe.predict(probe.encode({"image": images()[:50]})))["probabilities"]
    np.testing.assert_allclose(found, reference()[:50], atol=0.02)


def test_untrusted_types_are_named(formats: Formats, tmp_path: Path) -> None:
    import skops.io
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((2,), max_iter=1).fit(np.eye(4), [0, 1, 0, 1])
    skops.io.dump(model, tmp_path / "adam.skops")
    adam = "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"
    expected = f"it holds types that are not in `trusted`: {adam}; vet and add them"
    assert expected in refused(formats, "skops", file=tmp_path / "adam.skops")
    formats.probe(CASES["skops"], file=tmp_path / "adam.skops", trusted=(adam,)).open()


def test_a_pickle_needs_trust(formats: Formats) -> None:
    assert "or set `trust: true` if no one else can write the file" in refused(formats, "joblib", trust=False)


def test_columns_are_joined_in_the_order_of_the_inputs(formats: Formats, tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(np.eye(3), [1.0, 10.0, 100.0])
    skops.io.dump(model, tmp_path / "linear.skops")
    options: dict[str, Any] = {"file": tmp_path / "linear.skops", "outputs": ("y",)}
    probe = formats.probe(CASES["skops"], **options, inputs=("b", "a"))
    probe.open()
    inputs = {"a": np.array([1.0, 0.0]), "b": np.array([[0.0, 0.0], [1.0, 0.0]])}
    np.testing.assert_allclose(probe.decode(probe.predict(probe.encode(inputs)))["y"], [100, 1])
    with pytest.raises(Rejected, match="X has 2 features, but LinearRegression is expecting 3"):
        probe.predict(np.zeros((1, 2)))
    probe = formats.probe(CASES["skops"], **options)
    probe.open()
    with pytest.raises(CannotLoad, match="name them in `inputs`"):
        probe.encode(inputs)


def test_text_goes_to_a_vectorizer(formats: Formats, tmp_path: Path) -> None:
    import skops.io
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good good", "bad bad"], [1, 0])
    skops.io.dump(model, tmp_path / "text.skops")
    probe = formats.probe(CASES["skops"], file=tmp_path / "text.skops")
    probe.open()
    texts = np.array([b"good", b"bad"], dtype=object)
    found = probe.decode(probe.predict(probe.encode({"text": texts})))["probabilities"]
    assert found.argmax(axis=1).tolist() == [1, 0]
    with pytest.raises(CannotLoad, match="not UTF-8 text"):
        probe.encode({"text": np.array([b"\xff"], dtype=object)})


def test_jax_needs_names_and_the_batch_that_was_exported(formats: Formats, tmp_path: Path) -> None:
    import jax
    from jax import export

    two = jax.ShapeDtypeStruct((2, 3), np.float32)
    exported = export.export(jax.jit(lambda a, b: (a - b, a + b)))(two, two)
    (tmp_path / "two.jax").write_bytes(exported.serialize())
    options: dict[str, Any] = {"file": tmp_path / "two.jax"}
    assert "the 2 arguments have no names; write them in order as `inputs`" in refused(formats, "jax.export", **options)
    probe = formats.probe(CASES["jax.export"], **options, inputs=("a", "b"))
    probe.open()
    inputs = {"b": np.ones((2, 3), np.float32), "a": np.zeros((2, 3), np.float32)}
    found = probe.decode(probe.predict(probe.encode(inputs)))
    assert [found[name][0, 0] for name in ("output_0", "output_1")] == [-1, 1]
    with pytest.raises(CannotLoad, match="batches of 2 only, this one has 1 examples"):
        probe.encode({name: array[:1] for name, array in inputs.items()})


def test_mxnet_is_told_to_live_elsewhere(formats: Formats) -> None:
    with pytest.raises(CannotLoad, match=r"MXNet cannot be imported .*name its interpreter in `python`"):
        formats.probe(MXNET).open()
