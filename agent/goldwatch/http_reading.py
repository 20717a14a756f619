"""A number, or a page, that another program tells over HTTP: what Prometheus knows, or what a server says of itself."""

from __future__ import annotations

import http.client
import io
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import IO, Any, BinaryIO

_TIME_LIMIT_S = 5.0
_MOST_BYTES = 2**20
_CHUNK_BYTES = 2**16


class Unreadable(Exception):
    """A source cannot be read; the text says why, and which permission, package or setting it needs."""


def fetch(url: str, headers: Mapping[str, str], most_bytes: int = _MOST_BYTES) -> bytes:
    """Return what a server answers with, bounded in size and time. Raises Unreadable.

    Only http and https are followed. The text of an error shows neither the headers nor the query.
    """
    into = io.BytesIO()
    download(url, headers, into, most_bytes)
    return into.getvalue()


def download(
    url: str,
    headers: Mapping[str, str],
    into: BinaryIO,
    most_bytes: int,
    *,
    silence_s: float = _TIME_LIMIT_S,
    limit_s: float = math.inf,
) -> None:
    """Write what a server answers with into a file, as `fetch` does; `silence_s` bounds each wait, `limit_s` all of it.

    Raises Unreadable, after which the file holds a part of it.
    """
    shown = url.partition("?")[0]
    if not url.startswith(("http://", "https://")):
        raise Unreadable(f"{shown} is no address of HTTP")
    deadline, taken = time.monotonic() + limit_s, 0
    try:
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - checked above
        with _OPENER.open(request, timeout=silence_s) as answer:
            while chunk := answer.read(min(_CHUNK_BYTES, most_bytes + 1 - taken)):
                taken += len(chunk)
                if taken > most_bytes:
                    raise Unreadable(f"{shown} answers with more than {most_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise Unreadable(f"{shown} did not end within {limit_s:g} s")
                into.write(chunk)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(300).decode(errors="replace").strip()
        raise Unreadable(f"{shown}: HTTP {error.code}: {text[:200]}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unreadable(f"{shown}: {reason}") from None


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


_OPENER = urllib.request.build_opener(_Redirects)


def fetch_json(url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever the server says
    """Return the JSON that a server answers with. Raises Unreadable."""
    content = fetch(url, headers)
    try:
        return json.loads(content)
    except ValueError:
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
