"""The probe for the Open Inference Protocol against servers that misbehave, each on a real socket."""

import json
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, ProbeError, Rejected, Unreachable
from goldwatch_probes.open_inference import OpenInference

from tests.probes.conftest import METADATA, RawServer, response

LIMIT_S = 0.3
MAX_BYTES = 100_000
INPUTS = {"x": np.ones((1, 2), dtype=np.float32)}
Start = Callable[..., RawServer]


def outputs(**changes: object) -> bytes:
    tensor = {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]} | changes
    return response(json.dumps({"outputs": [tensor]}).encode())


def probe_of(server: RawServer | str, **options: Any) -> OpenInference:
    url = server if isinstance(server, str) else server.url
    settings = OpenInference.Options(**({"url": url, "model": "tiny"} | options))
    return OpenInference(settings, Context(time_limit_s=LIMIT_S, max_response_bytes=MAX_BYTES))


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)  # wakes the reader of this connection
    connection.close()


def send(data: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, _: connection.sendall(data)


def send_then_reset(data: bytes) -> Callable[[socket.socket, bytes], None]:
    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        reset(connection)

    return behave


def send_then_end(data: bytes) -> Callable[[socket.socket, bytes], None]:
    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def trickle(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def trickle_headers(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.02)


def endless(head: bytes, piece: bytes) -> Callable[[socket.socket, bytes], None]:
    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece * 100)

    return behave


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FAILURES = {
    "reset": (send_then_reset(b""), Unreachable, "/v2/models/tiny/infer: .*(reset|closed)"),
    "end at once": (send_then_end(b""), Unreachable, "closed connection without response"),
    "reset in the headers": (send_then_reset(b"HTTP/1.1 200 OK\r\nConte"), Unreachable, "reset"),
    "reset in the body": (send_then_reset(outputs()[:-5]), Unreachable, "reset|broke off"),
    "end in the body": (send_then_end(outputs()[:-5]), Unreachable, "the answer broke off"),
    "end in a chunk": (send_then_end(CHUNKED + b"ff\r\n{"), Unreachable, "the answer broke off"),
    "no chunk": (send(CHUNKED + b"zz\r\n"), Unreachable, "the answer broke off"),
    "hang": (send(b""), TimeoutError, r"no whole answer from http://.*/infer within 0.3 s"),
    "hang in the body": (send(outputs()[:-5]), TimeoutError, "no whole answer"),
    "trickle": (trickle, TimeoutError, "no whole answer"),
    "trickle of headers": (trickle_headers, TimeoutError, "no whole answer"),
    "endless 100 Continue": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), BadAnswer, "longer than the 100000 bytes"),
    "500": (send(response(b'{"error": "out of memory"}', "500 Oops")), Rejected, "^answered 500: out of memory$"),
    "404": (send(response(b"no page\n", "404 Not Found")), Rejected, "^answered 404: no page$"),
    "400 with nothing": (send(response(b"", "400 Bad Request")), Rejected, "^answered 400$"),
    "500 with a book": (send(response(b"a" * 5000, "500 Oops")), Rejected, "^answered 500: a{200}$"),
    "204": (send(response(b"", "204 No Content")), Rejected, "^answered 204$"),
    "redirect": (
        send(response(b"", "307 Temporary Redirect", "Location: http://else/\r\n")),
        Rejected,
        "answered 307, a redirect to http://else/; redirects are not followed, give the final `url`",
    ),
    "garbage": (send(b"\x00\xff\x80 what\r\n\r\n"), BadAnswer, "the answer is not HTTP"),
    "endless garbage": (endless(b"", b"\x00" * 1000), BadAnswer, "not HTTP|longer than the 100000"),
    "truncated JSON": (send(response(b'{"outputs": [{"name": "y"')), BadAnswer, "the answer is not JSON"),
    "wrong name": (send(outputs(name="z")), BadAnswer, '^no output "y"; the answer has z$'),
    "wrong shape": (
        send(outputs(shape=[2], data=[1, 2])),
        BadAnswer,
        r'output "y" has shape \[2\], the metadata says \[-1, 2\]',
    ),
    "wrong width": (send(outputs(shape=[1, 3], data=[1, 2, 3])), BadAnswer, r"has shape \[1, 3\], the metadata says"),
    "wrong length": (send(outputs(data=[1])), BadAnswer, r'output "y" has 1 values, its shape \[1, 2\] needs 2'),
    "wrong datatype": (
        send(outputs(datatype="INT64", data=[1, 2])),
        BadAnswer,
        'output "y" came as int64, the metadata says float32',
    ),
    "wrong values": (send(outputs(data=["a", "b"])), BadAnswer, 'output "y" has values that are no FP32'),
    "compressed": (
        send(response(b"", headers="Content-Encoding: gzip\r\n")),
        BadAnswer,
        "Content-Encoding gzip, which was not asked for",
    ),
    "a gigabyte": (
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"),
        BadAnswer,
        "the answer has 1073741824 bytes, more than the 100000 allowed",
    ),
    "endless chunks": (endless(CHUNKED, b"a\r\n0123456789\r\n"), BadAnswer, "longer than the 100000 bytes allowed"),
    "one endless chunk": (endless(CHUNKED + b"ffffffffff\r\n", b"a" * 1000), BadAnswer, "longer than the 100000 bytes"),
    "a chunk of -1": (endless(CHUNKED + b"-1\r\n", b"a" * 1000), BadAnswer, "longer than the 100000 bytes"),
    "endless without a length": (endless(b"HTTP/1.0 200 OK\r\n\r\n", b"a" * 1000), BadAnswer, "longer than the 100000"),
    "endless headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), BadAnswer, "not HTTP|longer than the 100000"),
}


def ask(probe: OpenInference) -> np.ndarray:
    return probe.decode(probe.predict(probe.encode(INPUTS)))["y"]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_told_bounded_and_over(raw_server: Start, failure: str) -> None:
    behave, error, message = FAILURES[failure]
    answers = [behave, send(outputs())]

    def next_behaviour(connection: socket.socket, request: bytes) -> None:
        answers.pop(0)(connection, request)

    server = raw_server({"infer": next_behaviour})
    probe = probe_of(server)
    probe.open()
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(error, match=message) as caught:
        ask(probe)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < 5
    assert peak < 20_000_000  # which has room for the test itself, and none for a stream at the speed of memory
    assert type(caught.value) is error
    assert len(str(caught.value)) < 350
    np.testing.assert_array_equal(ask(probe), [[0.25, 0.75]])  # the next request starts clean
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
        time.sleep(0.05)  # for the end to arrive
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
        (send(b""), Unreachable, r"no whole answer from http://127.0.0.1:\d+/v2/health/ready within 0.3 s"),
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
        ({"url": "http://host/?q=1"}, "expected http://HOST:PORT"),
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
