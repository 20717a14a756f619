"""Which requests the agent answers: those that carry the token of what they ask for.

Part of the agent's HTTP server, in its event loop. The health endpoints need no token, since a kubelet has none;
without one they give no reasons. Requests that need no token are checked for DNS rebinding: see `hosts`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from pydantic import SecretStr

from goldwatch.config import Prometheus
from goldwatch.daemon.hosts import Hosts

LIVE = "/live/{watch}"
PROBES = frozenset({"/healthz", "/readyz"})
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens: of everything, and of posting live traffic. Without one, a request needs none.

    Browsers without a token are answered only under the names in `hosts`.
    """

    credentials: bytes = field(default=b"", repr=False)
    live_credentials: bytes = field(default=b"", repr=False)
    hosts: Hosts = field(default_factory=Hosts)

    @classmethod
    def of(cls, section: Prometheus) -> Self:
        """Take the tokens from the config."""
        asked, hosts = section.authorization, Hosts.of(section)
        if asked is None:
            return cls(hosts=hosts)
        return cls(_plain(asked.credentials), _plain(asked.live_credentials), hosts)

    def check(self, request: web.Request) -> None:
        """Raise HTTPUnauthorized for a request without the token of what it asks for.

        Raises HTTPForbidden if no token is needed and a malicious page may have sent the request.
        """
        # By the route that will answer: a path can be written in several ways.
        resource = request.match_info.route.resource
        route = "" if resource is None else resource.canonical
        live = route == LIVE
        if self._needed(live=live):  # a malicious page has none
            if route not in PROBES and not self.allows(request, live=live):
                raise _refusal(request)
        elif (host := self.hosts.refused(request.headers)) is not None:
            raise _unknown_name(host)

    def allows(self, request: web.Request, *, live: bool = False) -> bool:
        """Return whether a request carries the token that it needs, if one is needed."""
        needed = self._needed(live=live)
        return not needed or hmac.compare_digest(_presented(request), needed)

    def _needed(self, *, live: bool) -> bytes:
        return (self.live_credentials if live else b"") or self.credentials


def _plain(token: SecretStr | None) -> bytes:
    return b"" if token is None else token.get_secret_value().encode()


def _presented(request: web.Request) -> bytes:
    """Return the token of a request: a bearer token, or the password of a browser, whatever the user name."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    sent = value.strip().encode(errors="surrogateescape")
    if scheme.lower() == "bearer":
        return sent
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(sent, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _refusal(request: web.Request) -> web.HTTPUnauthorized:
    error = web.HTTPUnauthorized(
        text="send the token of exporters.prometheus.authorization as `Authorization: Bearer TOKEN`, or as a password\n"
    )
    wrong = ', error="invalid_token"' if "Authorization" in request.headers else ""
    error.headers.add("WWW-Authenticate", f'Bearer realm="goldwatch"{wrong}')
    error.headers.add("WWW-Authenticate", 'Basic realm="goldwatch", charset="UTF-8"')
    return error


def _unknown_name(host: str) -> web.HTTPForbidden:
    shown = json.dumps(host[:_LONGEST_SHOWN])
    return web.HTTPForbidden(
        text=f"a browser asked for {shown}, which is no name of this agent: write it into "
        "exporters.prometheus.allowed_hosts, or set exporters.prometheus.external_url\n",
        headers={"X-Content-Type-Options": "nosniff"},
    )
