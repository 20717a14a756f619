"""The probe for the Open Inference Protocol against servers that misbehave, each on a real socket."""

import json
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, ProbeError, Unreachable
from goldwatch_probes.open_inference import OpenInference

from tests.probes.conftest import METADATA, RawServer, response
from tests.probes.misbehaving import LIMIT_S, MAX_BYTES, send, send_then_end, send_then_reset, until_ended

INPUTS = {"x": np.ones((1, 2), dtype=np.float32)}
Start = Callable[..., RawServer]


def outputs(**changes: object) -> bytes:
    tensor = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]} | changes
    return response(json.dumps({"outputs": [tensor]}).encode())


def probe_of(server: RawServer | str, **options: Any) -> OpenInference:
    url = server if isinstance(server, str) else server.url
    settings = OpenInference.Options(**({"url": url, "model": "tiny"} | options))
    return OpenInference(settings, Context(time_limit_s=LIMIT_S, max_response_bytes=MAX_BYTES))


ANSWERS = {
    "wrong name": (send(outputs(name="z")), '^no output "y"; the answer has z; if the metadata is wrong, set'),
    "wrong shape": (
        send(outputs(shape=[2], data=[1, 2])),
        r'output "y" has shape \[2\], the metadata says \[-1, 2\]',
    ),
    "wrong width": (send(outputs(shape=[1, 3], data=[1, 2, 3])), r"has shape \[1, 3\], the metadata says"),
    "wrong length": (send(outputs(data=[1])), r'output "y" has 1 values, its shape \[1, 2\] needs 2'),
    "wrong datatype": (
        send(outputs(datatype="INT64", data=[1, 2])),
        'output "y" came as int64, the metadata says float32',
    ),
    "wrong values": (send(outputs(data=["a", "b"])), 'output "y" has values that are no FP32'),
}


def ask(probe: OpenInference) -> np.ndarray:
    return probe.decode(probe.predict(probe.encode(INPUTS)))["y"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_breaks_the_protocol(raw_server: Start, answer: str) -> None:
    behave, message = ANSWERS[answer]
    probe = probe_of(raw_server({"infer": behave}))
    probe.open()
    with pytest.raises(BadAnswer, match=message):
        ask(probe)
    probe.close()


def test_the_connection_is_kept(raw_server: Start) -> None:
    server = raw_server({"infer": send(outputs())})
    probe = probe_of(server)
    probe.open()
    for _ in range(5):
        ask(probe)
    assert server.connections == 1
    probe.close()


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_a_connection_closed_between_requests_is_opened_again(raw_server: Start, last_words: bytes) -> None:
    server = raw_server({"infer": send_then_end(outputs() + last_words)})
    probe = probe_of(server)
    probe.open()
    for _ in range(3):
        np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])
        until_ended(probe)
    assert server.connections == 3
    probe.close()


def test_an_answer_with_connection_close_is_whole(raw_server: Start) -> None:
    body = outputs().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    server = raw_server({"infer": send_then_end(body)})
    probe = probe_of(server)
    probe.open()
    for _ in range(2):
        np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])
    probe.close()


def test_what_is_sent(raw_server: Start) -> None:
    server = raw_server({"infer": send(outputs())})
    probe = probe_of(server.url + "/base/", token="s3cret", headers={"X-Team": "a"}, version="2")
    assert "s3cret" not in repr(probe._options)
    probe.open()
    request = probe.encode(INPUTS)
    assert "s3cret" not in repr(request)
    probe.predict(request)
    base = b" /base/v2/models/tiny/versions/2"
    starts = [b"GET /base/v2/health/ready", b"GET" + base + b"/ready", b"GET" + base, b"GET /base/v2", b"POST" + base]
    assert len(server.requests) == len(starts)
    for sent, start in zip(server.requests, starts, strict=True):
        assert sent.startswith(start)
        for header in (b"Authorization: Bearer s3cret", b"X-Team: a", b"x-goldwatch-replay: 1"):
            assert header + b"\r\n" in sent
    assert b"Content-Type: application/json\r\n" in server.requests[-1]
    probe.close()


@pytest.mark.parametrize(
    ("behaviour", "error", "message"),
    [
        pytest.param(
            send(b""),
            Unreachable,
            r"no whole answer from http://127.0.0.1:\d+/v2/health/ready within 5 s",
            marks=pytest.mark.slow,
        ),
        (send_then_reset(b""), Unreachable, "/v2/health/ready: "),
        (send(response(b'{"error": "loading"}', "503 Wait")), NotReady, "/v2/health/ready: answered 503: loading"),
        (send(response(b"", "401 Unauthorized")), CannotLoad, "/v2/health/ready: answered 401"),
        (
            send(response(b"", "302 Found", "Location: /x\r\n")),
            CannotLoad,
            "answered 302, a redirect to /x; ",
        ),
        (send(b"SSH-2.0-OpenSSH_9.2\r\n"), CannotLoad, "the answer is not HTTP"),
    ],
)
def test_a_server_that_is_not_ready(
    raw_server: Start, behaviour: Callable[..., None], error: type[Exception], message: str
) -> None:
    probe = probe_of(raw_server({"/v2/health/ready": behaviour}))
    with pytest.raises(error, match=message):
        probe.open()
    probe.close()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"<html>", "/v2/models/tiny: the answer is not JSON"),
        (b"[]", "/v2/models/tiny: the answer is JSON, but a list"),
        (b'{"inputs": [{"name": "x"}]}', "the metadata describes a tensor as"),
        (json.dumps(METADATA).replace("FP32", "BF16").encode(), 'tensor "x" is BF16, which numpy has no dtype for'),
    ],
)
def test_metadata_that_cannot_be_used(raw_server: Start, metadata: bytes, message: str) -> None:
    probe = probe_of(raw_server({"/v2/models/tiny": send(response(metadata))}))
    with pytest.raises(CannotLoad, match=message):
        probe.open()
    probe.close()


def test_a_server_that_declares_nothing(raw_server: Start) -> None:
    missing = send(response(b"{}", "404 Not Found"))
    server = raw_server(
        {"/v2/models/tiny": send(response(b'{"name": "tiny"}')), "/v2": missing, "infer": send(outputs())}
    )
    probe = probe_of(server)
    probe.open()
    assert (probe.describe().version, probe.describe().framework, probe.describe().inputs) == ("", "", ())
    ask(probe)
    probe.close()


@pytest.mark.parametrize(("versions", "newest"), [(["2", "10", "9"], "10"), (["1", "canary"], "canary"), ([], "")])
def test_the_newest_version_is_told(raw_server: Start, versions: list[str], newest: str) -> None:
    metadata = response(json.dumps(METADATA | {"versions": versions}).encode())
    probe = probe_of(raw_server({"/v2/models/tiny": send(metadata)}))
    probe.open()
    assert probe.describe().version == newest
    probe.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"http://127.0.0.1:{port}/v2/health/ready: Connection refused"):
        probe_of(f"http://127.0.0.1:{port}").open()


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(ProbeError, match=r"http://no-such-host.invalid/v2/health/ready: "):
        probe_of("http://no-such-host.invalid").open()


@pytest.mark.slow
def test_https_to_a_server_that_speaks_http(raw_server: Start) -> None:
    with pytest.raises(Unreachable, match="/v2/health/ready"):
        probe_of(raw_server().url.replace("http:", "https:")).open()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "localhost:8000"}, "`url` is 'localhost:8000', expected http://HOST:PORT"),
        ({"url": "ftp://host"}, "expected http://HOST:PORT or https://HOST:PORT"),
        ({"url": "http://"}, "expected http://HOST:PORT"),
        ({"url": "http://host:99999"}, "`url` is not an address: "),
        ({"url": "http://host/a b"}, "expected http://HOST:PORT"),
        ({"url": "http://me:s3cret@host"}, "`url` holds a user or password; give a `token` instead"),
        ({"token": "s3cret\n"}, "the value of header 'Authorization' holds a line break"),
        ({"headers": {"X-Name": "ä"}}, "the value of header 'X-Name' holds"),
        ({"url": "https://host", "ca_file": "/no/such.pem"}, "`ca_file` /no/such.pem: No such file"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotLoad, match=message) as caught:
        probe_of("http://127.0.0.1:1", **options).open()
    assert "s3cret" not in str(caught.value)
