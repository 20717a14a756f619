"""A socket to a model server on which each wait knows what is left of the whole exchange.

So a server that trickles cannot stretch it, and all bytes that come are counted, those around an answer too.
"""

from __future__ import annotations

import select
import socket
import ssl
import time

from goldwatch.probe import BadAnswer, Unreachable
from goldwatch_probes._arrival import Receiver
from goldwatch_probes._remote import Address

_PIECE = 2**16


RACE_NS = 1_000_000_000
"""A server that closes an idle connection as a request is on its way does so within this time of the request. One that
closes later may have worked on it."""


class BrokeOff(OSError):
    """The connection ended within an answer."""


def told(error: OSError, where: str, time_limit_s: float) -> Exception:
    """Return what an exchange with `where` failed by, as the engine expects it: TimeoutError or Unreachable."""
    if isinstance(error, TimeoutError):
        return TimeoutError(f"no whole answer from {where} within {time_limit_s:g} s")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"{where}: certificate not trusted ({error.verify_message}); is `ca_file` right?")
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(error.reason):
        return Unreachable(f"{where}: the server asks for a certificate; give `client_cert`")
    return Unreachable(f"{where}: {error.strerror or error}")


class Budget:
    """The time and the bytes left for the current exchange."""

    def __init__(self, time_limit_s: float, max_bytes: int) -> None:
        self.time_limit_s = time_limit_s
        self.max_bytes = max_bytes
        self.start()

    def start(self) -> None:
        self._deadline_s = time.monotonic() + self.time_limit_s
        self._bytes_left = self.max_bytes

    def left_s(self) -> float:
        """Return the seconds left, above 0. Raises TimeoutError."""
        left = self._deadline_s - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def take(self, count: int) -> None:
        """Account for `count` bytes received, framing included. Raises BadAnswer."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise BadAnswer(f"the answer is longer than the {self.max_bytes} bytes allowed")


class Server:
    """The address to connect to: a host and port, or a Unix socket."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        host, port = address.host, address.port
        self._host, self._port, self._socket, self._tls = host, port, address.socket, tls
        bare = f"[{host}]" if ":" in host else host
        self.name = bare if port == (443 if tls else 80) else f"{bare}:{port}"

    def connected(self, budget: Budget) -> Line:
        """Connect, and agree on TLS if that is wanted. Raises OSError."""
        sock = self._reached(budget)
        try:
            return Line(sock, budget) if self._tls is None else SecureLine(sock, budget, self._tls, self._host)
        except BaseException:
            sock.close()
            raise

    def _reached(self, budget: Budget) -> socket.socket:
        """Try the addresses of the host one after another, each with an equal share of the time left.

        Looking up the name is bounded only by the resolver.
        """
        if self._socket:
            return self._joined(budget)
        addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(budget.left_s() / left)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                if left == 1:
                    raise
            else:
                return sock
        raise OSError(f"{self._host} has no address")

    def _joined(self, budget: Budget) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(budget.left_s())
            sock.connect(self._socket)
        except OSError:
            sock.close()
            raise
        return sock


class Line:
    """A connected non-blocking socket: waits use poll, within a budget."""

    protocol: str | None = None
    """What both ends have agreed to speak, if they were asked."""

    def __init__(self, sock: socket.socket, budget: Budget) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._budget = budget
        self._receiver = Receiver(sock)
        self._readable, self._writable = select.poll(), select.poll()  # unlike select, without a limit on descriptors
        self._readable.register(sock, select.POLLIN)
        self._writable.register(sock, select.POLLOUT)

    def send(self, piece: bytes) -> None:
        """Send all bytes."""
        view = memoryview(piece)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                self._wait(self._writable)

    def receive(self) -> tuple[bytes, int]:
        """Wait for at least a byte; return it and when it arrived, by `time.monotonic_ns`; nothing at the end."""
        self._wait(self._readable)
        while True:
            try:
                piece, arrived_ns = self._receiver.receive(_PIECE)
            except BlockingIOError:
                self._wait(self._readable)
            else:
                self._budget.take(len(piece))
                return piece, arrived_ns

    def pending(self) -> bytes | None:
        """Return received bytes without waiting: nothing at the end, and None if there is nothing to read."""
        self._budget.left_s()
        try:
            piece, _ = self._receiver.receive(_PIECE)
        except BlockingIOError:
            return None
        self._budget.take(len(piece))
        return piece

    def has_input(self) -> bool:
        """Say whether something waits to be read."""
        return bool(self._readable.poll(0))

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def _wait(self, poll: select.poll) -> None:
        if not poll.poll(1e3 * self._budget.left_s()):
            raise TimeoutError


class SecureLine(Line):
    """A line with TLS between it and who uses it: OpenSSL has the bytes, but not the socket, which keeps its times."""

    def __init__(self, sock: socket.socket, budget: Budget, tls: ssl.SSLContext, host: str) -> None:
        """Shake hands. Raises OSError."""
        super().__init__(sock, budget)
        self._come, self._to_go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._come, self._to_go, server_hostname=host)
        self._arrived_ns = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._take(*super().receive())
            else:
                break
        self._flush()
        self.protocol = self._tls.selected_alpn_protocol()

    def send(self, piece: bytes) -> None:
        """Send all bytes."""
        view = memoryview(piece)
        while view:
            try:
                view = view[self._tls.write(view) :]
            except ssl.SSLWantReadError:  # the server wants other keys
                self._take(*super().receive())
            self._flush()

    def receive(self) -> tuple[bytes, int]:
        """Wait for at least a byte; return the bytes and when the last of them arrived; nothing at the end."""
        self._budget.left_s()
        while (piece := self._decrypted()) is None:
            self._take(*super().receive())
        return piece, self._arrived_ns

    def pending(self) -> bytes | None:
        """Return received bytes without waiting: nothing at the end, and None if there is nothing to read."""
        while (piece := self._decrypted()) is None:
            if (come := super().pending()) is None:
                return None
            self._take(come)
        return piece

    def _decrypted(self) -> bytes | None:
        """Return decrypted bytes, nothing at the end, and None if more must be received first."""
        try:
            return self._tls.read(_PIECE)
        except ssl.SSLWantReadError:
            self._flush()
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def _take(self, come: bytes, arrived_ns: int = 0) -> None:
        self._arrived_ns = arrived_ns
        if come:
            self._come.write(come)
        else:
            self._come.write_eof()

    def _flush(self) -> None:
        """Send what OpenSSL has queued."""
        if self._to_go.pending:
            super().send(self._to_go.read())
