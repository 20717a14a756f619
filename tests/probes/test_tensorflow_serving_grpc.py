"""The probe for TensorFlow Serving over gRPC, against a server of its own generated stubs over a real SavedModel.

No package carries the real server's binary; the stubs, the messages and the conversions of tensors here are its own
(tensorflow-serving-api), so the probe's table of messages is checked against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, Rejected, Tensors, TensorSpec, Unreachable
from goldwatch.testing.conformance import FRAMEWORKS, ProbeConformance
from goldwatch_probes import _tf_proto as proto
from goldwatch_probes._proto import parsed
from goldwatch_probes.tensorflow_serving_grpc import TensorFlowServingGrpc

from tests.probes.formats import CASES, Formats, images, reference

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")]

IMAGES = {"image": images()[:3]}


def _servicers(folder: str, *, typed: bool) -> tuple[Any, Any]:
    import grpc
    import tensorflow as tf
    from tensorflow.python.saved_model.loader_impl import parse_saved_model
    from tensorflow_serving.apis import get_model_metadata_pb2 as metadata_pb2
    from tensorflow_serving.apis import get_model_status_pb2 as status_pb2
    from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

    signature = tf.saved_model.load(folder).signatures["serving_default"]
    definition = parse_saved_model(folder).meta_graphs[0].signature_def

    def check(spec: Any, context: Any) -> None:
        if spec.name != "digits" or (spec.HasField("version") and spec.version.value != 3):
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")

    class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc] # it has no types
        def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the service calls it
            check(request.model_spec, context)
            found = metadata_pb2.SignatureDefMap()
            for name, one in definition.items():
                found.signature_def[name].CopyFrom(one)
            answer = metadata_pb2.GetModelMetadataResponse()
            answer.model_spec.version.value = 2 if request.model_spec.version_label == "old" else 3
            answer.metadata["signature_def"].Pack(found)
            return answer

        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the service calls it
            check(request.model_spec, context)
            try:
                given = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
                outputs = signature(**given)
            except Exception as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:100])
            answer = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                made = tf.make_tensor_proto(value.numpy())
                if typed:  # as the server itself answers, if not told otherwise
                    made.float_val.extend(value.numpy().ravel().tolist())
                    made.tensor_content = b""
                answer.outputs[name].CopyFrom(made)
            return answer

    class Model(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc] # it has no types
        def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - as the service calls it
            check(request.model_spec, context)
            state = status_pb2.ModelVersionStatus
            old, new = state(version=2, state=state.END), state(version=3, state=state.AVAILABLE)
            loading = request.model_spec.version_label == "loading"
            return status_pb2.GetModelStatusResponse(model_version_status=[old] if loading else [old, new])

    return Prediction(), Model()


def serving(folder: str, *, typed: bool) -> Iterator[str]:
    import grpc
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction, model = _servicers(folder, typed=typed)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture(scope="module")
def url(formats: Formats) -> Iterator[str]:
    yield from serving(formats.options(CASES["SavedModel"])["file"], typed=False)


@pytest.fixture(scope="module")
def typed_url(formats: Formats) -> Iterator[str]:
    yield from serving(formats.options(CASES["SavedModel"])["file"], typed=True)


def probe_of(url: str, **options: Any) -> TensorFlowServingGrpc:
    made = TensorFlowServingGrpc.Options(**({"url": url, "model": "digits"} | options))
    return TensorFlowServingGrpc(made, Context(time_limit_s=20))


class TestRaw(ProbeConformance):
    frameworks = FRAMEWORKS | {"google", "numpy"}

    @pytest.fixture(autouse=True)
    def _address(self, url: str) -> None:
        self.url = url

    def make_probe(self) -> TensorFlowServingGrpc:
        return probe_of(self.url)

    def make_missing(self) -> TensorFlowServingGrpc:
        return probe_of(self.url, model="missing")

    def inputs(self) -> Tensors:
        return IMAGES

    def expected(self) -> Tensors:
        return {"probabilities": reference()[:3]}


class TestTyped(TestRaw):
    @pytest.fixture(autouse=True)
    def _address(self, typed_url: str) -> None:
        self.url = typed_url


def test_it_says_what_the_server_says(url: str) -> None:
    with closing(probe_of(url)) as probe:
        probe.open()
        found = probe.describe()
    assert (found.model, found.version, found.framework) == ("digits", "3", "tensorflow-serving")
    with closing(probe_of(url, label="old")) as probe:
        probe.open()
        assert probe.describe().version == "2"  # that of the label, not the newest
    assert found.inputs == (TensorSpec("image", "float32", (8, 8)),)
    assert found.outputs == (TensorSpec("probabilities", "float32", (10,)),)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": ""}, CannotLoad, "`model` is empty"),
        ({"version": "3", "label": "prod"}, CannotLoad, "leave one out"),
        ({"version": "three"}, CannotLoad, "`version` is 'three'; over gRPC it is a number"),
        ({"version": "4"}, NotReady, "Servable not found"),
        ({"label": "loading"}, NotReady, 'no version of model "digits" is available'),
        ({"signature": "other"}, CannotLoad, "no signature 'other'; it has .*serving_default"),
    ],
)
def test_what_cannot_be_served_is_told(url: str, options: dict[str, Any], error: Any, message: str) -> None:
    with closing(probe_of(url, **options)) as probe, pytest.raises(error, match=message):
        probe.open()


def test_nobody_listens() -> None:
    with closing(probe_of("http://127.0.0.1:1")) as probe, pytest.raises(Unreachable):
        probe.open()


def test_an_error_of_the_model_is_a_rejection(url: str) -> None:
    with closing(probe_of(url)) as probe:
        probe.open()
        request = probe.encode(IMAGES)
        renamed = probe._opened().request(request.method, request.message.replace(b"image", b"emagi"))
        with pytest.raises(Rejected, match="answered INVALID_ARGUMENT"):
            probe.predict(renamed)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "uint16", "int64", "uint64", "bool"])
@pytest.mark.parametrize("typed", [False, True])
def test_tensors_are_those_of_tensorflow(kind: str, typed: bool) -> None:
    import tensorflow as tf

    values = np.array([[0, 1, 5], [7, 7, 7]]).astype(kind)
    made = tf.make_tensor_proto(values.tolist() if typed else values, dtype=kind)
    tensor = proto.messages()["Tensor"]
    np.testing.assert_array_equal(proto.array("x", parsed(tensor, made.SerializeToString())), values)
    ours = tensor(**proto.fields("x", values)).SerializeToString()
    np.testing.assert_array_equal(tf.make_ndarray(type(made).FromString(ours)), values)


def test_text_is_carried() -> None:
    import tensorflow as tf

    values = np.array(["a", "é"], dtype=object)
    made = tf.make_tensor_proto(["a", "é"])
    tensor = proto.messages()["Tensor"]
    assert proto.array("x", parsed(tensor, made.SerializeToString())).tolist() == [b"a", "é".encode()]
    assert tensor(**proto.fields("x", values)).string_val[1] == "é".encode()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": 99}, "TensorFlow's dtype 99"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": -1}]}}, r"has shape \[-1\], which cannot be"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 2}]}, "tensor_content": b"123"}, "has 3 bytes"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 2}]}}, "has 0 values, its shape needs 2"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 2**40}]}, "float_val": [1.0]}, "has 1 values"),
    ],
)
def test_a_tensor_that_cannot_be_is_a_bad_answer(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        proto.array("y", proto.messages()["Tensor"](**fields))
