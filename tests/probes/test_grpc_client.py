"""gRPC over HTTP/2: the meaning of answers, against a server whose every frame the test sets."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import DataFrame

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, Rejected, Unreachable
from goldwatch_probes._grpc_client import GrpcClient
from goldwatch_probes._remote import RemoteOptions

from tests.probes.http2_peer import Peer, Script, serving

OK = ("grpc-status", "0")
MESSAGE = b"\0\0\0\0\x06answer"


def client(url: str, limit_s: float = 10, **options: Any) -> GrpcClient:
    context = Context(time_limit_s=limit_s, max_response_bytes=2**20)
    return GrpcClient(RemoteOptions(url=url, **options), context, "a.Service")


def once(head: list[tuple[str, str]], body: bytes = b"", trailers: list[tuple[str, str]] | None = None) -> Script:
    """Answer one request so, without trailers if there are none, and wait for the client to close."""

    def run(peer: Peer) -> None:
        peer.greet()
        number, _, _ = peer.request()
        peer.send(peer.headers(number, *head, ends=not body and trailers is None))
        if body:
            peer.send(DataFrame(number, body, flags=[] if trailers is not None else ["END_STREAM"]))
        if trailers is not None:
            peer.send(peer.headers(number, *trailers, ends=True))
        peer.request()

    return run


def told(body: bytes = MESSAGE, *trailers: tuple[str, str]) -> Script:
    return once([(":status", "200"), ("content-type", "application/grpc")], body, list(trailers) or [OK])


def only(*headers: tuple[str, str], status: str = "200") -> Script:
    return once([(":status", status), *headers])


def test_what_is_asked() -> None:
    seen: dict[str, Any] = {}

    def run(peer: Peer) -> None:
        peer.greet()
        number, seen["headers"], seen["body"] = peer.request()
        peer.send(*peer.answer(number, MESSAGE, OK))
        peer.request()

    with serving(run) as url:
        asks = client(url, limit_s=1.5, token="s3cret", headers={"X-Team": "a"}, sampled=True)
        request = asks.request("Ask", b"question")
        assert "s3cret" not in repr(request)
        assert request.message == b"question"
        reply = asks.call(request)
        assert reply.message == b"answer"
        assert 0 < reply.arrived_ns - reply.sent_ns < 30e9
        asks.close()
    headers = seen["headers"]
    assert seen["body"] == b"\0\0\0\0\x08question"
    assert [*headers][:4] == [":method", ":scheme", ":path", ":authority"], "these come first"
    assert (headers[":path"], headers[":authority"]) == ("/a.Service/Ask", url.removeprefix("http://"))
    assert (headers["te"], headers["content-type"], headers["grpc-timeout"]) == (
        "trailers",
        "application/grpc",
        "1500m",
    )
    assert (headers["authorization"], headers["x-team"]) == ("Bearer s3cret", "a")
    assert headers["traceparent"].endswith("-01")


STATUS_5 = [("grpc-status", "5"), ("grpc-message", "no%20model%0A%C3%A4")]


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (told(b"", *STATUS_5), Rejected, "^answered NOT_FOUND: no model ä$"),
        (only(("content-type", "application/grpc"), *STATUS_5), Rejected, "^answered NOT_FOUND: no model ä$"),
        (told(MESSAGE, ("grpc-status", "13")), Rejected, "^answered INTERNAL$"),
        (told(MESSAGE, ("grpc-status", "77")), Rejected, "^answered UNKNOWN$"),
        (told(b"", ("grpc-status", "4")), TimeoutError, r"no whole answer from http://127.0.0.1:\d+ Ask within 10 s"),
        (told(b"", ("grpc-status", "14"), ("grpc-message", "full")), Unreachable, r"http://127.0.0.1:\d+ Ask: full$"),
        (only(status="503"), Unreachable, r"Ask: status 503 of HTTP$"),
        (only(("content-type", "text/html"), status="404"), Rejected, "^answered UNIMPLEMENTED: status 404 of HTTP$"),
        (
            only(("content-type", "text/html"), status="302"),
            Rejected,
            "^answered UNKNOWN: status 302 of HTTP, a redirect to nowhere; give the final `url`$",
        ),
        (only(("content-type", "text/html")), BadAnswer, r"^the answer is not gRPC \(text/html\)$"),
        (told(MESSAGE, ("grpc-status", "9" * 5000)), BadAnswer, "^the answer is not gRPC"),
        (only(status="2" * 5000), BadAnswer, r"^the answer is not HTTP/2 \(it has no status\)$"),
        (told(MESSAGE, ("grpc-status", "fine")), BadAnswer, r"^the answer is not gRPC \(application/grpc\)$"),
        (told(b""), BadAnswer, "^the answer has no message$"),
        (told(MESSAGE[:-1]), BadAnswer, "^the answer has 5 bytes, its message needs 6$"),
        (told(MESSAGE + MESSAGE), BadAnswer, "^the answer has 17 bytes, its message needs 6$"),
        (told(b"\1" + MESSAGE[1:]), BadAnswer, "^the answer is compressed by nothing named, which was not asked for$"),
        (
            told(b"\1" + MESSAGE[1:], ("grpc-status", "0"), ("grpc-encoding", "gzip")),
            BadAnswer,
            "^the answer cannot be decompressed",
        ),
    ],
)
def test_what_an_answer_means(script: Script, error: type[Exception], message: str) -> None:
    with serving(script) as url:
        asks = client(url)
        with pytest.raises(error, match=message) as caught:
            asks.call(asks.request("Ask", b""))
        assert type(caught.value) is error
        asks.close()


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (told(b"", *STATUS_5), NotReady, "Ask: answered NOT_FOUND: no model"),
        (only(("grpc-status", "12")), CannotLoad, "Ask: answered UNIMPLEMENTED$"),
        (only(status="401"), CannotLoad, "Ask: answered UNAUTHENTICATED: status 401 of HTTP$"),
        (told(b""), CannotLoad, "Ask: the answer has no message$"),
        (told(b"", ("grpc-status", "4")), Unreachable, "Ask within 10 s$"),
        (told(b"", ("grpc-status", "14")), Unreachable, "Ask: $"),
    ],
)
def test_what_it_means_when_a_probe_is_opened(script: Script, error: type[Exception], message: str) -> None:
    with serving(script) as url:
        asks = client(url)
        with pytest.raises(error, match=message) as caught:
            asks.ask(asks.request("Ask", b""))
        assert type(caught.value) is error
        asks.close()


def test_a_method_that_may_be_missing() -> None:
    with serving(only(("grpc-status", "12"))) as url:
        asks = client(url)
        assert asks.ask(asks.request("Ask", b""), missing_allowed=True) == b""
        asks.close()
