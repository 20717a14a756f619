"""Arrival times of bytes: before the read, never before the last of them was there, and by no clock that was set."""

from __future__ import annotations

import contextlib
import ctypes
import select
import shutil
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from goldwatch_probes import _arrival
from goldwatch_probes._arrival import Receiver
from goldwatch_probes._http import Connection
from goldwatch_probes._line import Budget, SecureLine

from tests.loopback import serving

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a packet came")
WAIT_S = 30
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
DROPS_WHAT_BEGINS_WITH_H = (  # classic BPF over a TCP segment: the data begin at 4 times the upper half of byte 12
    (0x30, 0, 0, 12),
    (0x54, 0, 0, 0xF0),
    (0x74, 0, 0, 2),
    (0x07, 0, 0, 0),
    (0x50, 0, 0, 0),
    (0x15, 0, 1, ord("H")),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


@contextlib.contextmanager
def pair(segment: int = 0) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a TCP connection, client first; with `segment`, of packets no longer than that."""
    with socket.socket() as listener:
        if segment:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()) as client:
            server, _ = listener.accept()
            with server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield client, server


def readable(sock: socket.socket) -> int:
    """Wait until something can be read, and return when that was."""
    assert select.select([sock], [], [], WAIT_S)[0]
    return time.monotonic_ns()


def later(than_ns: int) -> None:
    """Wait a while: what is read afterwards is read late."""
    while time.monotonic_ns() < than_ns + 50_000_000:
        time.sleep(0.01)


@LINUX
def test_bytes_had_come_before_they_were_read() -> None:
    with pair() as (client, server):
        receiver = Receiver(client)
        until_ns = time.monotonic_ns() + WAIT_S * 10**9
        sent_ns = there_ns = arrived_ns = 0
        while not sent_ns < arrived_ns <= there_ns:  # the kernel begins to note times a little after it was asked to
            assert sent_ns < until_ns, (sent_ns, arrived_ns, there_ns)
            sent_ns = time.monotonic_ns()
            server.send(b"hello")
            there_ns = readable(client)
            later(there_ns)
            piece, arrived_ns = receiver.receive(100)
            assert piece == b"hello"


@LINUX
def test_a_part_that_was_lost_came_when_it_came_again() -> None:
    """The kernel has one time for all that became readable at once: that of the part after the one that was lost."""
    with pair(segment=1000) as (client, server):
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in DROPS_WHAT_BEGINS_WITH_H))
        receiver = Receiver(client)
        client.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_FILTER,
            struct.pack("HL", len(DROPS_WHAT_BEGINS_WITH_H), ctypes.addressof(program)),
        )
        server.send(b"H" * 900)
        server.send(b"x" * 900)
        later(time.monotonic_ns())
        lost_until_ns = time.monotonic_ns()
        client.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        came = b""
        while len(came) < 1800:
            readable(client)
            piece, arrived_ns = receiver.receive(4000)
            came += piece
            assert arrived_ns > lost_until_ns
        assert came == b"H" * 900 + b"x" * 900


@LINUX
def test_without_a_count_of_what_was_lost_a_long_wait_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrival, "_OUT_OF_ORDER", struct.Struct("@4096xI"))  # an older kernel's answer is shorter
    with pair() as (client, server):
        receiver = Receiver(client)
        server.send(b"hello")
        later(there_ns := readable(client))
        assert receiver.receive(100)[1] > there_ns


@LINUX
def test_a_clock_that_was_set_back_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pair() as (client, server):
        receiver = Receiver(client)
        server.send(b"hello")
        later(there_ns := readable(client))
        monkeypatch.setattr(time, "time_ns", lambda: 10**18)
        assert receiver.receive(100)[1] > there_ns


def test_without_the_kernels_word_bytes_come_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pair() as (client, server):
        receiver = Receiver(client)
        server.send(b"hello")
        later(there_ns := readable(client))
        piece, arrived_ns = receiver.receive(100)
        assert piece == b"hello"
        assert there_ns < arrived_ns <= time.monotonic_ns()


@LINUX
@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_by_tls_too(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with pair() as (client, server), ThreadPoolExecutor(1) as beside:
        shaken = beside.submit(ours.wrap_socket, server, server_side=True)
        line = SecureLine(client, Budget(WAIT_S, 10**6), trusting, "127.0.0.1")
        with shaken.result(WAIT_S) as secret:
            line.send(b"x" * 40_000)
            heard = b""
            while len(heard) < 40_000:
                heard += secret.recv(65_536)
            assert heard == b"x" * 40_000
            while line.pending() is not None:  # what the server adds to the handshake
                pass
            there_ns, arrived_ns = 0, 1
            while arrived_ns > there_ns:  # the kernel begins to note times a little after it was asked to
                secret.send(b"hello")
                later(there_ns := readable(client))
                piece, arrived_ns = line.receive()  # which raises when all of the budget is over
                assert piece == b"hello"
            assert line.pending() is None
        line.close()


class Slowly(BaseHTTPRequestHandler):
    """Answers in two parts, the second on a signal."""

    protocol_version = "HTTP/1.1"
    go_on: threading.Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"part")
        self.go_on.wait(WAIT_S)
        self.wfile.write(b"part")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_answer_is_there_with_its_last_byte() -> None:
    go_on = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Slowly,), {"go_on": go_on}))
    with server, serving(server):
        connection = Connection(f"http://127.0.0.1:{server.server_port}", time_limit_s=WAIT_S, max_bytes=1000)
        timer = threading.Timer(0.05, go_on.set)
        began_ns = time.monotonic_ns()
        timer.start()
        answer = connection.send(connection.written("POST", "", b"{}"), streamed=True)
        timer.join()
        connection.close()
    assert answer.body == b"partpart"
    assert began_ns + 50_000_000 <= answer.arrived_ns <= time.monotonic_ns()
    assert (answer.arrived_ns - began_ns) / 1e9 >= answer.arrivals[-1][0]
    assert answer.arrivals[-1][1] == 8
