"""The section `policy`: limits on a config whose watches come from people who are trusted less than the agent.

The operator writes it into each config that it makes of Watch resources. Runs in the agent and in the operator; the
reader of the file enforces `references` and `secrets` before it follows any.
"""

from __future__ import annotations

import posixpath
import re
import socket
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, Strict

from goldwatch.config.base import Section
from goldwatch.config.document import Document
from goldwatch.config.model import Target
from goldwatch.config.problem import Route

SECTIONS = ("targets", "golden", "watches")
"""The sections that a policy limits."""

_REFUSED = "is not allowed by the section `policy`"
_SECRET = re.compile(r"file:/secrets/(?P<name>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)/(?!\.\.)[-._a-zA-Z0-9]+")
"""A key of a Secret where the chart mounts it."""
_ROLE = "a signature with the credentials of the agent"
_OF_THE_AGENT = {
    "python": "another interpreter",
    "token_command": "a program",
    "aws_service": _ROLE,
    "aws_region": _ROLE,
}
"""Keys of a target that run a program in the agent's pod, or sign with its role."""
_CLOSED = ("/secrets", "/run/secrets", "/var/run/secrets", "/proc", "/sys", "/dev")
"""Folders of an agent's pod in which no golden set and no log lies, but credentials and the state of processes do."""
_FOLDER = "/etc/goldwatch"
"""The folder of the config in a pod, to which its paths are relative."""
_METADATA = tuple(map(ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200")))
"""Where clouds serve the credentials of a node. Reached by name through a resolver too: a NetworkPolicy closes that."""
_METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
_HOST = re.compile(r"\.?[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?", re.IGNORECASE)


def _is_address(text: str) -> str:
    if _network(text) is None and not _HOST.fullmatch(text):
        raise ValueError(f'"{text}" is no address; write a host, .DOMAIN for all hosts below it, or a network (CIDR)')
    return text


class Policy(Section):
    """Limits what the sections `targets`, `golden` and `watches` may use. Without it they may use everything."""

    probes: Annotated[tuple[str, ...], Strict(False)] = Field(  # a list in the file
        default=(),
        description="Probes that run a model, and with it foreign code, in the agent's pod and are allowed all the "
        "same; those that ask a server always are.",
    )
    references: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(),
        description="The references that are allowed, without `${` and `}`, such as file:/etc/goldwatch/secrets/fraud.",
    )
    secrets: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(),
        description="Secrets whose keys are allowed as references, ${file:/secrets/NAME/KEY}: those of the agent's own "
        "namespace that the chart mounts by `secrets`.",
    )
    addresses: Annotated[tuple[Annotated[str, AfterValidator(_is_address)], ...], Strict(False)] = Field(
        default=(),
        description="Hosts, `.DOMAIN` for all hosts below it, and networks (CIDR) that may be asked; by default all "
        "but those at which clouds serve the credentials of a node.",
    )


@dataclass(frozen=True, slots=True)
class AllowedReferences(Container[str]):
    """The references that a policy allows, as they are between the braces."""

    references: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def __contains__(self, body: object) -> bool:
        found = _SECRET.fullmatch(body) if isinstance(body, str) else None
        return body in self.references or (found is not None and found["name"] in self.secrets)


def allowed_references(written: Mapping[str, object]) -> AllowedReferences:
    """Return the references that a section `policy` allows, as it is written.

    It is read before it is checked: one that is malformed, or missing, allows nothing.
    """
    policy = written.get("policy")
    return AllowedReferences(frozenset(_listed(policy, "references")), frozenset(_listed(policy, "secrets")))


def is_refusal(message: str) -> bool:
    """Say whether a problem of a config is what its policy does not allow."""
    return "`policy" in message


def check_policy(document: Document, targets: dict[str, Target]) -> None:
    """Add a problem for each value that would run code, read credentials or ask what the policy does not allow."""
    if "policy" not in document.value:
        return
    policy = document.section("policy")
    probes = _listed(policy, "probes")
    for name in document.section("targets"):
        written = document.section("targets", name)
        for key in (key for key in _OF_THE_AGENT if key in written):
            document.add(("targets", name, key), f"{_OF_THE_AGENT[key]} {_REFUSED}")
        target = targets.get(name)
        if target is not None and not target.served and target.probe not in probes:
            message = f'the probe "{target.probe}" runs code in the agent and is not in `policy.probes`; '
            document.add(("targets", name, "probe"), message + "use one that asks a server, or ask who runs the agent")
    addresses = _listed(policy, "addresses")
    for section in SECTIONS:
        for route, text in _texts(document.value.get(section), (section,)):
            if _in_closed_folder(text):
                document.add(route, f"a file in {', '.join(_CLOSED)} {_REFUSED}; name one outside of them")
            elif text.strip().startswith("unix:"):
                document.add(route, f"a socket of this machine {_REFUSED}; name a server by http:// or https://")
            elif (host := _host(text)) is not None and not _may_ask(host, addresses):
                who = "`policy.addresses` lists those that are" if addresses else "credentials of the node are there"
                document.add(route, f'the address "{host}" {_REFUSED}; {who}')


def _listed(policy: object, key: str) -> list[str]:
    listed = policy.get(key) if isinstance(policy, Mapping) else None
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


def _texts(value: JsonValue, route: Route) -> Iterator[tuple[Route, str]]:
    """Yield each text below `route`, and where it is."""
    inner: Iterable[tuple[str | int, JsonValue]] = ()
    if isinstance(value, str):
        yield route, value
    elif isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, each in inner:
        yield from _texts(each, (*route, key))


def _in_closed_folder(text: str) -> bool:
    path = posixpath.normpath(posixpath.join(_FOLDER, text.strip()))
    path = f"/{path.lstrip('/')}"  # POSIX leaves two slashes at the start as they are
    return any(path == folder or path.startswith(f"{folder}/") for folder in _CLOSED)


def _host(text: str) -> str | None:
    """Return the host of an address such as http://HOST:PORT, None for another text."""
    if "://" not in text:
        return None
    try:
        return (urlsplit(text.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _may_ask(host: str, addresses: list[str]) -> bool:
    address = _address(host)
    if addresses:
        return any(_matches(host, address, each) for each in addresses)
    if address is not None:
        return not any(address in network for network in _METADATA)
    return bool(host) and host not in _METADATA_NAMES


def _matches(host: str, address: IPv4Address | IPv6Address | None, pattern: str) -> bool:
    if (network := _network(pattern)) is not None:
        return address is not None and address in network
    pattern = pattern.lower()
    return host.endswith(pattern) if pattern.startswith(".") else host == pattern


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a host is, in any of the forms that a resolver takes (0xa9fea9fe, 169.254.43518)."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return ip_address(socket.inet_aton(host)) if re.match(r"[0-9]", host) else None
        except (OSError, ValueError):
            return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
