"""Answers of other programs over HTTP, and their failures, each on a real socket."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from goldwatch import http_reading
from goldwatch.http_reading import Unreadable, download, fetch, fetch_json

Serve = Callable[..., str]
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that sends a text, and then, on request, one byte after the other for ever."""
    over = threading.Event()
    with contextlib.ExitStack() as stack:

        def start(said: bytes, *, trickles: bool = False) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer() -> None:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(2**16)
                    connection.sendall(said)
                    while not over.wait(0.05):
                        connection.sendall(b"a" if trickles else b"")

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join)
            return f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"

        yield start
        over.set()


def test_what_a_server_answers(serve: Serve) -> None:
    assert fetch(serve(WHOLE % (4, b"up 1")), {}) == b"up 1"


def test_what_a_server_refuses_with_is_told_in_one_line(serve: Serve) -> None:
    page = b"<!DOCTYPE HTML>\n<html>\n  <p>none</p>"
    with pytest.raises(Unreadable, match=r"/metrics: HTTP 404: <!DOCTYPE HTML> <html> <p>none</p>$"):
        fetch(serve(b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)), {})


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nX-Endless: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        b"HTTP/1.1 503 Wait\r\nContent-Length: 100000\r\n\r\n",
    ],
)
def test_who_trickles_is_left(serve: Serve, said: bytes) -> None:
    address = serve(said, trickles=True)
    with pytest.raises(Unreadable, match=f"^{address}: it did not end within 1 s$"):
        download(address, {}, io.BytesIO(), 2**20, limit_s=1.0)


def test_who_refuses_and_says_no_more_is_left_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_reading, "_LIMIT_S", 1.0)
    with pytest.raises(Unreadable, match=r"timed out|did not end"):
        fetch(serve(b"HTTP/1.1 503 Wait\r\nContent-Length: 300\r\n\r\n"), {})


def test_a_refusal_is_told_in_the_words_of_the_server(serve: Serve) -> None:
    address = serve(b"HTTP/1.1 503 Wait\r\nContent-Length: 7\r\n\r\nloading")
    with pytest.raises(Unreadable, match=f"^{address}: HTTP 503: loading$"):
        fetch(f"{address}?token=s3cret", {})


@pytest.mark.parametrize("echoed", [b"Bearer s3cret-token", b"s3cret-token", b"s3cret-tok"])
def test_what_a_server_echoes_of_the_headers_is_hidden(serve: Serve, echoed: bytes) -> None:
    address = serve(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\nbad %s" % (4 + len(echoed), echoed))
    with pytest.raises(Unreadable, match=r": HTTP 401: bad (Bearer )?\*\*\*$"):
        fetch(address, {"Authorization": "Bearer s3cret-token"})


@pytest.mark.parametrize("said", [b"<html>", b"[" * 100_000])
def test_what_is_no_json(serve: Serve, said: bytes) -> None:
    with pytest.raises(Unreadable, match="does not answer with JSON"):
        fetch_json(serve(WHOLE % (len(said), said)), {})


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (b"file:///etc/passwd", "^file:///etc/passwd is no address of HTTP$"),
        (b"ftp://127.0.0.1/", "is no address of HTTP"),
    ],
)
def test_a_redirect_leads_to_http_only(serve: Serve, location: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        fetch(serve(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % location), {})


def test_a_body_that_is_cut_off_is_no_answer(serve: Serve) -> None:
    with pytest.raises(Unreadable, match=r"/metrics: .*timed out after 0\.2 s without data$"):
        download(
            serve(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nup"), {}, io.BytesIO(), 100, silence_s=0.2, limit_s=9
        )
