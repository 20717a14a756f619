"""Options that all probes of served models share: the server's address, additions to requests, trusted certificates.

Each such probe's `Options` derives from `RemoteOptions`, so that a user learns these keys once.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from goldwatch.probe import (
    CURRENT_TRACE,
    EVENT_ID_HEADER,
    SYNTHETIC_HEADER,
    CannotLoad,
    Context,
    Description,
    TraceContext,
    option,
)

TRACE_HEADER = "traceparent"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a "token" of RFC 9110
_LONGEST_SOCKET = 107
"""Bytes of `sun_path` (unix(7)), without the NUL at its end."""
_FRAMING = ("content-length", "transfer-encoding", "connection")


@dataclass(frozen=True)
class RemoteOptions:
    """The options of every probe of a served model."""

    url: str = option(
        "Base address of the server, http://HOST:PORT, https://HOST:PORT or unix:/SOCKET; a query goes with each path "
        "(no secrets)",
        url=True,
    )
    token: str = option("Sent as bearer token", default="", secret=True)
    oauth_url: str = option("Where a token is asked for, by OAuth 2.0 client credentials", default="", url=True)
    oauth_client: str = option("Id of the client", default="")
    oauth_secret: str = option("Secret of the client", default="", secret=True)
    oauth_scope: str = option("Scopes to ask for, with blanks between", default="")
    oauth_parameters: dict[str, str] = option("Further parameters, such as audience", default_factory=dict)
    token_command: tuple[str, ...] = option("Program and arguments that print the token; run by the agent", default=())
    aws_service: str = option(
        "Sign requests by AWS Signature Version 4 for this service, such as sagemaker; only over HTTP", default=""
    )
    aws_region: str = option("Region of the signature; AWS_REGION if empty", default="")
    headers: dict[str, str] = option("Sent with every request; not for secrets", default_factory=dict)
    secret_headers: dict[str, str] = option("Sent with every request", default_factory=dict, secret=True)
    ca_file: Path | None = option("Certificate authority of an https server, PEM", default=None, path=True)
    client_cert: Path | None = option("Certificate to show to an https server, PEM", default=None, path=True)
    client_key: Path | None = option("Key of `client_cert`, PEM, if that does not hold it", default=None, path=True)
    sampled: bool = option("Ask tracing to keep the trace of every request", default=False)


OptionsT = TypeVar("OptionsT", bound=RemoteOptions)


def with_token(options: OptionsT, url: str, token: str) -> OptionsT:
    """Return options for another address of the same server, with a token of its own in place of credentials."""
    none: dict[str, Any] = dict.fromkeys(("oauth_url", "oauth_client", "oauth_secret", "oauth_scope"), "")
    none |= {"oauth_parameters": {}, "token_command": (), "aws_service": "", "aws_region": ""}
    return replace(options, url=url, token=token, **none)


class Address(NamedTuple):
    """The parts of a URL. `path` has no slash at its end; `query` begins with "?" if there is one.

    `socket` is the path of a Unix socket, empty for TCP.
    """

    secure: bool
    host: str
    port: int
    path: str
    query: str = ""
    socket: str = ""


def split_url(url: str, option: str = "url") -> Address:
    """Take a URL apart, the value of `option`. Raises CannotLoad, with no text that may hold a password.

    As nginx writes it, the path of a request follows that of a Unix socket after a colon: unix:/run/vllm.sock:/v1.
    """
    if url.startswith("unix:"):
        return _split_unix(url, option)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CannotLoad(f"`{option}` is not an address: {error}") from error
    if parts.username is not None:
        instead = "a `token`" if option == "url" else "`oauth_client` and `oauth_secret`"
        raise CannotLoad(f"`{option}` holds a user or password; give {instead} instead")
    printable = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or not printable:
        raise CannotLoad(
            f"`{option}` is {_shown(url)!r}, expected http://HOST:PORT or https://HOST:PORT, with or without a path"
        )
    secure, query = parts.scheme == "https", f"?{parts.query}" if parts.query else ""
    return Address(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"), query)


def split_target(url: str, option: str) -> tuple[str, str]:
    """Return the address of the server in a URL, and the path and query as they are written, but for the first slash.

    Raises CannotLoad.
    """
    if split_url(url, option).socket:
        server = url[: url.find(":", len("unix:")) + 1] or url
    else:
        parts = urlsplit(url)
        server = f"{parts.scheme}://{parts.netloc}"
    return server, url[len(server) :].removeprefix("/")


def _shown(url: str) -> str:
    """Return a URL as messages show it: a query may hold a secret."""
    return url.partition("?")[0]


def _split_unix(url: str, option: str) -> Address:
    socket, _, rest = url.removeprefix("unix:").partition(":")
    path, _, query = rest.partition("?")
    socket = f"/{socket.lstrip('/')}" if socket.startswith("/") else ""
    usable = url.isprintable() and rest.isascii() and " " not in rest
    if not socket or not usable or (path and not path.startswith("/")):
        raise CannotLoad(
            f"`{option}` is {_shown(url)!r}, expected unix:/SOCKET, or unix:/SOCKET:/PATH for a server with a path"
        )
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        raise CannotLoad(
            f"`{option}`: the path of a Unix socket has at most {_LONGEST_SOCKET} bytes; {socket!r} has more"
        )
    return Address(False, "localhost", 80, path.rstrip("/"), f"?{query}" if query else "", socket)


def headers(options: RemoteOptions) -> dict[str, str]:
    """Return what is sent with every request, but for the trace.

    Raises CannotLoad without any value, since it may be a secret.
    """
    # KServe's inference logger passes the second one on as the id of its event, and nothing else by itself.
    found = {SYNTHETIC_HEADER: "1", EVENT_ID_HEADER: SYNTHETIC_HEADER}
    taken = {*found, TRACE_HEADER, *_FRAMING}
    for name, value in _written(options):
        if not _NAME.fullmatch(name):
            raise CannotLoad(f"the name of header {name!r} holds a character not allowed there")
        if not (value.isascii() and value.isprintable()):
            raise CannotLoad(f"the value of header {name!r} holds a line break or another character not allowed there")
        if name.lower() in taken:
            raise CannotLoad(f"header {name!r} is given twice, or is one that goldwatch sets by itself")
        taken.add(name.lower())
        found[name] = value
    return found


def _written(options: RemoteOptions) -> Iterator[tuple[str, str]]:
    if options.token:
        yield "Authorization", f"Bearer {options.token}"
    yield from options.headers.items()
    yield from options.secret_headers.items()


def traceparent(*, sampled: bool) -> str:
    """Return the W3C trace context of the request that is being made: of goldwatch's own trace, or else of a new one.

    So a request can be found in the server's traces; `sampled` asks for it to be kept, whatever goldwatch samples.
    """
    if (found := CURRENT_TRACE.get()) is None:
        ids = os.urandom(24).hex()
        found = TraceContext(ids[:32], ids[32:], sampled)
    return f"00-{found.trace_id}-{found.span_id}-{'01' if sampled or found.sampled else '00'}"


def tls_context(options: RemoteOptions) -> ssl.SSLContext | None:
    """Return the trust and the client certificate of an https address; None for http. Raises CannotLoad."""
    if not split_url(options.url).secure:
        for name in ("ca_file", "client_cert", "client_key"):
            if getattr(options, name):
                raise CannotLoad(f"`{name}` is given, but `url` does not begin with https")
        return None
    for name in ("client_cert", "client_key"):
        pem(options, name)
    context = trust(options)
    _show_certificate(context, options)
    return context


def trust(options: RemoteOptions, *, public: bool = False) -> ssl.SSLContext:
    """Return the trust in `ca_file`, or in public authorities if there is none; in both if `public`.

    Raises CannotLoad.
    """
    pem(options, "ca_file")
    try:
        context = ssl.create_default_context(cafile=None if public else options.ca_file)
        if public and options.ca_file:
            context.load_verify_locations(options.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise CannotLoad(f"`ca_file` {options.ca_file}: {error.strerror or error}") from error
    return context


def pem(options: RemoteOptions, name: str) -> bytes | None:
    """Return the content of the file that option `name` names, if any. Raises CannotLoad."""
    path = getattr(options, name)
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CannotLoad(f"`{name}` {path}: {error.strerror or error}") from error


def _show_certificate(context: ssl.SSLContext, options: RemoteOptions) -> None:
    if not options.client_cert:
        if options.client_key:
            raise CannotLoad("`client_key` is given without `client_cert`")
        return
    try:
        # Without a password of ours, OpenSSL would ask for one at the terminal.
        context.load_cert_chain(options.client_cert, options.client_key, password=lambda: b"")
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (_ssl")[0]
        raise CannotLoad(
            f"`client_cert` {options.client_cert}: {why}; it must hold a certificate, and it or `client_key` the key "
            "of that, without a password"
        ) from error


class Closes(Protocol):
    """A client of one server that can be closed."""

    def close(self) -> None:
        """Close all connections that there are."""

    @property
    def resent(self) -> int:
        """How many requests were sent again, since the server had closed the connection."""


ClientT = TypeVar("ClientT", bound=Closes)
ConnectionT = TypeVar("ConnectionT", bound=Closes)


class OfThreads(Generic[ConnectionT]):
    """A connection for each thread that asks, made when it first does."""

    def __init__(self, make: Callable[[], ConnectionT]) -> None:
        """Make the first at once: it raises for wrong options."""
        self._make = make
        self._own = threading.local()
        self._all = [make()]
        self._own.connection = self._all[0]

    def __call__(self) -> ConnectionT:
        """Return that of this thread."""
        found: ConnectionT | None = getattr(self._own, "connection", None)
        if found is None:
            found = self._own.connection = self._make()
            self._all = [*self._all, found]
        return found

    @property
    def resent(self) -> int:
        """How many requests all of them sent again."""
        return sum(connection.resent for connection in self._all)

    def close(self) -> None:
        """Close all that there are."""
        for connection in self._all:
            connection.close()


class RemoteProbe(Generic[ClientT]):
    """The life of a probe of a served model: one client from `open` to `close`, used by any number of threads."""

    served: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True

    def __init__(self, options: RemoteOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._axes = context.batch_axes
        self._client: ClientT | None = None
        self._description: Description | None = None

    @property
    def resent(self) -> int:
        """How many requests were sent again: see `goldwatch.probe.Resends`."""
        return self._client.resent if self._client is not None else 0

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._description = None

    def _opened(self) -> ClientT:
        if self._client is None:
            raise CannotLoad("the probe is not open")
        return self._client

    def _described(self) -> Description:
        if self._description is None:
            raise CannotLoad("the probe is not open")
        return self._description
