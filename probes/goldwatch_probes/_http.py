"""One persistent HTTP/1.1 connection on which every request ends by a deadline and in bounded memory.

Answers are read by httptools, Node's parser in C, which takes microseconds where `http.client` takes tens of them.
"""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import httptools

from goldwatch.probe import BadAnswer, CannotLoad, Unreachable
from goldwatch_probes._line import RACE_NS, BrokeOff, Budget, Line, Server, told
from goldwatch_probes._remote import split_url

_MOST_JOINED = 2**16
"""Head and body of a request leave in one piece if together they are no longer."""

_INFLATES = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32

_MOST_OF_HEAD = 2**17
"""The headers of an answer are kept whole, so they have a bound of their own."""

_MOST_ARRIVALS = 2**16
"""A server that trickles must not fill the memory with its times."""


class Answer(NamedTuple):
    """A whole response, of any status. The names of `headers` are in lower case. The body is as received.

    `sent_ns` is when the request was sent, or before the first connecting, and `arrived_ns` when the last of the answer
    arrived, by `time.monotonic_ns`. For a streamed answer, `arrivals` has the bytes of the body received by each time,
    in seconds since sending.
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

    A connection that the server closed since the last request is opened again before the next is sent. A request is
    sent again, once, if a kept connection ends within `RACE_NS` of it and before the first byte of an answer: the
    server has closed an idle connection (RFC 9112, 9.3.1 and 9.5). That does not prove that the request was not run,
    but a prediction may run twice (RFC 9110, 9.2.2). Neither reconnecting is timed. Any other end is an error. Proxies
    in the environment are ignored: they would be timed too.
    """

    def __init__(self, url: str, *, time_limit_s: float, max_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        """Check `url`; connect later, by `tls` if that is given. Raises CannotLoad."""
        address = split_url(url)
        self._prefix, self._query = address.path, address.query
        self.url = url.partition("?")[0].rstrip("/")
        self._budget = Budget(time_limit_s, max_bytes)
        self._server = Server(address, tls)
        self._line: Line | None = None
        self.resent = 0

    def connect(self) -> None:
        """Connect now, if there is no connection. Raises Unreachable."""
        self._budget.start()
        try:
            self._opened()
        except OSError as error:
            self.close()
            raise Unreachable(str(told(error, self.url, self._budget.time_limit_s))) from error

    def written(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Written:
        """Return a request for `path`, relative to the URL.

        It is one piece if it is short: two would be twice the packets, and wake the server twice. Raises CannotLoad.
        """
        target = f"{self._prefix}/{path}{self._query}"
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
            was_open = self._line is not None
            line, kept = self._opened()
            if was_open:
                reading.sent_ns = time.monotonic_ns()
            try:
                return self._exchange(line, request, reading)
            except ConnectionError:
                if not kept or reading.begun or time.monotonic_ns() - reading.sent_ns > RACE_NS:
                    raise
                self.close()
                line, _ = self._opened()
                self.resent += 1
                reading.sent_ns = time.monotonic_ns()
                return self._exchange(line, request, reading)
        except BaseException as error:
            self.close()
            where = f"{self.url}/{request.path.partition('?')[0]}"
            if isinstance(error, OSError):
                raise told(error, where, self._budget.time_limit_s) from error
            if isinstance(error, httptools.HttpParserError):
                raise BadAnswer(f"{where}: the answer is not HTTP ({error})") from error
            raise
        finally:
            reading.release()

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _opened(self) -> tuple[Line, bool]:
        """Return a connection, and whether it was already open. Reconnects if something waits to be read on it.

        That is its end, or bytes that no request asked for.
        """
        if self._line is not None and self._line.has_input():
            self.close()
        kept = self._line is not None
        if self._line is None:
            self._line = self._server.connected(self._budget)
        return self._line, kept

    def _exchange(self, line: Line, request: Written, reading: _Reading) -> Answer:
        try:
            for piece in request.pieces:
                line.send(piece)
        except ConnectionError as broke:
            self._read_early(line, reading, broke)
        _read(line, reading)
        if not reading.keeps_open:
            self.close()
        return reading.answer()

    def _read_early(self, line: Line, reading: _Reading, broke: ConnectionError) -> None:
        """Read the answer of a server that stopped reading the request, as one with 413. Raises `broke` if none is."""
        try:
            _read(line, reading)
        except OSError:
            raise broke from None
        reading.keeps_open = False


def _read(line: Line, reading: _Reading) -> None:
    """Receive one answer, to its end."""
    while not reading.whole:
        piece, arrived_ns = line.receive()
        if piece:
            reading.feed(piece, arrived_ns)
        else:
            reading.end()


class _Disconnected(ConnectionResetError):
    """The server closed the connection before the first byte of an answer."""


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
        self.begun = False
        """Whether a byte of the answer has come."""

        self._status = 0
        self._headers: dict[str, str] = {}
        self._headers_of_next: dict[str, str] = {}
        self._to_the_end = False
        self._refused: BadAnswer | None = None
        self._of_head = 0
        self._body = bytearray()
        self._inflate: Any = None
        self._arrivals: list[tuple[float, int]] = []

    def feed(self, piece: bytes, arrived_ns: int) -> None:
        """Take in what came, and when. Raises BadAnswer, or HttpParserError for what is not HTTP."""
        self.begun = True
        self._arrived_ns = arrived_ns
        before = len(self._body)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            raise BadAnswer("the server goes over to another protocol, which was not asked for") from None
        except httptools.HttpParserError:
            if self.whole:
                self.keeps_open = False
            elif self._refused is not None:  # it was raised within a callback; the parser raises its own error for that
                raise self._refused from None
            else:
                raise
        if self._streamed and len(self._body) > before and len(self._arrivals) < _MOST_ARRIVALS:
            self._arrivals.append(((arrived_ns - self.sent_ns) / 1e9, len(self._body)))

    def end(self) -> None:
        """Take in the end of the connection. Raises OSError unless that is the end of the answer too."""
        if not self.begun:
            raise _Disconnected("the server closed connection without response")
        if not self._to_the_end:
            raise BrokeOff("the answer broke off")
        self.whole = True

    def answer(self) -> Answer:
        """Return the answer when it is whole."""
        return Answer(
            self._status, self._headers, bytes(self._body), self.sent_ns, self._arrived_ns, tuple(self._arrivals)
        )

    def release(self) -> None:
        """Break the reference cycle with the parser: the garbage collector is off while requests are timed."""
        del self._parser

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

    def _refuse(self, why: str) -> NoReturn:
        self._refused = BadAnswer(why)
        raise self._refused

    def _check(self) -> None:
        length = self._headers.get("content-length")
        if length is not None and length.isdecimal() and int(length) > self._max_bytes:
            self._refuse(f"the answer has {int(length)} bytes, more than the {self._max_bytes} allowed")
        encoding = self._headers.get("content-encoding", "identity").lower()
        if encoding in _INFLATES:  # not asked for, but servers and proxies exist that compress all they send
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | _GZIP_OR_ZLIB)
        elif encoding != "identity":
            self._refuse(f"the answer came with Content-Encoding {encoding[:40]}, which was not asked for")
        self._to_the_end = length is None and "transfer-encoding" not in self._headers

    def on_body(self, body: bytes) -> None:
        if not self.whole:
            self._body += body if self._inflate is None else self._inflated(self._inflate, body)

    def _inflated(self, inflate: Any, body: bytes) -> bytes:  # noqa: ANN401 - zlib does not name the class
        """Return what a part of a compressed body stands for, which is bounded like any other."""
        try:
            found: bytes = inflate.decompress(body, self._max_bytes - len(self._body) + 1)
        except zlib.error as error:
            self._refuse(f"the answer cannot be decompressed: {error}")
        if len(self._body) + len(found) > self._max_bytes:
            self._refuse(f"the answer is longer than the {self._max_bytes} bytes allowed")
        return found

    def on_message_complete(self) -> None:
        if self._status >= 200 and not self.whole:  # below, 100 Continue and its like, the answer is still to come
            self.whole = True
            self.keeps_open = self._parser.should_keep_alive()
