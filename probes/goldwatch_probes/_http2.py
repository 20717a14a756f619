"""One persistent HTTP/2 connection (RFC 9113) on which every request ends by a deadline and in bounded memory.

`h2` reads and writes the frames and does no I/O. The socket is ours, so latencies run from the system call that sends
to the kernel's receive time. Requests follow one another: one stream at a time, no pushes, no priorities. Runs in
workers, below `_grpc_client`, which imports it only where h2 is installed.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hpack
import hyperframe.exceptions
import hyperframe.frame

from goldwatch.probe import BadAnswer
from goldwatch_probes._line import RACE_NS, BrokeOff, Budget, Line, Server, told
from goldwatch_probes._remote import split_url

_HEADERS, _SETTINGS, _PUSH_PROMISE, _GOAWAY, _CONTINUATION = 0x1, 0x4, 0x5, 0x7, 0x9
_HEADER_BLOCKS = (_HEADERS, _PUSH_PROMISE, _CONTINUATION)

_FRAME_HEADER = struct.Struct(">BHBxI")
"""The length of the payload in two parts, the type, the flags (not read here), and the stream (RFC 9113, 4.1)."""

_STREAM_BITS = 2**31 - 1
_MAX_WINDOW = 2**31 - 1
_MAX_FRAME = 16_384
"""The most that a server may send in one frame, since no setting of ours allows more."""

_MAX_HEADERS = 2**16
"""Bounds all headers of one answer, encoded and decoded. h2 bounds each block, but not how many there are."""

Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """A whole response. The names of `headers` are in lower case; trailers are among them.

    `sent_ns` is when the request was sent, or when connecting for it began, and `arrived_ns` when the last byte of the
    answer arrived, both by `time.monotonic_ns`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_ns: int
    arrived_ns: int


def encoded(headers: Iterable[tuple[str, str]], *, indexed: bool = True) -> list[Header]:
    """Return headers as `Connection.send` takes them.

    With `indexed` False, no compression table on the way keeps them (RFC 7541, 7.1.3): for values that are secret or
    differ in each request.
    """
    kind = hpack.HeaderTuple if indexed else hpack.NeverIndexedHeaderTuple
    return [kind(name.encode(), value.encode()) for name, value in headers]


class Connection:
    """A connection to one server, opened when first needed. Requests follow one another.

    A connection that the server closed since the last request is opened again before the next is sent. A request on a
    kept connection is sent again, once, if the server reports that it did not process it (GOAWAY with a lower last
    stream, REFUSED_STREAM; RFC 9113, 8.7), or if the connection ends within `RACE_NS` before any frame shows
    otherwise: see `_http.Connection`. Neither reconnecting is timed. Any other end is an error. Proxies in the
    environment are ignored: they would be timed too.
    """

    def __init__(self, url: str, *, time_limit_s: float, max_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        """Check `url`; connect later, by `tls` if that is given. Raises CannotLoad."""
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        self._budget = Budget(time_limit_s, max_bytes)
        self._server = Server(split_url(url), tls)
        self._tls = tls is not None
        self._session: _Session | None = None
        self.resent = 0

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the usual one."""
        return self._server.name

    def send(self, headers: Sequence[Header], body: bytes, where: str) -> Answer:
        """Send a request, its headers `encoded`, and return the whole answer; `where` names it in messages.

        Raises TimeoutError, Unreachable, or BadAnswer if the answer is not HTTP/2 or too long; each of them closes the
        connection, so that the next request starts clean.
        """
        self._budget.start()
        sent_ns = time.monotonic_ns()
        try:
            was_open = self._session is not None
            session, kept = self._opened()
            asked_ns = time.monotonic_ns()
            try:
                answer = session.ask(headers, body)
            except (_NotRun, ConnectionError) as error:
                race = session.unheard and time.monotonic_ns() - asked_ns <= RACE_NS
                if not kept or not (race or isinstance(error, _NotRun)):
                    raise
                self.close()
                session, _ = self._opened()
                self.resent += 1
                answer = session.ask(headers, body)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise told(error, where, self._budget.time_limit_s) from error
            if isinstance(error, h2.exceptions.H2Error | hyperframe.exceptions.HyperframeError):
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
            self._session = _Session(line, self._budget)
            if self._tls and line.protocol != "h2":
                raise _NotHttp2
            self._session.greet()
        return self._session, kept


class _NotHttp2(OSError):
    def __init__(self) -> None:
        super().__init__("the server does not speak HTTP/2")


class _NotRun(OSError):
    """The server reports that it did not process the request."""


@dataclass(slots=True)
class _Stream:
    """The current request, and the part of its answer that has arrived."""

    number: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    heard: bool = False


class _Encoder(hpack.Encoder):
    """Leaves out Huffman coding: in Python it takes 50 µs for a trace context, and milliseconds for a token of 4 kB."""

    def encode(self, headers: Any, huffman: bool = False) -> bytes:  # noqa: ANN401, ARG002 - as hpack has it
        """Return the block of these headers."""
        return super().encode(headers, huffman=False)


class _Session:
    """Drives `h2` over one connection.

    Frames are cut from the stream of bytes here and passed to h2 one at a time, because h2 processes all its input at
    once. So the deadline is checked between two frames (some are cheap to send and costly to read), and a complete
    answer is not lost when junk follows it.
    """

    def __init__(self, line: Line, budget: Budget) -> None:
        # Request headers were checked when the probe was made. Those of an answer are read, never passed on, so a
        # server's trailing space in an error message must not hide the error.
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        self._h2.encoder = _Encoder()
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: _MAX_WINDOW,  # the budget of bytes bounds memory
                codes.MAX_HEADER_LIST_SIZE: _MAX_HEADERS,
            },
        )
        self._line, self._budget = line, budget
        self._piece = bytearray()  # the part of an incomplete frame
        self._header_bytes = 0  # of all headers of one answer
        self._stream = _Stream(0, ended=True)
        self._arrived_ns = 0
        self._asks = False
        self._greeted = False
        self._ends = False
        self._on: Mapping[type[h2.events.Event], Callable[[Any], None]] = {
            h2.events.InformationalResponseReceived: self._count_headers,
            h2.events.RequestReceived: self._count_headers,  # from a server: not ours to answer
            h2.events.ResponseReceived: self._on_headers,
            h2.events.TrailersReceived: self._on_headers,
            h2.events.DataReceived: self._on_data,
            h2.events.StreamEnded: self._on_end,
            h2.events.StreamReset: self._on_reset,
        }

    def greet(self) -> None:
        """Send our settings and wait for the server's. Raises OSError, BadAnswer or an error of h2."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_MAX_WINDOW - self._h2.inbound_flow_control_window)
        self._flush()
        while not self._greeted:
            self._read()

    def goes_on(self) -> bool:
        """Read the bytes that arrived since the last request, and return whether another may follow."""
        try:
            self._feed(b"")
            while (piece := self._line.pending()) is not None:
                if not piece:
                    return False
                self._feed(piece)
            self._h2.get_next_available_stream_id()
        except (OSError, BadAnswer, h2.exceptions.H2Error, hyperframe.exceptions.HyperframeError):
            return False
        return not self._ends

    @property
    def unheard(self) -> bool:
        """Whether nothing shows that the server has the request: no frame of its stream and no GOAWAY."""
        return not self._ends and not self._stream.heard

    def ask(self, headers: Sequence[Header], body: bytes) -> Answer:
        """Send a request and read the whole answer. Raises OSError, BadAnswer or an error of h2."""
        self._asks = True
        self._header_bytes = 0
        stream = self._stream = _Stream(self._h2.get_next_available_stream_id())
        self._h2.send_headers(stream.number, headers, end_stream=not body)
        left = self._put(memoryview(body))
        sent_ns = time.monotonic_ns()
        self._flush()
        while left and not stream.ended:
            self._read()  # until a WINDOW_UPDATE
            left = self._put(left)
            self._flush()
        while not stream.ended:
            self._read()
        self._asks = False
        self._ends = self._ends or bool(left)  # the server answered before it read the whole request
        if not stream.status:
            raise BadAnswer("the answer is not HTTP/2 (it has no status)")
        return Answer(stream.status, stream.headers, bytes(stream.body), sent_ns, self._arrived_ns)

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def _put(self, left: memoryview) -> memoryview:
        """Pass h2 as much of a body as flow control allows now, and return the rest."""
        number, most = self._stream.number, self._h2.max_outbound_frame_size
        while left and (size := min(len(left), most, self._h2.local_flow_control_window(number))) > 0:
            self._h2.send_data(number, left[:size], end_stream=size == len(left))
            left = left[size:]
        return left

    def _flush(self) -> None:
        """Send the output of h2. Raises OSError."""
        if piece := self._h2.data_to_send():
            self._line.send(piece)

    def _read(self) -> None:
        """Wait for bytes and process them. Raises OSError, BadAnswer or an error of h2."""
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
        # Frames after a whole answer are not part of it: they are read before the next request.
        while len(come) - start >= _FRAME_HEADER.size and not (self._asks and self._stream.ended):
            self._budget.left_s()
            high, low, kind, number = _FRAME_HEADER.unpack_from(come, start)
            length = high << 16 | low
            if not self._greeted and (kind != _SETTINGS or number):
                raise _NotHttp2
            if length > _MAX_FRAME:  # h2 would wait for all of it first
                raise BadAnswer(f"the answer is not HTTP/2 (a frame of {length} bytes)")
            end = start + _FRAME_HEADER.size + length
            if len(come) < end:
                break
            self._stream.heard = self._stream.heard or number & _STREAM_BITS == self._stream.number
            self._take(kind, bytes(come[start:end]))
            self._greeted = True
            start = end
        del come[:start]
        self._flush()

    def _take(self, kind: int, frame: bytes) -> None:
        if kind == _GOAWAY:
            self._on_goaway(frame[_FRAME_HEADER.size :])
            return
        if kind in _HEADER_BLOCKS:
            self._add_headers(len(frame))
        for event in self._h2.receive_data(frame):
            if (act := self._on.get(type(event))) is not None:
                act(event)

    def _on_goaway(self, payload: bytes) -> None:
        """Note that no request may follow.

        h2 does not see the frame: it would refuse the answers that still come, as they do from a server that stops
        gracefully (RFC 9113, 6.8; https://github.com/python-hyper/h2/issues/1181).
        """
        frame = hyperframe.frame.GoAwayFrame(0)
        frame.parse_body(memoryview(payload))
        self._ends = True
        if not self._stream.ended and self._stream.number > frame.last_stream_id & _STREAM_BITS:
            words = frame.additional_data[:192].decode(errors="replace").split()
            raise _NotRun(f"the server ended the connection: {' '.join(words) or f'code {frame.error_code} of HTTP/2'}")

    def _add_headers(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADERS:
            raise BadAnswer(f"the answer has headers longer than the {_MAX_HEADERS} bytes allowed")

    def _count_headers(self, event: Any) -> None:  # noqa: ANN401 - the events of h2 with headers have no common class
        self._add_headers(sum(len(name) + len(value) for name, value in event.headers))

    def _on_headers(self, event: h2.events.ResponseReceived | h2.events.TrailersReceived) -> None:
        self._count_headers(event)
        if event.stream_id != self._stream.number:
            return
        headers = {bytes(n).decode("latin-1"): bytes(v).decode("latin-1") for n, v in event.headers}
        status = headers.pop(":status", "")
        if status.isdecimal() and len(status) == 3:
            self._stream.status = int(status)
        self._stream.headers.update(headers)

    def _on_data(self, event: h2.events.DataReceived) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if event.stream_id == self._stream.number:
            self._stream.body += event.data

    def _on_end(self, event: h2.events.StreamEnded) -> None:
        if event.stream_id == self._stream.number:
            self._stream.ended = True

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        if event.stream_id != self._stream.number or self._stream.ended:
            return
        if not event.remote_reset:  # by h2, since the server broke a rule
            raise BadAnswer(f"the answer is not HTTP/2 (code {event.error_code:d} of HTTP/2)")
        if event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM:
            raise _NotRun("the server refused the request")
        raise BrokeOff(f"the server ended the request (code {event.error_code:d} of HTTP/2)")
