"""The whole effective config, and where each value comes from: a line of the file, a convention, or the default."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from goldwatch.config.document import Document
from goldwatch.config.load import load_document
from goldwatch.config.model import Config
from goldwatch.config.probes import Probes, installed_probes, probe_type
from goldwatch.config.problem import Route

_HIDDEN = {("targets", "name"), ("targets", "factory"), ("targets", "served"), ("targets", "secret_options")}
_HIDDEN |= {("golden", "name"), ("watches", "name")}
_BUDGETS = {"most_per_s": "at_most", "most_tokens_per_s": "tokens_at_most", "most_cpu": "cpu_at_most"}
_WRITTEN = {"memory_bytes": "memory", "jitter_s": "jitter", "deadline_s": "deadline", **_BUDGETS}
_WIDEST = 56
_ADDRESS = re.compile(r"(?<=://)[^/@\s]*@|(?<=\S)\?[^\s,\]}]*")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of the effective config, its route in a file, and its origin."""

    route: Route
    value: Any
    origin: str


def effective(
    path: Path, environ: Mapping[str, str] = os.environ, probes: Probes = installed_probes
) -> tuple[Setting, ...]:
    """Load a config file and return all of its settings. Raises ConfigError."""
    config, document = load_document(path, environ, probes)
    return tuple(_settings(config, document, probes))


def as_yaml(settings: tuple[Setting, ...]) -> str:
    """Write them as a config file that means the same, each with its origin behind it. Secrets are masked.

    An unset value is a comment: the file would not take an empty value for it.
    """
    lines: list[tuple[str, str]] = []
    opened: Route = ()
    for setting in settings:
        parents = setting.route[:-1]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(opened, parents, strict=False)))
        lines += [(f"{'  ' * depth}{_plain(parents[depth])}:", "") for depth in range(same, len(parents))]
        unset = setting.value in (None, "", [], {})
        key = f"{'# ' if unset else ''}{_plain(setting.route[-1])}:"
        lines.append((f"{'  ' * len(parents)}{key}{'' if unset else f' {_plain(setting.value)}'}", setting.origin))
        opened = parents
    width = max(len(text) for text, origin in lines if origin and len(text) <= _WIDEST)
    return "".join(f"{text:<{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in lines)


def in_effect(config: Config, watch: str, target: str) -> tuple[tuple[str, str], ...]:
    """Return the keys of a config in force that bear on one watch and target, with the values that they have.

    Secrets are masked, and addresses lose user and query. Unset keys are left out.
    """
    values = config.model_dump(mode="json", by_alias=True, include={"watches", "targets", "golden", "alerts"})
    golden = config.watches[watch].golden
    parts = (("watches", watch), ("targets", target), ("golden", golden))
    routes = [leaf for part in parts for leaf in _leaves(part, values[part[0]][part[1]])]
    routes += _leaves(("alerts",), values["alerts"])
    return tuple(
        (".".join(map(str, _as_written(route))), _ADDRESS.sub("", _plain(value)))
        for route, value in routes
        if value not in (None, "", [], {}) and not (route[::2] in _HIDDEN and len(route) == 3)
    )


def _plain(value: Any) -> str:  # noqa: ANN401 - whatever the config holds
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def _settings(config: Config, document: Document, probes: Probes) -> Iterator[Setting]:
    values = config.model_dump(mode="json", by_alias=True, exclude={"source", "fetched"})
    entries = probes()
    for target in values["targets"].values():
        known = probe_type(entries[target["probe"]]).schema.get("properties", {})
        written = target["options"]
        target["options"] = written | {k: v["default"] for k, v in known.items() if k not in written and "default" in v}
    for route, value in _leaves((), values):
        if route[::2] in _HIDDEN and len(route) == 3:
            continue
        at = _as_written(route)
        yield Setting(at, value, _origin(at, document))


def _leaves(route: Route, value: Any) -> Iterator[tuple[Route, Any]]:  # noqa: ANN401 - whatever the config holds
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves((*route, key), inner)
    else:
        yield route, value


def _as_written(route: Route) -> Route:
    if route[0] == "targets" and len(route) > 3 and route[2] == "options":
        route = (*route[:2], *route[3:])
    return tuple(_WRITTEN.get(part, part) if isinstance(part, str) else part for part in route)


def _origin(route: Route, document: Document) -> str:
    short = {"path": route[:-1], "targets": (*route[:-1], "target")}.get(str(route[-1]), route)
    for at in (route, short):
        place = document.places.get(at)
        if place is not None and (place.written is not None or at == route):
            by = f", {', '.join(reference for reference, _ in place.resolved)}" if place.resolved else ""
            return f"line {place.value.line}{by}"
    if route[0] == "watches" and len(route) == 3 and route[-1] in ("golden", "targets"):
        return "by convention"
    if route[0] == "watches" and len(route) == 3 and route[-1] in ("jitter", "deadline"):
        return "default, from every"
    return "default"
