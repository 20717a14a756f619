"""The probes for servers with a JSON API of their own, against small servers of those APIs over real models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, Description, NotReady, Rejected, Tensors, TensorSpec
from goldwatch.testing.conformance import ProbeConformance
from goldwatch_probes.http_template import HttpTemplate
from goldwatch_probes.mlflow_scoring import MlflowScoring
from goldwatch_probes.tensorflow_serving import TensorFlowServing
from goldwatch_probes.torchserve import TorchServe

from tests.probes.conftest import INPUTS, expected_outputs
from tests.probes.model_servers import DIGITS, OnnxModel, Servers, http_servers

CONTEXT = Context(time_limit_s=10)
IMAGES = {"image": np.random.default_rng(0).uniform(0, 16, size=(3, 8, 8)).astype(np.float32)}
PROBABILITIES = OnnxModel(DIGITS).run(IMAGES)


@pytest.fixture(scope="module")
def both(model_file: Path) -> Iterator[tuple[str, Servers]]:
    with http_servers({"digits": DIGITS, "tiny": model_file, "stuck": model_file}) as found:
        yield found


@pytest.fixture
def url(both: tuple[str, Servers]) -> str:
    return both[0]


class _Digits(ProbeConformance):
    @pytest.fixture(autouse=True)
    def _address(self, url: str) -> None:
        self.url = url

    def inputs(self) -> Tensors:
        return IMAGES

    def expected(self) -> Tensors:
        return PROBABILITIES


class _Tiny(_Digits):
    def inputs(self) -> Tensors:
        return INPUTS

    def expected(self) -> Tensors:
        return expected_outputs()


def tf_of(url: str, **options: Any) -> TensorFlowServing:
    return TensorFlowServing(TensorFlowServing.Options(**({"url": url, "model": "digits"} | options)), CONTEXT)


class TestTensorFlowServingByRows(_Digits):
    def make_probe(self) -> TensorFlowServing:
        return tf_of(self.url)

    def make_missing(self) -> TensorFlowServing:
        return tf_of(self.url, model="missing")


class TestTensorFlowServingByColumns(TestTensorFlowServingByRows):
    def make_probe(self) -> TensorFlowServing:
        return tf_of(self.url, format="columnar", label="prod")


class TestTensorFlowServingTwoOutputsByRows(_Tiny):
    format = "row"

    def make_probe(self) -> TensorFlowServing:
        return tf_of(self.url, model="tiny", version="3", format=self.format)

    def make_missing(self) -> TensorFlowServing:
        return tf_of(self.url, model="tiny", version="4")


class TestTensorFlowServingTwoOutputsByColumns(TestTensorFlowServingTwoOutputsByRows):
    format = "columnar"


class TestKserveV1(_Digits):
    def make_probe(self) -> TensorFlowServing:
        return tf_of(f"{self.url}/kserve", output="probabilities")

    def make_missing(self) -> TensorFlowServing:
        return tf_of(f"{self.url}/kserve", model="missing")


def torchserve_of(url: str, **options: Any) -> TorchServe:
    return TorchServe(TorchServe.Options(**({"url": url, "model": "digits"} | options)), CONTEXT)


class TestTorchServe(_Digits):
    def make_probe(self) -> TorchServe:
        return torchserve_of(self.url, management_url=self.url, output="probabilities")

    def make_missing(self) -> TorchServe:
        return torchserve_of(self.url, management_url=self.url, model="missing")


class TestTorchServeWithoutEnvelope(TestTorchServe):
    def make_probe(self) -> TorchServe:
        return torchserve_of(self.url, output="probabilities", examples="", version="3")


class TestTorchServeTwoOutputs(_Tiny, TestTorchServe):
    def make_probe(self) -> TorchServe:
        return torchserve_of(self.url, model="tiny", named=True)


def mlflow_of(url: str, **options: Any) -> MlflowScoring:
    return MlflowScoring(MlflowScoring.Options(**({"url": url, "output": "probabilities"} | options)), CONTEXT)


class TestMlflow(_Digits):
    def make_probe(self) -> MlflowScoring:
        return mlflow_of(self.url)

    def make_missing(self) -> MlflowScoring:
        return mlflow_of(f"{self.url}/missing")


class TestMlflowWithoutNames(TestMlflow):
    def make_probe(self) -> MlflowScoring:
        return mlflow_of(self.url, named=False)


class TestMlflowDataFrame(_Tiny, TestMlflow):
    def make_probe(self) -> MlflowScoring:
        return mlflow_of(self.url, format="dataframe_split", columns=("a", "b"))


def http_of(url: str, **options: Any) -> HttpTemplate:
    settings = {
        "url": url,
        "path": "/bare",
        "body": {"given": {"x": "{x}"}, "flag": True},
        "outputs": {"scores": "answer.scores", "label": "answer.label"},
        "health": "/ping",
    }
    return HttpTemplate(HttpTemplate.Options(**(settings | options)), CONTEXT)


class TestHttp(_Tiny):
    def make_probe(self) -> HttpTemplate:
        return http_of(self.url)

    def make_missing(self) -> HttpTemplate:
        return http_of(self.url, health="/missing")


def described(probe: Any) -> Description:
    probe.open()
    description: Description = probe.describe()
    probe.close()
    return description


def test_what_each_server_tells_of_itself(url: str) -> None:
    image, probabilities = TensorSpec("image", "float32", (8, 8)), TensorSpec("probabilities", "float32", (10,))
    assert described(tf_of(url)) == Description(
        "digits", "3", "tensorflow-serving", inputs=(image,), outputs=(probabilities,)
    )
    assert described(tf_of(f"{url}/kserve")) == Description("digits")
    assert described(torchserve_of(url)) == Description("digits", "", "torchserve", "0.12.0")
    assert described(torchserve_of(url, management_url=url)) == Description("digits", "3", "torchserve", "0.12.0")
    assert described(mlflow_of(url, model="d", version="8")) == Description("d", "8", "mlflow", "3.18.0")
    assert described(http_of(url, model="d", version="8", health="")) == Description("d", "8")


@pytest.mark.parametrize("probe_of", [tf_of, torchserve_of, mlflow_of, http_of])
def test_a_request_says_that_it_is_synthetic_and_starts_a_trace(both: tuple[str, Servers], probe_of: Any) -> None:
    url, servers = both
    inputs = INPUTS if probe_of is http_of else IMAGES
    traces = []
    for sampled in (False, True):
        probe = probe_of(url, token="s3cret", secret_headers={"X-Key": "k3y"}, headers={"X-A": "b"}, sampled=sampled)
        assert "s3cret" not in repr(probe._options)
        assert "k3y" not in repr(probe._options)
        probe.open()
        request = probe.encode(inputs)
        assert "k3y" not in repr(request)
        probe.predict(request)
        probe.close()
        headers = servers.requests[-1][1]
        assert (headers["Authorization"], headers["X-Key"], headers["X-A"]) == ("Bearer s3cret", "k3y", "b")
        assert headers["x-goldwatch-replay"] == "1"
        assert headers["Content-Type"] == "application/json"
        traces.append(headers["traceparent"].split("-"))
    assert [(len(trace), len(span)) for _, trace, span, _ in traces] == [(32, 16)] * 2
    assert [(version, flags) for version, *_, flags in traces] == [("00", "00"), ("00", "01")]
    assert traces[0][1] != traces[1][1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda url: tf_of(url, model=""), CannotLoad, "`model` is empty"),
        (lambda url: tf_of(url, version="3", label="prod"), CannotLoad, "`version` and `label` are both given"),
        (lambda url: tf_of(url, model="no"), NotReady, "/v1/models/no: answered 404: Could not find any versions"),
        (lambda url: tf_of(url, signature="s"), CannotLoad, 'no signature "s"; it has serving_default$'),
        (lambda url: torchserve_of(url, model=""), CannotLoad, "`model` is empty"),
        (
            lambda url: torchserve_of(url, model="stuck", management_url=url),
            NotReady,
            '/models/stuck: no worker of model "stuck" is ready',
        ),
        (lambda url: http_of(url, outputs={}), CannotLoad, "`outputs` names no output"),
        (lambda url: http_of(url, outputs={"y": "a["}), CannotLoad, 'the expression of output "y" is not JMESPath'),
        (lambda url: http_of(url, path="/a b"), CannotLoad, "`path` is '/a b'; it must be a path"),
        (lambda url: http_of(url, health="/nowhere"), NotReady, "/nowhere: answered 404"),
    ],
)
def test_a_target_that_does_not_open(url: str, make: Any, error: type[Exception], message: str) -> None:
    probe = make(url)
    with pytest.raises(error, match=message):
        probe.open()
    probe.close()


def test_torchserve_is_healthy_before_the_model_has_a_worker(url: str) -> None:
    probe = torchserve_of(url, model="missing")  # without `management_url` there is no server to ask
    probe.open()
    with pytest.raises(Rejected, match="answered 404: Could not find"):
        probe.predict(probe.encode(IMAGES))
    probe.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"given": 1}, r"`body` has no place for x; places are \{x\}, and \{\*\} for objects of all inputs"),
        ({"given": "{y}", "x": "{x}"}, r'a place for "\{y\}", which is no input'),
        ({"x": "{x[0]}"}, r'"\{x\[0\]\}" in `body` takes one example a request, this one has 4'),
    ],
)
def test_a_template_that_does_not_fit(url: str, body: Any, message: str) -> None:
    probe = http_of(url, body=body)
    probe.open()
    with pytest.raises(CannotLoad, match=message):
        probe.encode(INPUTS)
    probe.close()


def test_an_expression_that_finds_nothing(url: str) -> None:
    probe = http_of(url, outputs={"scores": "answer.nothing"})
    probe.open()
    with pytest.raises(BadAnswer, match=r'output "scores": the answer has nothing at answer\.nothing'):
        probe.decode(probe.predict(probe.encode(INPUTS)))
    probe.close()
