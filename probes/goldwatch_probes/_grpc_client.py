"""A client of one gRPC service: calls end by a deadline and in bounded memory, and fail as the engine expects.

It calls methods by name with bytes, so that no generated stub is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, ProbeError, Rejected, Unreachable
from goldwatch_probes import _remote
from goldwatch_probes._proto import parsed
from goldwatch_probes._remote import RemoteOptions, RemoteProbe


@dataclass(frozen=True, slots=True)
class Request:
    """A call, ready to be made: the method, the serialized message, and the metadata."""

    method: str
    body: bytes
    metadata: tuple[tuple[str, str], ...] = field(repr=False)  # it holds the token


class GrpcClient:
    """Channels to one service of one server, one for each thread that asks; each is made anew after it broke."""

    def __init__(self, options: RemoteOptions, context: Context, service: str) -> None:
        """Check the options; connect later. Raises CannotLoad."""
        self._grpc = _import_grpc()
        where = _remote.split_url(options.url)
        if where.path:
            raise CannotLoad(f"`url` is {options.url!r}; with gRPC an address has no path")
        self.url = options.url.rstrip("/")
        self._target = f"[{where.host}]:{where.port}" if ":" in where.host else f"{where.host}:{where.port}"
        self._service = service
        self._sampled = options.sampled
        self._time_limit_s = context.time_limit_s
        self._metadata = _metadata(options)
        self._credentials = _credentials(self._grpc, options)
        # Retries, and a proxy in the environment, would be timed as if they were the model.
        self._settings = [
            ("grpc.max_receive_message_length", context.max_response_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._of_thread = threading.local()
        self._channels: list[Any] = []

    def request(self, method: str, body: bytes) -> Request:
        """Return a call with a trace context."""
        trace = (_remote.TRACE_HEADER, _remote.traceparent(sampled=self._sampled))
        return Request(method, body, (*self._metadata, trace))

    def call(self, request: Request) -> bytes:
        """Make the call and return the whole answer. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        try:
            return self._call(request)
        except self._grpc.RpcError as error:
            self._fail(error, request.method)

    def ask(self, request: Request, *, missing_allowed: bool = False) -> bytes:
        """Make a call about the server, with every failure told as one of opening.

        Returns nothing where the server has no such method and `missing_allowed`. Raises CannotLoad, Unreachable or
        NotReady.
        """
        code, where = self._grpc.StatusCode, f"{self.url} {request.method}"
        try:
            return self._call(request)
        except self._grpc.RpcError as error:
            if error.code() is code.UNIMPLEMENTED and missing_allowed:
                return b""
            for_good = (code.UNIMPLEMENTED, code.UNAUTHENTICATED, code.PERMISSION_DENIED)
            try:
                self._fail(error, request.method)
            except Unreachable:
                raise
            except TimeoutError as late:
                raise Unreachable(str(late)) from error
            except ProbeError as refused:
                kind = CannotLoad if error.code() in for_good or isinstance(refused, BadAnswer) else NotReady
                raise kind(f"{where}: {refused}") from error

    def not_ready(self, why: str) -> NotReady:
        """Return the error of a server that says so itself."""
        return NotReady(f"{self.url}: {why}")

    def close(self) -> None:
        """Close all channels that there are; a thread that asks again makes a new one."""
        channels, self._channels, self._of_thread = self._channels, [], threading.local()
        for channel in channels:
            channel.close()

    def _call(self, request: Request) -> bytes:
        answer: bytes = self._method(request.method)(
            request.body, timeout=self._time_limit_s, metadata=request.metadata
        )
        return answer

    def _method(self, name: str) -> Any:  # noqa: ANN401 - grpcio has no types
        """Return a method of the channel of this thread, which has a connection of its own."""
        methods: dict[str, Any] | None = getattr(self._of_thread, "methods", None)
        if methods is None:
            if self._credentials is None:
                channel = self._grpc.insecure_channel(self._target, self._settings)
            else:
                channel = self._grpc.secure_channel(self._target, self._credentials, self._settings)
            self._of_thread.channel = channel
            methods = self._of_thread.methods = {}
            self._channels = [*self._channels, channel]
        if name not in methods:
            # Without serializers, messages are bytes.
            path = name if name.startswith("/") else f"/{self._service}/{name}"  # of another service of the same server
            methods[name] = self._of_thread.channel.unary_unary(path)
        return methods[name]

    def _drop(self) -> None:
        """Close the channel of this thread: one that failed waits longer each time before it connects again."""
        channel, self._of_thread.channel, self._of_thread.methods = self._of_thread.channel, None, None
        self._channels = [each for each in self._channels if each is not channel]
        channel.close()

    def _fail(self, error: Any, method: str) -> NoReturn:  # noqa: ANN401
        code, details = error.code(), " ".join(str(error.details() or "").split())[:200]
        codes = self._grpc.StatusCode
        if code is codes.DEADLINE_EXCEEDED:
            raise TimeoutError(f"no whole answer from {self.url} {method} within {self._time_limit_s:g} s") from error
        if code in (codes.UNAVAILABLE, codes.CANCELLED):
            self._drop()
            raise Unreachable(f"{self.url} {method}: {details}") from error
        if code is codes.RESOURCE_EXHAUSTED and "larger than max" in details:
            raise BadAnswer(f"the answer is longer than allowed: {details}") from error
        raise Rejected(f"answered {code.name}: {details}" if details else f"answered {code.name}") from error


class GrpcProbe(RemoteProbe[GrpcClient]):
    """A probe over gRPC: a channel for each thread, bytes in and out.

    Requests are made into bytes, and answers are kept as bytes, outside of `predict`: what is timed is the call alone.
    """

    needs: ClassVar[tuple[str, str]] = ("grpcio", "grpc")

    def __init__(self, options: RemoteOptions, context: Context) -> None:
        super().__init__(options, context)
        self._messages: Mapping[str, Any] = {}

    def predict(self, request: Request) -> bytes:
        """Make the call. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        return self._opened().call(request)

    def _connect(self, service: str, messages: Callable[[], Mapping[str, Any]]) -> GrpcClient:
        """Make the client and the messages that the other methods use. Raises CannotLoad."""
        self._client = GrpcClient(self._options, self._context, service)
        try:
            self._messages = messages()
        except ImportError as error:
            raise CannotLoad(f"protobuf cannot be imported ({error}); pip install 'goldwatch[grpc]'") from error
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


def _import_grpc() -> Any:  # noqa: ANN401 - a module without types
    try:
        import grpc  # noqa: PLC0415
    except ImportError as error:
        raise CannotLoad(f"grpcio cannot be imported ({error}); pip install 'goldwatch[grpc]'") from error
    return grpc


def _metadata(options: RemoteOptions) -> tuple[tuple[str, str], ...]:
    """Return the headers as metadata, whose keys are in lower case. Raises CannotLoad."""
    headers = _remote.headers(options)
    for name in headers:
        if name.lower().startswith("grpc-") or name.lower().endswith("-bin"):
            raise CannotLoad(f"header {name!r} means something else to gRPC")
    return tuple((name.lower(), value) for name, value in headers.items())


def _credentials(grpc: Any, options: RemoteOptions) -> Any:  # noqa: ANN401
    if _remote.tls_context(options) is None:  # which also tells what is wrong with the files; gRPC would not
        return None
    certificate = _remote.pem(options, "client_cert")
    key = _remote.pem(options, "client_key") or certificate
    return grpc.ssl_channel_credentials(_remote.pem(options, "ca_file"), key, certificate)
