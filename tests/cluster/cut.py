"""A connection that a test can cut, and that keeps a log of what was sent over it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from tests.real.agent import free_port


class Cable:
    """Listens on a port of its own and passes everything on to another, each message `delay_s` late."""

    def __init__(self, to_port: int, delay_s: float = 0.0) -> None:
        self.sent_at: list[float] = []
        self._delay_s = delay_s
        self.port = free_port()
        self._to_port = to_port
        self._through = threading.Event()
        self._through.set()
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Let nothing through any more; connections stay open and silent, as behind a broken switch."""
        self._through.clear()

    def mend(self) -> None:
        """Let new connections through; those from before are gone."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._through.set()

    def close(self) -> None:
        self._listening.close()
        self.mend()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._open += [near, far]
                threading.Thread(target=self._pass_on, args=(near, far, self.sent_at), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, []), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, log: list[float]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                log.append(time.monotonic())
                time.sleep(self._delay_s)
                if self._through.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
