"""Every probe over HTTP against the same servers that misbehave, each on a real socket."""

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, Unreachable
from goldwatch_probes import _http
from goldwatch_probes._http import Connection
from goldwatch_probes._line import Budget, Line
from goldwatch_probes.http_template import HttpTemplate
from goldwatch_probes.mlflow_scoring import MlflowScoring
from goldwatch_probes.open_inference import OpenInference
from goldwatch_probes.tensorflow_serving import TensorFlowServing
from goldwatch_probes.torchserve import TorchServe

from tests.probes.conftest import METADATA, RawServer, response
from tests.probes.misbehaving import (
    FAILURES,
    LIMIT_S,
    MAX_BYTES,
    failures,
    send,
    send_then_end,
    send_then_reset,
    until_ended,
)

INPUTS = {"x": np.ones((1, 2), dtype=np.float32)}
Start = Callable[..., RawServer]


class Case(NamedTuple):
    """A probe, its options besides `url`, what its server answers to questions and to a prediction, its first path."""

    cls: Any
    options: dict[str, Any]
    page: Any
    answer: Any
    ready: str

    def probe(self, url: str, **options: Any) -> Any:
        context = Context(time_limit_s=LIMIT_S, max_response_bytes=MAX_BYTES)
        return self.cls(self.cls.Options(**({"url": url} | self.options | options)), context)

    @property
    def good(self) -> bytes:
        return response(json.dumps(self.answer).encode())


CASES = {
    "open-inference": Case(
        OpenInference,
        {"model": "tiny"},
        METADATA,
        {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}]},
        "/v2/health/ready",
    ),
    "tensorflow-serving": Case(
        TensorFlowServing,
        {"model": "tiny", "output": "y"},
        {"name": "tiny", "ready": True, "metadata": {"signature_def": {"signature_def": {"serving_default": {}}}}},
        {"predictions": [[0.25, 0.75]]},
        "/v1/models/tiny",
    ),
    "torchserve": Case(TorchServe, {"model": "tiny", "output": "y"}, {}, [[0.25, 0.75]], "/ping"),
    "mlflow": Case(MlflowScoring, {"output": "y"}, {}, {"predictions": [[0.25, 0.75]]}, "/ping"),
    "http": Case(
        HttpTemplate,
        {"path": "p", "body": {"x": "{x}"}, "outputs": {"y": "y"}, "health": "/ping"},
        {},
        {"y": [[0.25, 0.75]]},
        "/ping",
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def ask(probe: Any) -> np.ndarray:
    return np.asarray(probe.decode(probe.predict(probe.encode(INPUTS)))["y"])


@pytest.mark.parametrize("failure", failures(without={"end at once", "reset"}))
def test_a_failure_is_told_bounded_and_over(raw_server: Start, case: Case, failure: str) -> None:
    behave, error, message = FAILURES[failure]
    answers = [behave, send(case.good)]

    def next_behaviour(connection: socket.socket, request: bytes) -> None:
        answers.pop(0)(connection, request)

    server = raw_server({"infer": next_behaviour}, page=case.page)
    probe = case.probe(server.url)
    probe.open()
    request = probe.encode(INPUTS)
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(error, match=message) as caught:
        probe.decode(probe.predict(request))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < 30  # it ends, however slow the machine
    assert peak < 20_000_000  # which has room for the test itself, and none for a stream at the speed of memory
    assert type(caught.value) is error
    assert len(str(caught.value)) < 350
    np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])  # the next request starts clean
    probe.close()


def test_one_connection_is_kept(raw_server: Start, case: Case) -> None:
    server = raw_server({"infer": send(case.good)}, page=case.page)
    probe = case.probe(server.url)
    probe.open()
    for _ in range(5):
        ask(probe)
    assert server.connections == 1
    probe.close()


def test_a_connection_closed_between_requests_is_opened_again(raw_server: Start, case: Case) -> None:
    server = raw_server({"infer": send_then_end(case.good)}, page=case.page)
    probe = case.probe(server.url)
    probe.open()
    for _ in range(3):
        np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])
        until_ended(probe)
    assert server.connections == 3
    probe.close()


@pytest.mark.parametrize("end", [send_then_end(b""), send_then_reset(b"")])
def test_a_request_on_a_connection_that_just_ended_is_sent_again_once(
    raw_server: Start, case: Case, end: Callable[..., None]
) -> None:
    answers = [send(case.good), end, send(case.good), end, end, send(case.good)]

    def next_behaviour(connection: socket.socket, request: bytes) -> None:
        answers.pop(0)(connection, request)

    server = raw_server({"infer": next_behaviour}, page=case.page)
    probe = case.probe(server.url)
    probe.open()
    for _ in range(2):
        np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])
    assert probe.resent == 1
    with pytest.raises(Unreachable, match=r"reset|closed"):  # the second time, on a new connection
        ask(probe)
    np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])
    assert probe.resent == 2
    probe.close()


def test_a_request_that_may_have_been_worked_on_is_not_sent_again(
    raw_server: Start, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "RACE_NS", -1)  # as if the connection ended that long after the request
    server = raw_server({"infer": send_then_end(b"")}, page=case.page)
    probe = case.probe(server.url)
    probe.open()
    with pytest.raises(Unreachable, match=r"reset|closed"):
        ask(probe)
    assert probe.resent == 0
    probe.close()


@pytest.mark.parametrize(
    ("behaviour", "error", "message"),
    [
        pytest.param(
            send(b""), Unreachable, r"no whole answer from http://127.0.0.1:\d+/.* within 5 s", marks=pytest.mark.slow
        ),
        (send_then_reset(b""), Unreachable, "http://"),
        (send(response(b'{"message": "loading"}', "503 Wait")), NotReady, "answered 503: loading"),
        (send(response(b'{"detail": ""}', "503 Wait")), NotReady, "answered 503: {"),
        (send(response(b"", "403 Forbidden")), CannotLoad, "answered 403"),
        (send(response(b"", "302 Found", "Location: /x\r\n")), CannotLoad, "answered 302, a redirect to /x; "),
        (send(b"SSH-2.0-OpenSSH_9.2\r\n"), CannotLoad, "the answer is not HTTP"),
    ],
)
def test_a_server_that_is_not_ready(
    raw_server: Start, case: Case, behaviour: Callable[..., None], error: type[Exception], message: str
) -> None:
    probe = case.probe(raw_server({case.ready: behaviour}, page=case.page).url)
    with pytest.raises(error, match=message):
        probe.open()
    probe.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.25, "a"]], 'output "y" holds'),
        ([[0.25, [1]]], 'output "y" .*differ in length'),
        ([[0.25], [0.75, 1]], 'output "y" .*differ in length'),
        (0.25, 'output "y" is 0.25, expected a list'),
        ("a" * 1000, 'output "y" is "aaa'),
        ([{"y": [1]}, {"z": [1]}], 'do not all have the same outputs|output "y" holds'),
    ],
)
@pytest.mark.parametrize("name", ["tensorflow-serving", "torchserve", "mlflow", "http"])
def test_values_that_are_no_tensor(raw_server: Start, name: str, answer: Any, message: str) -> None:
    case = CASES[name]
    wrapped = {"y": answer} if name == "http" else {"predictions": answer}
    probe = case.probe(raw_server({"infer": send(response(json.dumps(wrapped).encode()))}, page=case.page).url)
    probe.open()
    with pytest.raises(BadAnswer, match=message) as caught:
        ask(probe)
    assert len(str(caught.value)) < 350
    probe.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "localhost:8000"}, "`url` is 'localhost:8000', expected http://HOST:PORT"),
        ({"url": "http://me:s3cret@host"}, "`url` holds a user or password; give a `token` instead"),
        ({"token": "s3cret\n"}, "the value of header 'Authorization' holds a line break"),
        ({"secret_headers": {"X-Key": "s3cret\r\n"}}, "the value of header 'X-Key' holds a line break"),
        ({"headers": {"X Key": "a"}}, "the name of header 'X Key' holds a character"),
        ({"headers": {"Traceparent": "a"}}, "header 'Traceparent' is given twice, or is one that goldwatch sets"),
        ({"headers": {"authorization": "a"}, "token": "s3cret"}, "header 'authorization' is given twice"),
        ({"headers": {"X-Key": "a"}, "secret_headers": {"x-key": "s3cret"}}, "header 'x-key' is given twice"),
        ({"ca_file": "/no/such.pem"}, "`ca_file` is given, but `url` does not begin with https"),
        ({"client_cert": "/no/such.pem"}, "`client_cert` is given, but `url` does not begin with https"),
        ({"url": "https://h", "client_cert": "/no/such.pem"}, "`client_cert` /no/such.pem: No such file"),
        ({"url": "https://h", "client_key": __file__}, "`client_key` is given without `client_cert`"),
        ({"url": "https://h", "client_cert": __file__}, "`client_cert` .*test_http_failures.py: .*must hold a cert"),
    ],
)
def test_options_that_cannot_be(case: Case, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotLoad, match=message) as caught:
        case.probe(**({"url": "http://127.0.0.1:1"} | options)).open()
    assert "s3cret" not in str(caught.value)


def test_head_and_body_of_a_request_leave_in_one_piece_unless_they_are_long() -> None:
    connection = Connection("http://127.0.0.1:1/at", time_limit_s=30.0, max_bytes=MAX_BYTES)
    head = (
        b"POST /at/x HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAccept-Encoding: identity\r\nContent-Length: %d\r\nA: b\r\n\r\n"
    )
    assert connection.written("POST", "x", b"body", {"A": "b"}).pieces == (head % 4 + b"body",)
    long = b"x" * 2**16
    assert connection.written("POST", "x", long, {"A": "b"}).pieces == (head % 2**16, long)


def test_a_piece_that_the_server_takes_bit_by_bit_is_sent_whole() -> None:
    ours, theirs = socket.socketpair()
    piece, taken = bytes(range(256)) * 2**14, bytearray()
    with ours, theirs:

        def take() -> None:
            while len(taken) < len(piece):
                taken.extend(theirs.recv(2**12))

        reader = threading.Thread(target=take)
        reader.start()
        Line(ours, Budget(30.0, MAX_BYTES)).send(piece)
        reader.join(30.0)
    assert taken == piece


def test_a_path_that_cannot_be_sent_is_told_before_anything_is() -> None:
    with pytest.raises(CannotLoad, match="the path '/a b' holds a character not allowed there"):
        Connection("http://127.0.0.1:1", time_limit_s=30.0, max_bytes=MAX_BYTES).written("POST", "a b")


@pytest.mark.parametrize("ends", [True, False])
def test_an_answer_that_comes_before_the_whole_request_was_read(ends: bool) -> None:
    """As nginx does with 413: it does not read the rest, and closes."""

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            if ends:
                connection.sendall(response(b"too large", "413 Request Entity Too Large", "Connection: close\r\n"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        connection = Connection(url, time_limit_s=LIMIT_S, max_bytes=MAX_BYTES)
        request = connection.written("POST", "infer", bytes(50_000_000))
        if ends:
            answer = connection.send(request)
            assert (answer.status, answer.body) == (413, b"too large")
            assert connection._line is None
        else:
            with pytest.raises(Unreachable, match=r"Broken pipe|Connection reset by peer"):
                connection.send(request)
        thread.join()
