"""Targets: checks the keys besides their own as the options of the probe that they name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping

from pydantic import JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from goldwatch.config.document import Document
from goldwatch.config.messages import add_problems
from goldwatch.config.model import MASK, OptionValues, Target
from goldwatch.config.probes import BrokenProbe, EntryPointLike, Probes, ProbeType, probe_type
from goldwatch.config.problem import Route, did_you_mean
from goldwatch.config.quantities import NO_ADDRESS, QuantityError, is_address, parse_size
from goldwatch.config.secrecy import secret
from goldwatch.config.written import MEMORY

_BUDGETS = ("at_most", "tokens_at_most", "cpu_at_most")
_OWN_KEYS = ("probe", "warm", "python", "memory", "meters", *_BUDGETS, "busy", "deployment", "names")


def resolve_targets(document: Document, probes: Probes) -> dict[str, Target]:
    """Return the targets that are right, and add what is wrong with the others to the document."""
    entries = probes()
    types: dict[str, ProbeType | None] = {}
    targets = {}
    for name in document.section("targets"):
        written = document.section("targets", name)
        probe = written.get("probe")
        if not isinstance(probe, str):
            continue  # missing or no text: the types of `written` report it
        if types.get(probe) is None:  # what is wrong with it is wrong with each target that names it
            types[probe] = _probe_type(document, ("targets", name, "probe"), probe, entries)
        if kind := types[probe]:
            target = _target(document, name, written, kind)
            targets.update({name: target} if target else {})
    return targets


def _probe_type(
    document: Document, route: Route, probe: str, entries: Mapping[str, EntryPointLike]
) -> ProbeType | None:
    if probe not in entries:
        # find the nearest name by the written text, since the value of a reference is never shown
        written = document.places[route].written or ""
        hint = did_you_mean(written, entries, "installed are")
        document.add(route, f"no probe {document.shown(route)} is installed{hint}")
        return None
    try:
        return probe_type(entries[probe])
    except BrokenProbe as error:
        document.add(route, f"the probe {document.shown(route)} cannot be used: {error}")
        return None


def _target(document: Document, name: str, written: Mapping[str, JsonValue], kind: ProbeType) -> Target | None:
    route = ("targets", name)
    values = {}
    for key, value in written.items():
        if key in kind.secrets:
            values[key] = secret(document, value, (*route, key))
        elif key in kind.paths:
            values[key] = _absolute(document, value)
        elif key not in _OWN_KEYS:
            values[key] = value
            if key in kind.urls and isinstance(value, str) and value and not _is_server(value):
                document.add((*route, key), f"{document.shown((*route, key))} {NO_ADDRESS}")
    options = _checked(document, route, values, kind)
    if "tokens_at_most" in written and not kind.counts_tokens:
        document.add((*route, "tokens_at_most"), f"the probe {document.shown((*route, 'probe'))} counts no tokens")
    names = written.get("names")
    python = _interpreter(document, route, written.get("python", ""))
    try:
        memory_bytes = parse_size(written["memory"], *MEMORY) if "memory" in written else None
    except QuantityError:
        return None  # the types of `written` report it
    if options is None or python is None or not isinstance(warm := written.get("warm", False), bool):
        return None
    options |= {"names": names} if names else {}
    return Target(
        name=name,
        probe=str(written["probe"]),
        factory=kind.factory,
        served=kind.served,
        warm=warm,
        python=python,
        memory_bytes=memory_bytes,
        meters=_meters(document, route, written.get("meters")),
        options=OptionValues(options, {key: _shown(document, (*route, key), options[key], kind) for key in options}),
        secret_options=kind.secrets,
    )


def _is_server(url: str) -> bool:
    """Return whether a probe may take `url`: an address of HTTP, or a Unix socket."""
    return url.startswith("unix:/") or is_address(url.partition("?")[0])


def _interpreter(document: Document, route: Route, written: JsonValue) -> str | None:
    """Return the absolute path of an interpreter, empty for none; None if there is no such program."""
    if not isinstance(written, str):
        return None  # the types of `written` report it
    wanted = str(_absolute(document, written)) if "/" in written else written
    found = shutil.which(wanted) if wanted else ""
    if found is None:
        shown = document.shown((*route, "python"))
        document.add(
            (*route, "python"), f"{shown} is no program that can be run; write the path of a Python interpreter"
        )
    return found


def _meters(document: Document, route: Route, written: JsonValue) -> tuple[str, ...]:
    """Return the names of a target's meters, and add a problem for each that leads nowhere."""
    names = [name for name in written if isinstance(name, str)] if isinstance(written, list) else []
    known = document.section("energy", "meters")
    for index, name in enumerate(names):
        if name not in known:
            at = (*route, "meters", index)
            hint = did_you_mean(document.places[at].written or "", known, "there are")
            document.add(at, f"no meter is named {document.shown(at)}{hint}")
    return tuple(names)


def _checked(
    document: Document, route: Route, values: Mapping[str, JsonValue], kind: ProbeType
) -> dict[str, JsonValue] | None:
    """Return the options as the probe's dataclass has them, or None if it refuses them."""
    schema = {**kind.schema, "properties": {**{key: {} for key in _OWN_KEYS}, **kind.schema.get("properties", {})}}
    try:
        options = kind.options.validate_json(json.dumps(values))
    except ValidationError as error:
        add_problems(document, error, schema, route)
        return None
    return {key: to_jsonable_python(getattr(options, key)) for key in values}


def _absolute(document: Document, value: JsonValue) -> JsonValue:
    """Return paths with the config's folder before those that are relative."""
    if isinstance(value, list):
        return [_absolute(document, item) for item in value]
    return os.path.normpath(document.folder / value) if isinstance(value, str) and value else value


def _shown(document: Document, route: Route, value: JsonValue, kind: ProbeType) -> JsonValue:
    """Return what may be seen of an option: masked, or with its references as written."""
    if route[-1] in kind.secrets:
        return MASK
    if isinstance(value, dict):
        return {key: _shown(document, (*route, key), item, kind) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(document, (*route, index), item, kind) for index, item in enumerate(value)]
    place = document.places.get(route)
    return place.written if place and place.resolved else value
