"""Which names a browser may use for the agent: a guard against DNS rebinding.

A malicious page can make its own domain resolve to the agent's address, and then read it from the user's browser.
The browser sends that domain as Host. Trusted are names that cannot be registered in public DNS, and those of the
config. Other clients may use any name: Prometheus and probes run no code of web pages.
"""

from __future__ import annotations

import ipaddress
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from goldwatch.config import Prometheus

_ONLY_BROWSERS_SEND = ("Accept-Language", "Origin", "Referer", "Sec-Fetch-Mode")
"""The Fetch standard adds Accept-Language to each request, and a page's script cannot remove it."""
_PRIVATE = (".localhost", ".svc", ".cluster.local", ".internal")
"""Suffixes without public DNS. Not `.local`: by multicast DNS, any machine on the network can answer for its names."""

_PORT = re.compile(r":[0-9]*$")


@dataclass(frozen=True, slots=True)
class Hosts:
    """Names that a browser may use, in lower case. A leading dot allows all names below it."""

    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, section: Prometheus) -> Self:
        """Take the names from the config: `allowed_hosts`, and the host of `external_url`."""
        served_as = urlsplit(section.external_url).hostname or ""
        return cls(frozenset(name.lower() for name in (*section.allowed_hosts, served_as) if name))

    def refused(self, headers: Mapping[str, str]) -> str | None:
        """Return the Host of a request that a malicious page may have sent; None if the request can be answered."""
        host = headers.get("Host", "")
        if not _is_from_a_browser(headers) or self._is_trusted(_name(host)):
            return None
        return host

    def _is_trusted(self, name: str) -> bool:
        return "." not in name or _is_ip(name) or name == platform.node().lower() or _matches(name, self.names)


def _is_from_a_browser(headers: Mapping[str, str]) -> bool:
    return headers.get("User-Agent", "").startswith("Mozilla/") or any(name in headers for name in _ONLY_BROWSERS_SEND)


def _name(host: str) -> str:
    """Return a Host header without its port and brackets, in lower case."""
    return _PORT.sub("", host.strip().lower()).strip("[]").removesuffix(".")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _matches(name: str, allowed: Iterable[str]) -> bool:
    return any(name == each or (each.startswith(".") and name.endswith(each)) for each in (*_PRIVATE, *allowed))
