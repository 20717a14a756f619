"""Servers that misbehave, each on a real socket: what they do, and how a probe must report it."""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections.abc import Callable, Collection
from typing import Any

import pytest

from goldwatch.probe import BadAnswer, Overloaded, Rejected, Unreachable

from tests.probes.conftest import response

LIMIT_S = 5.0  # long enough that a machine which stalls for a moment does not look like a server that does not answer
MAX_BYTES = 100_000


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


def until_ended(probe: Any) -> None:
    """Wait until a probe over HTTP has no connection, or the end of the one on which it has asked has arrived."""
    deadline = time.monotonic() + 60
    while (line := probe._opened()._connection()._line) is not None and not line.has_input():
        assert time.monotonic() < deadline, "the server did not close the connection"
        time.sleep(0.01)


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
    "reset": (send_then_reset(b""), Unreachable, ": .*(reset|closed)"),
    "end at once": (send_then_end(b""), Unreachable, "closed connection without response"),
    "reset in the headers": (send_then_reset(b"HTTP/1.1 200 OK\r\nConte"), Unreachable, "reset"),
    "reset in the body": (send_then_reset(response(b"x" * 100)[:-5]), Unreachable, "reset|broke off"),
    "end in the body": (send_then_end(response(b"x" * 100)[:-5]), Unreachable, "the answer broke off"),
    "end in a chunk": (send_then_end(CHUNKED + b"ff\r\n{"), Unreachable, "the answer broke off"),
    "no chunk": (send(CHUNKED + b"zz\r\n"), BadAnswer, "the answer is not HTTP"),
    "hang": (send(b""), TimeoutError, r"no whole answer from http://.* within 5 s"),
    "hang in the body": (send(response(b"x" * 100)[:-5]), TimeoutError, "no whole answer"),
    "trickle": (trickle, TimeoutError, "no whole answer"),
    "trickle of headers": (trickle_headers, TimeoutError, "no whole answer"),
    "endless 100 Continue": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), BadAnswer, "longer than the 100000 bytes"),
    "500": (send(response(b'{"error": "out of memory"}', "500 Oops")), Rejected, "^answered 500: out of memory$"),
    "404": (send(response(b"no page\n", "404 Not Found")), Rejected, "^answered 404: no page$"),
    "400 with nothing": (send(response(b"", "400 Bad Request")), Rejected, "^answered 400$"),
    "500 with a book": (send(response(b"a" * 5000, "500 Oops")), Rejected, "^answered 500: a{200}$"),
    "101": (
        send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05Hello"),
        BadAnswer,
        "the server goes over to another protocol, which was not asked for",
    ),
    "204": (send(response(b"", "204 No Content")), Rejected, "^answered 204$"),
    "redirect": (
        send(response(b"", "307 Temporary Redirect", "Location: http://else/\r\n")),
        Rejected,
        "answered 307, a redirect to http://else/; redirects are not followed, give the final `url`",
    ),
    "garbage": (send(b"\x00\xff\x80 what\r\n\r\n"), BadAnswer, "the answer is not HTTP"),
    "endless garbage": (endless(b"", b"\x00" * 1000), BadAnswer, "not HTTP|longer than the 100000"),
    "truncated JSON": (send(response(b'{"outputs": [{"name": "y"')), BadAnswer, "the answer is not JSON"),
    "compressed in another way": (
        send(response(b"", headers="Content-Encoding: br\r\n")),
        BadAnswer,
        "Content-Encoding br, which was not asked for",
    ),
    "compressed garbage": (
        send(response(b"garbage", headers="Content-Encoding: gzip\r\n")),
        BadAnswer,
        "the answer cannot be decompressed",
    ),
    "a bomb": (
        send(response(gzip.compress(bytes(10**7)), headers="Content-Encoding: gzip\r\n")),
        BadAnswer,
        "longer than the 100000 bytes allowed",
    ),
    "429": (
        send(response(b'{"error": "rate limit"}', "429 Too Many", "Retry-After: 30\r\n")),
        Overloaded,
        "^overloaded: answered 429: rate limit; it asks to be left alone for 30 s$",
    ),
    "a gigabyte": (
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"),
        BadAnswer,
        "the answer has 1073741824 bytes, more than the 100000 allowed",
    ),
    "endless chunks": (endless(CHUNKED, b"a\r\n0123456789\r\n"), BadAnswer, "longer than the 100000 bytes allowed"),
    "one endless chunk": (endless(CHUNKED + b"ffffffffff\r\n", b"a" * 1000), BadAnswer, "longer than the 100000 bytes"),
    "a chunk of -1": (endless(CHUNKED + b"-1\r\n", b"a" * 1000), BadAnswer, "the answer is not HTTP"),
    "endless without a length": (endless(b"HTTP/1.0 200 OK\r\n\r\n", b"a" * 1000), BadAnswer, "longer than the 100000"),
    "endless headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), BadAnswer, "not HTTP|longer than the 100000"),
}
"""What a server does in place of an answer, and the error that it must become, whatever the protocol over HTTP."""


def failures(without: Collection[str] = ()) -> list[Any]:
    """Return their names as parameters of a test; one that waits for a time limit is slow, and marked so."""
    return [
        pytest.param(name, marks=pytest.mark.real if error is TimeoutError else ())
        for name, (_, error, _) in FAILURES.items()
        if name not in without
    ]
