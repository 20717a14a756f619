"""An answer of a model server over HTTP/1.1, read by the client of the probes."""

from __future__ import annotations

import contextlib
import socket
import threading
from functools import cache

from goldwatch.probe import BadAnswer, Unreachable
from goldwatch_probes._http import Connection

MAX_BYTES = 2**16


class Server:
    """Answers each connection on loopback with the bytes that it was given last, and closes it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.answer = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(2**16)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)  # until the client has read all


@cache
def _server() -> Server:
    return Server()


def target(data: bytes) -> None:
    """Return if the answer is read, whole or as a stream, or refused."""
    server = _server()
    server.answer = data
    connection = Connection(server.url, time_limit_s=10, max_bytes=MAX_BYTES)
    try:
        answer = connection.send(connection.written("POST", "model", b"{}"), streamed=len(data) % 2 == 0)
        assert len(answer.body) <= MAX_BYTES
        assert answer.arrived_ns >= answer.sent_ns
    except (BadAnswer, Unreachable):
        pass
    finally:
        connection.close()
