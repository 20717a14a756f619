"""One persistent HTTP/1.1 connection on which every request ends by a deadline and in bounded memory.

Answers are read by httptools, Node's parser in C, which takes microseconds where `http.client` takes tens of them. The
socket is ours: each wait knows what is left of the whole exchange, so that a server that trickles cannot stretch it,
and all bytes that come are counted, those around the answer too.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import httptools

from goldwatch.probe import BadAnswer, CannotLoad, Unreachable
from goldwatch_probes._arrival import Receiver
from goldwatch_probes._remote import split_url

_PIECE = 2**16
_MOST_JOINED = 2**16
"""Head and body of a request leave in one piece if together they are no longer."""

_MOST_OF_HEAD = 2**17
"""The headers of an answer are kept whole, so they have a bound of their own."""

_MOST_ARRIVALS = 2**16
"""A server that trickles must not fill the memory with its times."""


class Answer(NamedTuple):
    """A whole response. The names of `headers` are in lower case. The body is as it came, of any status.

    `sent_ns` is when the request was sent, or before connecting for it, and `arrived_ns` when the last of the answer
    had come, by `time.monotonic_ns`. Of a streamed one, `arrivals` says how many bytes of the body had come by when, in
    seconds since it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ns: int
    arrived_ns: int
    arrivals: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A request as it goes over the wire, so that nothing of it is left to be made once it is timed."""

    method: str
    path: str
    pieces: tuple[bytes, ...] = field(repr=False)  # they hold the token


class Connection:
    """A connection to one server, opened when first needed. Requests follow one another.

    A connection that the server closed since the last request is opened again before the next is sent; one that breaks
    during a request is an error, since nobody knows whether the request was run. Proxies in the environment are
    ignored: they would be timed too.
    """

    def __init__(self, url: str, *, time_limit_s: float, max_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        """Check `url`; connect later, by `tls` if that is given. Raises CannotLoad."""
        _, host, port, self._prefix = split_url(url)
        self.url = url.rstrip("/")
        self._budget = _Budget(time_limit_s, max_bytes)
        self._server = _Server(host, port, tls)
        self._line: _Line | None = None

    def connect(self) -> None:
        """Connect now, if there is no connection. Raises Unreachable."""
        self._budget.start()
        try:
            self._opened()
        except OSError as error:
            self.close()
            raise Unreachable(str(_translated(error, self.url, self._budget.time_limit_s))) from error

    def written(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Written:
        """Return a request for `path`, relative to the URL.

        It is one piece if it is short: two would be twice the packets, and wake the server twice. Raises CannotLoad.
        """
        target = f"{self._prefix}/{path}"
        if not (target.isascii() and target.isprintable()) or " " in target:
            raise CannotLoad(f"the path {target[:100]!r} holds a character not allowed there")
        lines = [f"{method} {target} HTTP/1.1\r\nHost: {self._server.name}\r\nAccept-Encoding: identity\r\n"]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}\r\n")
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        head = "".join(lines).encode("ascii") + b"\r\n"
        if not body:
            return Written(method, path, (head,))
        return Written(method, path, (head + body,) if len(head) + len(body) <= _MOST_JOINED else (head, body))

    def send(self, request: Written, *, streamed: bool = False) -> Answer:
        """Send a request and return the whole answer; if `streamed`, with arrivals.

        Raises TimeoutError, Unreachable, or BadAnswer if what came is not HTTP or too long; each of them closes the
        connection, so that the next request starts clean.
        """
        self._budget.start()
        reading = _Reading(self._budget.max_bytes, streamed=streamed)
        reading.sent_ns = time.monotonic_ns()
        try:
            line, kept = self._opened()
            if kept:
                reading.sent_ns = time.monotonic_ns()
            try:
                return self._exchange(line, request, reading)
            except _Disconnected:
                if not (kept and (streamed or request.method == "GET")):
                    raise
                # Some servers close a kept connection after a stream, llama.cpp's now and then: no byte of an answer
                # has come, so the request is sent once more, within the same deadline and counted from the first time.
                self.close()
                return self._exchange(self._opened()[0], request, reading)
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, httptools.HttpParserError)):
                raise _translated(error, f"{self.url}/{request.path}", self._budget.time_limit_s) from error
            raise

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _opened(self) -> tuple[_Line, bool]:
        """Return a connection, and whether it was there: one on which something already waits is opened anew.

        That is its end, or bytes that nobody asked for.
        """
        if self._line is not None and self._line.has_input():
            self.close()
        kept = self._line is not None
        if self._line is None:
            self._line = _Line(self._server.connected(self._budget), self._budget)
        return self._line, kept

    def _exchange(self, line: _Line, request: Written, reading: _Reading) -> Answer:
        for piece in request.pieces:
            line.send(piece)
        while not reading.whole:
            piece, arrived_ns = line.receive()
            if piece:
                reading.feed(piece, arrived_ns)
            else:
                reading.end()
        if not reading.keeps_open:
            self.close()
        return reading.answer()


class _Disconnected(ConnectionResetError):
    """The server closed the connection before the first byte of an answer."""


class _BrokeOff(OSError):
    """The connection ended within an answer."""


def _translated(error: Exception, where: str, time_limit_s: float) -> Exception:
    if isinstance(error, TimeoutError):
        return TimeoutError(f"no whole answer from {where} within {time_limit_s:g} s")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"{where}: certificate not trusted ({error.verify_message}); is `ca_file` right?")
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(error.reason):
        return Unreachable(f"{where}: the server asks for a certificate; give `client_cert`")
    if isinstance(error, OSError):
        return Unreachable(f"{where}: {error.strerror or error}")
    return BadAnswer(f"{where}: the answer is not HTTP ({error})")


class _Budget:
    """What is left of the time and the bytes of the exchange under way."""

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


class _Reading:
    """One answer as it comes: what httptools calls back, and what follows from it."""

    def __init__(self, max_bytes: int, *, streamed: bool) -> None:
        self.whole = False
        self.keeps_open = False
        """Whether another request may follow: neither side closes, and nothing came that was not asked for."""

        self.sent_ns = 0
        """When its request was sent."""

        self._max_bytes = max_bytes
        self._streamed = streamed
        self._arrived_ns = 0
        self._parser = httptools.HttpResponseParser(self)
        self._begun = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._headers_of_next: dict[str, str] = {}
        self._to_the_end = False
        self._refused: BadAnswer | None = None
        self._of_head = 0
        self._body = bytearray()
        self._arrivals: list[tuple[float, int]] = []

    def feed(self, piece: bytes, arrived_ns: int) -> None:
        """Take in what came, and when. Raises BadAnswer, or HttpParserError for what is not HTTP."""
        self._begun = True
        self._arrived_ns = arrived_ns
        before = len(self._body)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError:
            if self.whole:
                self.keeps_open = False
            elif self._refused is not None:  # it was raised within a call back, which the parser tells in its own words
                raise self._refused from None
            else:
                raise
        if self._streamed and len(self._body) > before and len(self._arrivals) < _MOST_ARRIVALS:
            self._arrivals.append(((arrived_ns - self.sent_ns) / 1e9, len(self._body)))

    def end(self) -> None:
        """Take in the end of the connection. Raises OSError unless that is the end of the answer too."""
        if not self._begun:
            raise _Disconnected("the server closed connection without response")
        if not self._to_the_end:
            raise _BrokeOff("the answer broke off")
        self.whole = True

    def answer(self) -> Answer:
        """Return the answer when it is whole."""
        return Answer(
            self._status, self._headers, bytes(self._body), self.sent_ns, self._arrived_ns, tuple(self._arrivals)
        )

    # The names below are those that httptools calls.

    def on_message_begin(self) -> None:
        if self.whole:
            self.keeps_open = False
        self._headers_of_next = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._of_head += len(name) + len(value)
        if self._of_head > _MOST_OF_HEAD:
            self._refuse(f"the answer has headers longer than the {_MOST_OF_HEAD} bytes allowed")
        self._headers_of_next[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.whole:
            self._status, self._headers = self._parser.get_status_code(), self._headers_of_next
            self._check()

    def _refuse(self, why: str) -> None:
        self._refused = BadAnswer(why)
        raise self._refused

    def _check(self) -> None:
        length = self._headers.get("content-length")
        if length is not None and length.isdecimal() and int(length) > self._max_bytes:
            self._refuse(f"the answer has {int(length)} bytes, more than the {self._max_bytes} allowed")
        encoding = self._headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            self._refuse(f"the answer came with Content-Encoding {encoding[:40]}, which was not asked for")
        self._to_the_end = length is None and "transfer-encoding" not in self._headers

    def on_body(self, body: bytes) -> None:
        if not self.whole:
            self._body += body

    def on_message_complete(self) -> None:
        if self._status >= 200 and not self.whole:  # below, 100 Continue and its like, the answer is still to come
            self.whole = True
            self.keeps_open = self._parser.should_keep_alive()


class _Server:
    """Where to connect to."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        bare = f"[{host}]" if ":" in host else host
        self.name = bare if port == (443 if tls else 80) else f"{bare}:{port}"

    def connected(self, budget: _Budget) -> socket.socket:
        """Connect, and agree on TLS if that is wanted. Raises OSError."""
        sock = self._reached(budget)
        if self._tls is None:
            return sock
        try:
            sock.settimeout(budget.left_s())
            return self._tls.wrap_socket(sock, server_hostname=self._host)
        except BaseException:
            sock.close()
            raise

    def _reached(self, budget: _Budget) -> socket.socket:
        """Try each address of the host in turn, each with an equal share of the time left.

        Looking up the name is bounded only by the resolver.
        """
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


class _Line:
    """A connected socket that never blocks: what waits is a poll, which keeps to a budget."""

    def __init__(self, sock: socket.socket, budget: _Budget) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._budget = budget
        self._tls = isinstance(sock, ssl.SSLSocket)
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
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(self._writable)
            except ssl.SSLWantReadError:
                self._wait(self._readable)

    def receive(self) -> tuple[bytes, int]:
        """Return what has come, at least a byte, and when it had, by `time.monotonic_ns`; nothing at the end."""
        if self._tls:  # what came may have been read from the socket, and lie decrypted
            self._budget.left_s()
        else:
            self._wait(self._readable)
        while True:
            try:
                piece, arrived_ns = self._receiver.receive(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(self._readable)
            except ssl.SSLWantWriteError:
                self._wait(self._writable)
            else:
                self._budget.take(len(piece))
                return piece, arrived_ns

    def has_input(self) -> bool:
        """Say whether something waits to be read."""
        return bool(self._readable.poll(0))

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def _wait(self, poll: select.poll) -> None:
        if not poll.poll(1e3 * self._budget.left_s()):
            raise TimeoutError
