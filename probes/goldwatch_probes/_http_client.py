"""A client of one model server over HTTP, and the part of a probe that is the same for all of them.

The probe's own module builds requests and interprets answers; this module sends them and turns failures into the
errors of `goldwatch.probe`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from goldwatch.probe import BadAnswer, CannotLoad, Context, NotReady, Overloaded, Rejected, Unreachable
from goldwatch_probes import _remote
from goldwatch_probes._answers import parse_object
from goldwatch_probes._credentials import Credentials
from goldwatch_probes._http import Answer, Connection, Written
from goldwatch_probes._remote import OfThreads, RemoteOptions, RemoteProbe

JSON = "application/json"
_OVERLOADED = (429, 503)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ready to be sent."""

    written: Written
    streamed: bool = False


class Client:
    """Connections to one server, one for each thread that asks, with what every request carries."""

    def __init__(self, options: RemoteOptions, context: Context) -> None:
        """Check the options; connect later. Raises CannotLoad."""
        self._sampled = options.sampled
        self._headers = _remote.headers(options)
        self._credentials = Credentials(options, context.time_limit_s)
        self.url, _, self._query = options.url.partition("?")
        self.url = self.url.rstrip("/")
        self._connection = OfThreads(
            partial(
                Connection,
                options.url,
                time_limit_s=context.time_limit_s,
                max_bytes=context.max_response_bytes,
                tls=_remote.tls_context(options),
            )
        )

    def request(
        self, path: str, body: bytes, content_type: str, more: Mapping[str, str] = {}, method: str = "POST"
    ) -> Request:
        """Return a request with a trace context. The user's headers win over `content_type`. Raises CannotLoad."""
        headers = {**self._headers, _remote.TRACE_HEADER: _remote.traceparent(sampled=self._sampled), **more}
        given = [value for name, value in self._headers.items() if name.lower() == "content-type"]
        if not given:
            headers["Content-Type"] = content_type
        headers |= self._authorized(method, path, body, given[0] if given else content_type)
        return Request(self._connection().written(method, path, body, headers))

    def _authorized(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Mapping[str, str]:
        query = f"?{self._query}" if self._query else ""
        return self._credentials.headers(method, f"{self.url}/{path}{query}", body, content_type)

    def send(self, request: Request) -> Answer:
        """Send it and read the whole answer. Raises TimeoutError, Unreachable, BadAnswer; Rejected unless it is 200."""
        answer = self._connection().send(request.written, streamed=request.streamed)
        if answer.status == 401:
            self._credentials.refused()
        if answer.status in _OVERLOADED:
            raise overloaded(answer)
        if answer.status != 200:
            raise Rejected(_refusal(answer))
        return answer

    def connect(self) -> None:
        """Check that a server listens. Raises Unreachable."""
        self._connection().connect()

    def get(self, path: str, *, missing_allowed: bool = False, method: str = "GET") -> Answer:
        """Return the answer to a question about the server, with every failure told as one of opening.

        Raises CannotLoad, Unreachable or NotReady.
        """
        headers = {**self._headers, _remote.TRACE_HEADER: _remote.traceparent(sampled=self._sampled)}
        headers |= self._authorized(method, path)
        where = f"{self.url}/{path}"
        try:
            connection = self._connection()
            answer = connection.send(connection.written(method, path, headers=headers))
        except TimeoutError as error:
            raise Unreachable(str(error)) from error
        except BadAnswer as error:
            raise CannotLoad(f"{where}: {error}") from error
        if answer.status == 401:
            self._credentials.refused()
        if answer.status == 200 or (answer.status in (404, 405) and missing_allowed):
            return answer
        for_good = 300 <= answer.status < 400 or answer.status in (401, 403)
        raise (CannotLoad if for_good else NotReady)(f"{where}: {_refusal(answer)}")

    def page(self, path: str, *, missing_allowed: bool = False, method: str = "GET") -> dict[str, Any]:
        """Return the JSON object at `path`; an empty one if there is none and `missing_allowed`.

        Raises CannotLoad, Unreachable or NotReady.
        """
        answer = self.get(path, missing_allowed=missing_allowed, method=method)
        if answer.status != 200:
            return {}
        try:
            return parse_object(answer.body)
        except BadAnswer as error:
            raise CannotLoad(f"{self.url}/{path}: {error}") from error

    @property
    def resent(self) -> int:
        """How many requests were sent again, since the server had closed the connection."""
        return self._connection.resent

    def close(self) -> None:
        """Close all connections that there are."""
        self._connection.close()


class HttpProbe(RemoteProbe[Client]):
    """A probe over HTTP: one request at a time from each thread."""

    def predict(self, request: Request) -> Answer:
        """Send the request and read the whole answer. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        return self._opened().send(request)

    def times_ns(self, response: Answer) -> tuple[int, int]:
        """Return when the request was sent, and when the last byte of the answer arrived at this machine."""
        return response.sent_ns, response.arrived_ns

    def _connect(self) -> Client:
        """Make the client that the other methods use. Raises CannotLoad."""
        self._client = Client(self._options, self._context)
        return self._client


def overloaded(answer: Answer) -> Overloaded:
    """Return the error of a server that has too many requests, with the time that it asks for."""
    wait_s = _retry_after_s(answer.headers.get("retry-after", ""))
    asks = "" if wait_s is None else f"; it asks to be left alone for {wait_s:.3g} s"
    return Overloaded(f"overloaded: {_refusal(answer)}{asks}", wait_s)


def _retry_after_s(value: str) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, 10.2.3), a number or a date; None for anything else."""
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _refusal(answer: Answer) -> str:
    """Say what an answer other than 200 means, in the server's words where it has some."""
    if 300 <= answer.status < 400:
        location = answer.headers.get("location", "nowhere")[:200]
        return f"answered {answer.status}, a redirect to {location}; redirects are not followed, give the final `url`"
    said = _said(answer.body)
    text = " ".join(said.split())[:200]
    return f"answered {answer.status}: {text}" if text else f"answered {answer.status}"


def _said(body: bytes) -> str:
    """Return the message of an error, under the names that servers have for it, or the body itself."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        for name in ("error", "message", "detail"):
            if value.get(name):
                return str(value[name])
    return body[:400].decode(errors="replace")
