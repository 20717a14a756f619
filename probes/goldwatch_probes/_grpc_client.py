"""A client of one gRPC service: calls end by a deadline and in bounded memory, and fail as the engine expects.

It calls methods by name with bytes, so that no generated stub is needed. gRPC is HTTP/2 with a few words of its own
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md); grpcio cannot report when an answer arrived.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn
from urllib.parse import unquote

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, ProbeError, Rejected, Unreachable, install_command
from goldwatch_probes import _remote
from goldwatch_probes._credentials import Credentials
from goldwatch_probes._proto import parsed
from goldwatch_probes._remote import OfThreads, RemoteOptions, RemoteProbe

if TYPE_CHECKING:
    from goldwatch_probes import _http2

_CODES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
_OF_HTTP = {
    400: "INTERNAL",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "UNIMPLEMENTED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}
"""What a status of HTTP means where none of gRPC came (grpc/doc/http-grpc-status-mapping.md)."""

_NOT_METADATA = ("content-type", "host", "keep-alive", "proxy-connection", "te", "upgrade")
"""Headers that are ours to set, or that HTTP/2 does not allow."""

_PREFIX = 5
"""Bytes before a message: whether it is compressed, and its length."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call, ready to be made: the method, the serialized message with its prefix, and the headers."""

    method: str
    framed: bytes
    headers: Sequence[_http2.Header] = field(repr=False)  # they hold the token

    @property
    def message(self) -> bytes:
        """The serialized message."""
        return self.framed[_PREFIX:]


class Reply(NamedTuple):
    """The message of an answer, with its times: see `_http2.Answer`."""

    message: bytes
    sent_ns: int
    arrived_ns: int


class GrpcClient:
    """Connections to one service of one server, one for each thread that asks."""

    def __init__(self, options: RemoteOptions, context: Context, service: str) -> None:
        """Check the options; connect later. Raises CannotLoad."""
        http2 = _installed()
        if _remote.split_url(options.url).path or _remote.split_url(options.url).query:
            raise CannotLoad(f"`url` is {options.url!r}; with gRPC an address has no path")
        self.url = options.url.rstrip("/")
        self._service = service
        self._sampled = options.sampled
        self._time_limit_s, self._max_bytes = context.time_limit_s, context.max_response_bytes
        metadata = _metadata(options)
        if options.aws_service:  # before any credentials are looked for
            raise CannotLoad("`aws_service` signs requests over HTTP; leave it out with gRPC")
        self._credentials = Credentials(options, context.time_limit_s)
        tls = _remote.tls_context(options)
        self._connection: OfThreads[_http2.Connection] = OfThreads(
            partial(
                http2.Connection,
                options.url,
                time_limit_s=context.time_limit_s,
                max_bytes=context.max_response_bytes,
                tls=tls,
            )
        )
        self._encoded = http2.encoded
        self._before = [(":method", "POST"), (":scheme", "https" if tls else "http")]
        self._after = [
            (":authority", self._connection().authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "identity"),
            ("grpc-timeout", f"{math.ceil(1e3 * context.time_limit_s)}m"),
        ]
        self._metadata = self._encoded(metadata, indexed=False)
        self._headers: dict[str, list[_http2.Header]] = {}

    def request(self, method: str, message: bytes) -> Request:
        """Return a call with a trace context."""
        headers = self._headers.get(method)
        if headers is None:
            # A method with a slash is of another service of the server.
            path = method if method.startswith("/") else f"/{self._service}/{method}"
            headers = self._encoded([*self._before, (":path", path), *self._after]) + self._metadata
            self._headers[method] = headers
        own = [(_remote.TRACE_HEADER, _remote.traceparent(sampled=self._sampled))]
        own += [(name.lower(), value) for name, value in self._credentials.headers().items()]
        trace = self._encoded(own, indexed=False)
        return Request(method, b"".join((b"\0", len(message).to_bytes(4), message)), headers + trace)

    def call(self, request: Request) -> Reply:
        """Make the call and return the whole answer. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        answer = self._answer(request)
        code, details = _status(answer)
        if code != "OK":
            self._fail(code, details, request.method)
        return Reply(_message(answer, self._max_bytes), answer.sent_ns, answer.arrived_ns)

    def ask(self, request: Request, *, missing_allowed: bool = False) -> bytes:
        """Make a call about the server, with every failure told as one of opening.

        Returns nothing where the server has no such method and `missing_allowed`. Raises CannotLoad, Unreachable or
        NotReady.
        """
        where, code = f"{self.url} {request.method}", ""
        try:
            answer = self._answer(request)
            code, details = _status(answer)
            if code == "UNIMPLEMENTED" and missing_allowed:
                return b""
            if code != "OK":
                self._fail(code, details, request.method)
            return _message(answer, self._max_bytes)
        except Unreachable:
            raise
        except TimeoutError as late:
            raise Unreachable(str(late)) from late
        except ProbeError as refused:
            for_good = code in ("UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")
            kind = CannotLoad if for_good or isinstance(refused, BadAnswer) else NotReady
            raise kind(f"{where}: {refused}") from refused

    def not_ready(self, why: str) -> NotReady:
        """Return the error for a server that reports it."""
        return NotReady(f"{self.url}: {why}")

    @property
    def resent(self) -> int:
        """How many requests were sent again, since the server had closed the connection."""
        return self._connection.resent

    def close(self) -> None:
        """Close all connections that there are."""
        self._connection.close()

    def _answer(self, request: Request) -> _http2.Answer:
        where = f"{self.url} {request.method}"
        return self._connection().send(request.headers, request.framed, where)

    def _fail(self, code: str, details: str, method: str) -> NoReturn:
        if code == "UNAUTHENTICATED":
            self._credentials.refused()
        if code == "DEADLINE_EXCEEDED":
            raise TimeoutError(f"no whole answer from {self.url} {method} within {self._time_limit_s:g} s")
        if code in ("UNAVAILABLE", "CANCELLED"):
            raise Unreachable(f"{self.url} {method}: {details}")
        raise Rejected(f"answered {code}: {details}" if details else f"answered {code}")


class GrpcProbe(RemoteProbe[GrpcClient]):
    """A probe over gRPC: a connection for each thread, bytes in and out.

    Requests are made into bytes, and answers are kept as bytes, outside of `predict`: what is timed is the call alone.
    """

    needs: ClassVar[str] = "h2"

    def __init__(self, options: RemoteOptions, context: Context) -> None:
        super().__init__(options, context)
        self._messages: Mapping[str, Any] = {}

    def predict(self, request: Request) -> Reply:
        """Make the call. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        return self._opened().call(request)

    def times_ns(self, response: Reply) -> tuple[int, int]:
        """Return when the request was sent, and when the last byte of the answer arrived at this machine."""
        return response.sent_ns, response.arrived_ns

    def _connect(self, service: str, messages: Callable[[], Mapping[str, Any]]) -> GrpcClient:
        """Make the client and the messages that the other methods use. Raises CannotLoad."""
        self._client = GrpcClient(self._options, self._context, service)
        try:
            self._messages = messages()
        except ImportError as error:
            raise CannotLoad(f"protobuf cannot be imported ({error}); {install_command('protobuf')}") from error
        return self._client

    def _asked(
        self, method: str, request: str, response: str, fields: Mapping[str, Any] = {}, *, optional: bool = False
    ) -> Any:  # noqa: ANN401 - a message
        """Call a method about the server; an empty answer if it has none such and that is `optional`.

        `request` and `response` name the messages. Raises CannotLoad, Unreachable or NotReady.
        """
        client = self._opened()
        body = self._messages[request](**fields).SerializeToString()
        answer = client.ask(client.request(method, body), missing_allowed=optional)
        try:
            return parsed(self._messages[response], answer)
        except BadAnswer as error:
            raise CannotLoad(f"{client.url} {method}: {error}") from error


def _installed() -> ModuleType:
    """Return `_http2`, which needs an extra. Raises CannotLoad."""
    try:
        from goldwatch_probes import _http2  # noqa: PLC0415
    except ImportError as error:
        raise CannotLoad(f"h2 cannot be imported ({error}); {install_command('h2')}") from error
    return _http2


def _message(answer: _http2.Answer, max_bytes: int) -> bytes:
    """Return the one message of an answer, of at most so many bytes. Raises BadAnswer."""
    body = answer.body
    if len(body) < _PREFIX:
        raise BadAnswer("the answer has no message")
    length = int.from_bytes(body[1:_PREFIX])
    if length != len(body) - _PREFIX:
        raise BadAnswer(f"the answer has {len(body) - _PREFIX} bytes, its message needs {length}")
    return _inflated(answer, body[_PREFIX:], max_bytes) if body[0] else body[_PREFIX:]


def _inflated(answer: _http2.Answer, message: bytes, max_bytes: int) -> bytes:
    """Return what a compressed message stands for: servers exist that compress without being asked."""
    encoding = answer.headers.get("grpc-encoding", "")
    if encoding not in ("gzip", "deflate"):
        raise BadAnswer(f"the answer is compressed by {encoding[:40] or 'nothing named'}, which was not asked for")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        found = inflate.decompress(message, max_bytes + 1)
    except zlib.error as error:
        raise BadAnswer(f"the answer cannot be decompressed: {error}") from error
    if len(found) > max_bytes:
        raise BadAnswer(f"the answer is longer than the {max_bytes} bytes allowed")
    return found


def _status(answer: _http2.Answer) -> tuple[str, str]:
    """Return the name of the status of gRPC, and the message of the server about it."""
    said = answer.headers.get("grpc-status", "")
    if said.isdecimal() and len(said) < 10:  # Python refuses to read a number of thousands of digits
        code = _CODES[int(said)] if int(said) < len(_CODES) else "UNKNOWN"
        return code, " ".join(unquote(answer.headers.get("grpc-message", "")).split())[:200]
    kind = answer.headers.get("content-type", "")
    if answer.status == 200:
        raise BadAnswer(f"the answer is not gRPC ({kind[:80]})" if kind else "the answer is not gRPC")
    said = f"status {answer.status} of HTTP"
    if 300 <= answer.status < 400:
        said += f", a redirect to {answer.headers.get('location', 'nowhere')[:200]}; give the final `url`"
    return _OF_HTTP.get(answer.status, "UNKNOWN"), said


def _metadata(options: RemoteOptions) -> tuple[tuple[str, str], ...]:
    """Return the headers as metadata, whose keys are in lower case. Raises CannotLoad."""
    headers = _remote.headers(options)
    for name in headers:
        if name.lower() in _NOT_METADATA or name.lower().startswith("grpc-") or name.lower().endswith("-bin"):
            raise CannotLoad(f"header {name!r} means something else to gRPC")
    return tuple((name.lower(), value) for name, value in headers.items())
