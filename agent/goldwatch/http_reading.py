"""A number, or a page, that another program tells over HTTP: what Prometheus knows, or what a server says of itself."""

from __future__ import annotations

import http.client
import io
import json
import math
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import IO, Any, BinaryIO

from goldwatch.errors import GoldwatchError
from goldwatch.redaction import header_secrets, redact

_SILENCE_S = 5.0
_LIMIT_S = 10.0
_MOST_BYTES = 2**20
_CHUNK_BYTES = 2**16


class Unreadable(GoldwatchError):
    """A source cannot be read; the text says why, and which permission, package or setting it needs."""


def fetch(url: str, headers: Mapping[str, str], most_bytes: int = _MOST_BYTES) -> bytes:
    """Return what a server answers with, bounded in size and time. Raises Unreadable.

    Only http and https are followed. The text of an error shows neither the headers nor the query.
    """
    into = io.BytesIO()
    download(url, headers, into, most_bytes, limit_s=_LIMIT_S)
    return into.getvalue()


def download(
    url: str,
    headers: Mapping[str, str],
    into: BinaryIO,
    most_bytes: int,
    *,
    silence_s: float = _SILENCE_S,
    limit_s: float,
) -> None:
    """Write what a server answers with into a file, as `fetch` does; `silence_s` bounds each wait, `limit_s` all of it.

    Raises Unreadable, after which the file holds a part of it.
    """
    shown = url.partition("?")[0]
    if not url.startswith(("http://", "https://")):
        raise Unreadable(f"{shown} is no address of HTTP")
    within, taken = _Within(silence_s, limit_s), 0
    opener = urllib.request.build_opener(_Redirects, _Http(within), _Https(within))
    try:
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - checked above
        with _opened(opener, request, silence_s) as answer:
            while chunk := answer.read(min(_CHUNK_BYTES, most_bytes + 1 - taken)):
                taken += len(chunk)
                if taken > most_bytes:
                    raise Unreadable(f"{shown} answers with more than {most_bytes:,} bytes")
                into.write(chunk)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unreadable(redact(f"{shown}: {reason}", header_secrets(headers))) from None


def _opened(opener: urllib.request.OpenerDirector, request: urllib.request.Request, silence_s: float) -> Any:  # noqa: ANN401 - as urllib says
    """Return the answer to a request. Raises what urllib does, with the server's words where it refuses."""
    try:
        return opener.open(request, timeout=silence_s)
    except urllib.error.HTTPError as error:
        with error:
            text = " ".join(error.read(300).decode(errors="replace").split())  # a page of HTML has many lines
        raise OSError(f"HTTP {error.code}: {text[:200]}") from None


class _Within:
    """How long each wait may take, and all of them together."""

    def __init__(self, silence_s: float, limit_s: float) -> None:
        self._silence_s, self._limit_s = silence_s, limit_s
        self._deadline_s = time.monotonic() + limit_s

    def next_s(self) -> float:
        """Return how long the next wait may take. Raises TimeoutError if there may be none."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"it did not end within {self._limit_s:g} s")
        return min(self._silence_s, left_s)

    def connected(self, kind: type[http.client.HTTPConnection], host: str, **options: Any) -> Any:  # noqa: ANN401 - as urllib calls it
        """Return a connection whose answers, headers too, are read within the time."""
        connection: Any = kind(host, **options)
        connection.response_class = partial(_Answer, self)
        return connection


class _Answer(http.client.HTTPResponse):
    """An answer of which each byte is waited for no longer than there is time: who trickles is left."""

    def __init__(self, within: _Within, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp = io.BufferedReader(_Waits(self.fp.detach(), sock, within))


class _Waits(io.RawIOBase):
    def __init__(self, raw: Any, sock: socket.socket, within: _Within) -> None:  # noqa: ANN401 - what a socket is read by
        self._raw, self._sock, self._within = raw, sock, within

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as io says
        self._sock.settimeout(self._within.next_s())
        try:
            found: int | None = self._raw.readinto(buffer)
        except TimeoutError:
            self._within.next_s()  # which tells if all of the time is over
            raise
        return found

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Http(urllib.request.HTTPHandler):
    def __init__(self, within: _Within) -> None:
        super().__init__()
        self._within = within

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask."""
        return self.do_open(partial(self._within.connected, http.client.HTTPConnection), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, within: _Within) -> None:
        super().__init__()
        self._within = within

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask."""
        return self.do_open(partial(self._within.connected, http.client.HTTPSConnection), req)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to another host without the headers that were meant for this one: they may hold a token."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return what is asked next."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and urllib.parse.urlsplit(newurl)[:2] != urllib.parse.urlsplit(req.full_url)[:2]:
            following.headers.clear()
        return following


def fetch_json(url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever the server says
    """Return the JSON that a server answers with. Raises Unreadable."""
    content = fetch(url, headers)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise Unreadable(f"{url.partition('?')[0]} does not answer with JSON") from None


def prometheus_value(server: str, query: str, headers: Mapping[str, str]) -> float:
    """Return the one number that an instant query gives at a Prometheus server. Raises Unreadable."""
    found = prometheus_series(server, query, headers)
    if len(found) != 1:
        what = "no series" if not found else f"{len(found)} series; put sum() around it"
        raise Unreadable(f"{query} gives {what}")
    return _finite(found[0][1], query)


def prometheus_series(server: str, query: str, headers: Mapping[str, str]) -> list[tuple[Mapping[str, str], float]]:
    """Return the labels and the value of each series of an instant query; a scalar has no labels. Raises Unreadable."""
    url = f"{server.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    answer = fetch_json(url, headers)
    try:
        if answer["status"] != "success":
            raise Unreadable(f"{server} refuses {query}: {answer.get('error', answer['status'])}")
        result = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            return [({}, float(result[1]))]
        return [(series["metric"], float(series["value"][1])) for series in result]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{server} did not answer as Prometheus does: {error!r}") from None


def _finite(value: float, query: str) -> float:
    if not math.isfinite(value):
        raise Unreadable(f"{query} is {value}")
    return value
