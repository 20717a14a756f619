"""Reads over HTTP that the agent itself makes: a Prometheus query, a metrics page, a file of a golden set.

All have a total timeout and a bound on bytes. Callers are synchronous and run in threads or workers, so each read has
an event loop of its own. aiohttp is imported at the first read: workers that make none stay small. Other HTTP clients:
`goldwatch_probes._http` and `_http2`, whose requests are timed, and `goldwatch.cluster`, which is async (aiohttp).
"""

from __future__ import annotations

import io
import json
import math
import os
import socket
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from goldwatch.errors import GoldwatchError
from goldwatch.redaction import header_secrets, redact

if TYPE_CHECKING:
    import aiohttp

_SILENCE_S = 5.0
_LIMIT_S = 10.0
_MAX_BYTES = 2**20
_MAX_REDIRECTS = 10
_CHUNK_BYTES = 2**16
_REDIRECTS = (301, 302, 303, 307, 308)


class Unreadable(GoldwatchError):
    """A source cannot be read; the text explains why, and names which permission, package or setting it needs."""


def fetch(
    url: str,
    headers: Mapping[str, str],
    max_bytes: int = _MAX_BYTES,
    body: bytes | None = None,
    patience_s: float | None = None,
) -> bytes:
    """Return the body of an answer, bounded in size and time; a `body` is sent by POST. Raises Unreadable.

    `patience_s` bounds the read where an answer takes long by itself. Only http and https are followed. The text of an
    error shows neither the headers nor the query.
    """
    into = io.BytesIO()
    silence_s, limit_s = (_SILENCE_S, _LIMIT_S) if patience_s is None else (patience_s, patience_s)
    download(url, headers, into, max_bytes, silence_s=silence_s, limit_s=limit_s, body=body)
    return into.getvalue()


def download(
    url: str,
    headers: Mapping[str, str],
    into: BinaryIO,
    max_bytes: int,
    *,
    silence_s: float = _SILENCE_S,
    limit_s: float,
    body: bytes | None = None,
) -> None:
    """Write the body of an answer into a file, as `fetch` does.

    `silence_s` bounds each wait, and `limit_s` the whole read, even if the server drips bytes. Raises Unreadable; the
    file may then hold a part of the body.
    """
    import asyncio  # noqa: PLC0415 - 15 MB with aiohttp, which a worker without reads does without

    import aiohttp  # noqa: PLC0415

    shown, began_s = url.partition("?")[0], time.monotonic()
    limit = aiohttp.ClientTimeout(total=None, sock_connect=silence_s, sock_read=silence_s)

    async def read() -> None:
        async with (
            asyncio.timeout(limit_s),
            # Bodies are bounded as they are sent, so no compression. Proxies come from the environment.
            aiohttp.ClientSession(
                timeout=limit, auto_decompress=False, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
        ):
            await _follow(session, url, headers, into, max_bytes, body)

    try:
        asyncio.run(read())
    except TimeoutError:
        over = time.monotonic() - began_s >= limit_s
        why = f"it did not end within {limit_s:g} s" if over else f"timed out after {silence_s:g} s without data"
        raise Unreadable(f"{shown}: {why}") from None
    except (OSError, aiohttp.ClientError, ValueError) as error:
        raise Unreadable(redact(f"{shown}: {_reason(error)}", header_secrets(headers))) from None


def _reason(error: Exception) -> str:
    """Return the system's words for a failed connection, such as "Connection refused": aiohttp leaves them out."""
    cause = getattr(error, "os_error", None)
    if cause is None or isinstance(cause, ssl.SSLError | socket.gaierror) or not cause.errno:
        return str(error)
    return os.strerror(cause.errno)


async def _follow(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    into: BinaryIO,
    max_bytes: int,
    body: bytes | None,
) -> None:
    """Follow redirects, and write the body. Raises Unreadable, or what aiohttp raises."""
    sent = {"Accept-Encoding": "identity", **headers}
    for _ in range(_MAX_REDIRECTS + 1):
        if not url.startswith(("http://", "https://")):
            raise Unreadable(f"{url.partition('?')[0]} is no address of HTTP")
        # aiohttp reads the trusted authorities once, when it is imported; they may have changed since.
        trust = ssl.create_default_context() if url.startswith("https://") else True
        method = "GET" if body is None else "POST"
        async with session.request(method, url, data=body, headers=sent, ssl=trust, allow_redirects=False) as answer:
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                await _write(answer, into, max_bytes)
                return
            following = urllib.parse.urljoin(url, answer.headers["Location"])
        if urllib.parse.urlsplit(following)[:2] != urllib.parse.urlsplit(url)[:2]:
            sent = {
                "Accept-Encoding": "identity"
            }  # aiohttp would drop `Authorization` only; any header may be a secret
        url = following
    raise OSError(f"more than {_MAX_REDIRECTS} redirects")


async def _write(answer: aiohttp.ClientResponse, into: BinaryIO, max_bytes: int) -> None:
    if answer.status >= 300:
        page = b""
        while len(page) < 300 and (chunk := await answer.content.read(300 - len(page))):
            page += chunk
        text = " ".join(page.decode(errors="replace").split())  # a page of HTML has many lines
        raise OSError(f"HTTP {answer.status}: {text[:200]}")
    taken = 0
    while chunk := await answer.content.read(_CHUNK_BYTES):
        taken += len(chunk)
        if taken > max_bytes:
            raise Unreadable(f"{answer.url.with_query(None)} answers with more than {max_bytes:,} bytes")
        into.write(chunk)


def fetch_json(url: str, headers: Mapping[str, str], patience_s: float | None = None) -> Any:  # noqa: ANN401 - whatever the server says
    """Return the JSON that a server answers with. Raises Unreadable."""
    content = fetch(url, headers, patience_s=patience_s)
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


def prometheus_series(
    server: str, query: str, headers: Mapping[str, str], at: float | None = None, patience_s: float | None = None
) -> list[tuple[Mapping[str, str], float]]:
    """Return the labels and the value of each series of an instant query; a scalar has no labels. Raises Unreadable.

    `at` is the moment that is asked for, in Unix time; without it the server takes its own now. `patience_s` is
    for a query over very many series.
    """
    asked = {"query": query} | ({} if at is None else {"time": f"{at:.3f}"})
    url = f"{server.rstrip('/')}/api/v1/query?{urllib.parse.urlencode(asked)}"
    answer = fetch_json(url, headers, patience_s)
    try:
        if answer["status"] != "success":
            why = redact(str(answer.get("error", answer["status"])), header_secrets(headers))
            raise Unreadable(f"{server} refuses {query}: {why}")
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
