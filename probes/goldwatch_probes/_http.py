"""One persistent HTTP/1.1 connection on which every request ends by a deadline and in bounded memory.

It stands on `http.client`, which for one request at a time costs less than a client made for many. What that lacks is
put beneath it: sockets that know the deadline of the whole exchange, so that a server that trickles cannot stretch it,
and a count of the bytes that have come.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from goldwatch.probe import BadAnswer, Unreachable
from goldwatch_probes._remote import split_url

_MOST_JOINED = 2**16
"""Head and body of a request leave in one piece if together they are no longer."""

_MOST_ARRIVALS = 2**16
"""A server that trickles must not fill the memory with its times."""


class Answer(NamedTuple):
    """A whole response. The body is as it came, of any status.

    Of a streamed one, `arrivals` says how many bytes of the body had come by when, in seconds since it was asked for.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    arrivals: tuple[tuple[float, int], ...] = ()


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
        self._http = _HttpConnection(host, port, self._budget, tls)

    def connect(self) -> None:
        """Connect now, if there is no connection. Raises Unreachable."""
        self._budget.start()
        try:
            self._http.drop_if_stale()
            if self._http.sock is None:
                self._http.connect()
        except OSError as error:
            self.close()
            raise Unreachable(str(_translated(error, self.url, self._budget.time_limit_s))) from error

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        *,
        streamed: bool = False,
    ) -> Answer:
        """Send a request for `path` (relative to the URL) and return the whole answer; if `streamed`, with arrivals.

        Raises TimeoutError, Unreachable, or BadAnswer if what came is not HTTP or too long; each of them closes the
        connection, so that the next request starts clean.
        """
        self._budget.start()
        try:
            self._http.drop_if_stale()
            kept = self._http.sock is not None
            sent_s = time.monotonic() if streamed else None
            exchange = partial(self._exchange, method, f"{self._prefix}/{path}", body, dict(headers), sent_s)
            try:
                return exchange()
            except http.client.RemoteDisconnected:
                if not (kept and (streamed or method == "GET")):
                    raise
                # Some servers close a kept connection after a stream, llama.cpp's now and then: no byte of an answer
                # has come, so the request is sent once more, within the same deadline and counted from the first time.
                self.close()
                return exchange()
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, http.client.HTTPException)):
                raise _translated(error, f"{self.url}/{path}", self._budget.time_limit_s) from error
            raise

    def close(self) -> None:
        """Close the connection if there is one."""
        self._http.close()

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], sent_s: float | None
    ) -> Answer:
        self._http.request(method, path, body, headers)
        with self._http.getresponse() as response:
            self._check(response)
            if sent_s is None:
                return Answer(response.status, response.headers, _body(response))
            return Answer(response.status, response.headers, *_pieces(response, sent_s))

    def _check(self, response: http.client.HTTPResponse) -> None:
        if (response.length or 0) > self._budget.max_bytes:
            raise BadAnswer(f"the answer has {response.length} bytes, more than the {self._budget.max_bytes} allowed")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise BadAnswer(f"the answer came with Content-Encoding {encoding[:40]}, which was not asked for")


def _body(response: http.client.HTTPResponse) -> bytes:
    if response.length is not None:
        return response.read()
    # In pieces: reading all at once makes room for the size that a chunk says it has, before a byte of it has come.
    return b"".join(iter(lambda: response.read(2**16), b""))


def _pieces(response: http.client.HTTPResponse, sent_s: float) -> tuple[bytes, tuple[tuple[float, int], ...]]:
    """Read a body as it comes, and note when how much of it had come."""
    body = bytearray()
    arrivals: list[tuple[float, int]] = []
    while piece := response.read1(2**16):
        body += piece
        if len(arrivals) < _MOST_ARRIVALS:
            arrivals.append((time.monotonic() - sent_s, len(body)))
    if response.length:  # `read1`, unlike `read`, does not mind an end before its time
        raise http.client.IncompleteRead(bytes(body[-1:]), response.length)
    return bytes(body), tuple(arrivals)


def _translated(error: Exception, where: str, time_limit_s: float) -> Exception:
    if isinstance(error, TimeoutError):
        return TimeoutError(f"no whole answer from {where} within {time_limit_s:g} s")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable(f"{where}: certificate not trusted ({error.verify_message}); is `ca_file` right?")
    if isinstance(error, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(error.reason):
        return Unreachable(f"{where}: the server asks for a certificate; give `client_cert`")
    if isinstance(error, http.client.IncompleteRead):
        return Unreachable(f"{where}: the answer broke off")
    if isinstance(error, OSError):  # before HTTPException: RemoteDisconnected is both
        return Unreachable(f"{where}: {error.strerror or error}")
    return BadAnswer(f"{where}: the answer is not HTTP ({type(error).__name__})")


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


class _HttpConnection(http.client.HTTPConnection):
    """http.client's connection over a socket that keeps to a budget."""

    sock: _Socket | None

    def __init__(self, host: str, port: int, budget: _Budget, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self.default_port = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT  # kept out of the Host header
        self._budget = budget
        self._tls = tls

    def connect(self) -> None:
        sock = _connected(self.host, self.port, self._budget)
        if self._tls is not None:
            try:
                sock.settimeout(self._budget.left_s())
                sock = self._tls.wrap_socket(sock, server_hostname=self.host)
            except BaseException:
                sock.close()
                raise
        self.sock = _Socket(sock, self._budget)

    def drop_if_stale(self) -> None:
        """Close a kept connection on which something already waits: its end, or bytes that nobody asked for."""
        if self.sock is not None and self.sock.has_input():
            self.close()


def _connected(host: str, port: int, budget: _Budget) -> socket.socket:
    """Try each address of the host in turn, each with an equal share of the time left.

    Looking up the name is bounded only by the resolver. Raises OSError.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
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
    raise OSError(f"{host} has no address")


class _Socket:
    """The part of a socket that http.client uses, within a budget.

    http.client sends the head of a request and its body by themselves: twice the system calls, twice the packets, and a
    server that is woken twice. Here they wait for each other, until the answer is asked for.
    """

    def __init__(self, sock: socket.socket, budget: _Budget) -> None:
        self._sock = sock
        self._budget = budget
        self._waiting: list[bytes] = []
        self._poll = select.poll()  # unlike select, it has no limit on the number of a descriptor
        self._poll.register(sock, select.POLLIN)

    def sendall(self, data: bytes) -> None:
        self._waiting.append(data)

    def _flush(self) -> None:
        pieces, self._waiting = self._waiting, []
        if sum(map(len, pieces)) <= _MOST_JOINED:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self._send(piece)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(self._budget.left_s())
            view = view[self._sock.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._flush()
        return io.BufferedReader(_Reader(self._sock, self._budget), 2**16)

    def has_input(self) -> bool:
        return bool(self._poll.poll(0))

    def close(self) -> None:
        self._sock.close()


class _Reader(io.RawIOBase):
    """Reads a socket within a budget. The socket stays open until the reader is closed, as `makefile` has it."""

    def __init__(self, sock: socket.socket, budget: _Budget) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._sock.settimeout(self._budget.left_s())
        count = self._raw.readinto(buffer) or 0
        self._budget.take(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
