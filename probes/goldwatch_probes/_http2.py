"""One persistent HTTP/2 connection (RFC 9113) on which every request ends by a deadline and in bounded memory.

It does what a client needs that makes one request after the other: no priorities, no pushes, one stream at a time.
hpack reads and writes the headers. The socket is ours, so that it is known when a request was sent and its answer came.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from goldwatch.probe import BadAnswer
from goldwatch_probes._line import RACE_NS, BrokeOff, Budget, Line, Server, told
from goldwatch_probes._remote import split_url

_DATA, _HEADERS, _, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = range(10)
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
_ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 0x2, 0x4, 0x5
_REFUSED_STREAM = 0x7

_HEAD = struct.Struct(">BHBBI")
_SETTING = struct.Struct(">HI")
_WORD = struct.Struct(">I")
_TWO_WORDS = struct.Struct(">II")

_LARGEST_WINDOW = 2**31 - 1
_FIRST_WINDOW = 65_535
_SMALLEST_MOST_IN_FRAME = 16_384
_LAST_STREAM = 2**31 - 1

_MOST_OF_HEAD = 2**16
"""The headers of an answer are kept whole, so they have a bound of their own."""


class Answer(NamedTuple):
    """A whole response. The names of `headers` are in lower case, and those of the trailers among them.

    `sent_ns` is when the request was sent, or before the first connecting, and `arrived_ns` when the last of the answer
    had come, by `time.monotonic_ns`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ns: int
    arrived_ns: int


def block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return headers as they go over the wire. It stands for itself: it may be sent often, and beside others."""
    import hpack  # noqa: PLC0415 - of an extra, without which this module can be imported

    # What is never indexed leaves no trace in the state that both ends share.
    found: bytes = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*each) for each in headers], huffman=False)
    return found


class Connection:
    """A connection to one server, opened when first needed. Requests follow one another.

    A connection that the server closed since the last request is opened again before the next is sent. A request on a
    kept connection is sent again, once, if the server reports that it did not process it (GOAWAY with a lower last
    stream, REFUSED_STREAM; RFC 9113, 8.7), or if the connection ends within `RACE_NS` before any frame that says
    otherwise: see `_http.Connection`. Neither reconnecting is timed. Any other end is an error. Proxies in the
    environment are ignored: they would be timed too.
    """

    def __init__(self, url: str, *, time_limit_s: float, max_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        """Check `url`; connect later, by `tls` if that is given. Raises CannotLoad."""
        _, host, port, _ = split_url(url)
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        self._budget = Budget(time_limit_s, max_bytes)
        self._server = Server(host, port, tls)
        self._tls = tls is not None
        self._session: _Session | None = None
        self.resent = 0

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the usual one."""
        return self._server.name

    def send(self, head: bytes, body: bytes, where: str) -> Answer:
        """Send a request, its headers as a `block`, and return the whole answer; `where` names it in messages.

        Raises TimeoutError, Unreachable, or BadAnswer if what came is not HTTP/2 or too long; each of them closes the
        connection, so that the next request starts clean.
        """
        self._budget.start()
        sent_ns = time.monotonic_ns()
        try:
            was_open = self._session is not None
            session, kept = self._opened()
            asked_ns = time.monotonic_ns()
            try:
                answer = session.ask(head, body)
            except (_NotRun, ConnectionError) as error:
                race = session.unheard and time.monotonic_ns() - asked_ns <= RACE_NS
                if not kept or not (race or isinstance(error, _NotRun)):
                    raise
                self.close()
                session, _ = self._opened()
                self.resent += 1
                answer = session.ask(head, body)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise told(error, where, self._budget.time_limit_s) from error
            if isinstance(error, struct.error):
                raise BadAnswer(f"the answer is not HTTP/2 ({error})") from error
            raise
        return answer if was_open else answer._replace(sent_ns=sent_ns)

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _opened(self) -> tuple[_Session, bool]:
        """Return a session, and whether it was there."""
        if self._session is not None and not self._session.goes_on():
            self.close()
        kept = self._session is not None
        if self._session is None:
            line = self._server.connected(self._budget)
            self._session = _Session(line)
            if self._tls and line.protocol != "h2":
                raise _NotHttp2
            self._session.greet()
        return self._session, kept


class _NotHttp2(OSError):
    def __init__(self) -> None:
        super().__init__("the server does not speak HTTP/2")


class _NotRun(OSError):
    """The server did not begin with a request, and says so."""


@dataclass(slots=True)
class _Stream:
    """The one request under way, and its answer as it comes. `window` is how many bytes the server takes yet."""

    number: int
    window: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    heard: bool = False


class _Session:
    """What both ends of a connection know of each other."""

    def __init__(self, line: Line) -> None:
        import hpack  # noqa: PLC0415 - as above

        self._line = line
        self._decoder = hpack.Decoder(_MOST_OF_HEAD)
        self._undecodable = hpack.HPACKError
        self._piece = bytearray()  # a frame of which the end has not come
        self._block = bytearray()  # headers of which the end has not come
        self._block_of: int | None = None  # the stream of these headers
        self._of_heads = 0  # bytes of all headers of one answer
        self._next = 1
        self._stream = _Stream(0, 0, ended=True)
        self._window = self._window_of_streams = _FIRST_WINDOW
        self._most_in_frame = _SMALLEST_MOST_IN_FRAME
        self._taken = 0
        self._arrived_ns = 0
        self._ends_stream = 0
        self._asks = False
        self._greeted = False
        self._ends = False
        self._on: Mapping[int, Callable[[int, int, bytes], None]] = {
            _DATA: self._on_data,
            _HEADERS: self._on_headers,
            _RST_STREAM: self._on_rst_stream,
            _SETTINGS: self._on_settings,
            _PUSH_PROMISE: self._on_push_promise,
            _PING: self._on_ping,
            _GOAWAY: self._on_goaway,
            _WINDOW_UPDATE: self._on_window_update,
            _CONTINUATION: self._on_continuation,
        }

    def greet(self) -> None:
        """Say how much may come, which is all: memory is bounded otherwise. Raises OSError, or BadAnswer."""
        settings = _SETTING.pack(_ENABLE_PUSH, 0) + _SETTING.pack(_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW)
        more = _frame(_WINDOW_UPDATE, 0, 0, _WORD.pack(_LARGEST_WINDOW - _FIRST_WINDOW))
        self._line.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, settings) + more)
        while not self._greeted:
            self._read()

    def goes_on(self) -> bool:
        """Take in what came since the last request, and say whether another may follow."""
        try:
            self._feed(b"")
            while (piece := self._line.pending()) is not None:
                if not piece:
                    return False
                self._feed(piece)
        except (OSError, BadAnswer, struct.error):
            return False
        return not self._ends and self._next <= _LAST_STREAM

    @property
    def unheard(self) -> bool:
        """Whether nothing shows that the server has the request: no frame of its stream and no GOAWAY."""
        return not self._ends and not self._stream.heard

    def ask(self, head: bytes, body: bytes) -> Answer:
        """Send a request and read the whole answer. Raises OSError or BadAnswer."""
        self._asks = True
        self._of_heads = 0
        stream = self._stream = _Stream(self._next, self._window_of_streams)
        self._next += 2
        first = self._head(head, ends=not body)
        if self._taken > _LARGEST_WINDOW // 2:
            first += _frame(_WINDOW_UPDATE, 0, 0, _WORD.pack(self._taken))
            self._taken = 0
        left = memoryview(body)
        piece, left = self._data(left)
        sent_ns = time.monotonic_ns()
        self._line.send(first + piece)
        while left and not stream.ended:
            self._read()  # there is more room once the server says so
            piece, left = self._data(left)
            self._line.send(piece)
        while not stream.ended:
            self._read()
        self._asks = False
        self._ends = self._ends or bool(left)  # it has answered before it had heard all
        if not stream.status:
            raise BadAnswer("the answer is not HTTP/2 (it has no status)")
        return Answer(stream.status, stream.headers, bytes(stream.body), sent_ns, self._arrived_ns)

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _head(self, head: bytes, *, ends: bool) -> bytes:
        most, number = self._most_in_frame, self._stream.number
        pieces = [head[i : i + most] for i in range(0, len(head), most)]
        kinds = [_HEADERS] + [_CONTINUATION] * (len(pieces) - 1)
        flags = [_END_STREAM if ends else 0] + [0] * (len(pieces) - 1)
        flags[-1] |= _END_HEADERS
        return b"".join(_frame(k, f, number, p) for k, f, p in zip(kinds, flags, pieces, strict=True))

    def _data(self, left: memoryview) -> tuple[bytes, memoryview]:
        """Return frames with as much as the server takes now, and what is left then."""
        frames, stream = [], self._stream
        while left and (most := min(len(left), self._most_in_frame, self._window, stream.window)) > 0:
            piece, left = left[:most], left[most:]
            frames += [_frame(_DATA, 0 if left else _END_STREAM, stream.number, piece)]
            self._window -= most
            stream.window -= most
        return b"".join(frames), left

    def _read(self) -> None:
        """Take in what has come, after a wait for it. Raises OSError or BadAnswer."""
        piece, self._arrived_ns = self._line.receive()
        if not piece:
            if not self._greeted:
                raise _NotHttp2
            raise ConnectionResetError("the server closed the connection")
        self._feed(piece)

    def _feed(self, piece: bytes) -> None:
        come = self._piece
        come += piece
        start = 0
        # What follows a whole answer is not part of it, and is looked at before the next request.
        while len(come) - start >= _HEAD.size and not (self._asks and self._stream.ended):
            high, low, kind, flags, number = _HEAD.unpack_from(come, start)
            length = high << 16 | low
            if not self._greeted and (kind != _SETTINGS or number):
                raise _NotHttp2
            if length > _SMALLEST_MOST_IN_FRAME:  # we have never allowed more
                raise BadAnswer(f"the answer is not HTTP/2 (a frame of {length} bytes)")
            end = start + _HEAD.size + length
            if len(come) < end:
                break
            self._stream.heard = self._stream.heard or number & _LAST_STREAM == self._stream.number
            if (take := self._on.get(kind)) is not None:
                take(flags, number & _LAST_STREAM, bytes(come[start + _HEAD.size : end]))
            start = end
        del come[:start]

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._taken += len(payload)
        if number == self._stream.number:
            self._stream.body += _unpadded(payload) if flags & _PADDED else payload
            self._end_if(flags)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & _PADDED:
            payload = _unpadded(payload)
        self._block.clear()
        self._block_of = number
        self._ends_stream = flags & _END_STREAM
        self._on_continuation(flags, number, payload[5:] if flags & _PRIORITIZED else payload)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if number != self._block_of:  # RFC 9113, 6.10
            raise BadAnswer("the answer is not HTTP/2 (a CONTINUATION frame that continues nothing)")
        self._block += payload
        if len(self._block) > _MOST_OF_HEAD:
            self._refuse_head()
        if not flags & _END_HEADERS:
            return
        self._block_of = None
        try:
            decoded = self._decoder.decode(bytes(self._block), raw=True)
        except self._undecodable as error:
            raise BadAnswer(f"the answer is not HTTP/2 ({error})") from error
        self._of_heads += sum(len(n) + len(v) for n, v in decoded)
        if self._of_heads > _MOST_OF_HEAD:
            self._refuse_head()
        headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in decoded}
        if number != self._stream.number:
            return
        status = headers.pop(":status", "")
        if status.isdecimal() and len(status) == 3:
            if int(status) < 200:  # the answer is still to come
                return
            self._stream.status = int(status)
        self._stream.headers.update(headers)
        self._end_if(self._ends_stream)

    @staticmethod
    def _refuse_head() -> NoReturn:
        raise BadAnswer(f"the answer has headers longer than the {_MOST_OF_HEAD} bytes allowed")

    def _end_if(self, flags: int) -> None:
        if flags & _END_STREAM:
            self._stream.ended = True

    def _on_rst_stream(self, _: int, number: int, payload: bytes) -> None:
        (code,) = _WORD.unpack(payload)
        if number == self._stream.number and not self._stream.ended:
            if code == _REFUSED_STREAM:
                raise _NotRun("the server refused the request")
            raise BrokeOff(f"the server ended the request (code {code} of HTTP/2)")

    def _on_settings(self, flags: int, _: int, payload: bytes) -> None:
        self._greeted = True
        if flags & _ACK:
            return
        for name, value in _SETTING.iter_unpack(payload):
            if name == _INITIAL_WINDOW_SIZE:
                self._stream.window += value - self._window_of_streams
                self._window_of_streams = value
            elif name == _MAX_FRAME_SIZE:
                self._most_in_frame = max(value, _SMALLEST_MOST_IN_FRAME)
        self._line.send(_frame(_SETTINGS, _ACK, 0, b""))

    def _on_push_promise(self, *_: object) -> None:
        raise BadAnswer("the answer is not HTTP/2 (a push that was not allowed)")

    def _on_ping(self, flags: int, _: int, payload: bytes) -> None:
        if not flags & _ACK:
            self._line.send(_frame(_PING, _ACK, 0, payload))

    def _on_goaway(self, _: int, __: int, payload: bytes) -> None:
        last, code = _TWO_WORDS.unpack_from(payload)
        self._ends = True
        if not self._stream.ended and self._stream.number > last & _LAST_STREAM:
            why = " ".join(payload[8:200].decode(errors="replace").split()) or f"code {code} of HTTP/2"
            raise _NotRun(f"the server ended the connection: {why}")

    def _on_window_update(self, _: int, number: int, payload: bytes) -> None:
        (more,) = _WORD.unpack(payload)
        if number == 0:
            self._window += more & _LAST_STREAM
        elif number == self._stream.number:
            self._stream.window += more & _LAST_STREAM


def _frame(kind: int, flags: int, number: int, payload: bytes | memoryview) -> bytes:
    length = len(payload)
    return b"".join((_HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, number), payload))


def _unpadded(payload: bytes) -> bytes:
    """Return a payload without its padding. Raises BadAnswer."""
    if not payload or payload[0] >= len(payload):
        raise BadAnswer("the answer is not HTTP/2 (more padding than frame)")
    return payload[1 : len(payload) - payload[0]]
