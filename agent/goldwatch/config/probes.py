"""Probes as the config sees them: found by entry point, each with a dataclass of options to check keys against.

To load a probe's class imports its module, and with it numpy; so only the probes that a config names are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from pydantic import ConfigDict, TypeAdapter

from goldwatch.errors import GoldwatchError

GROUP = "goldwatch.probes"


class EntryPointLike(Protocol):
    """The part of `importlib.metadata.EntryPoint` that is needed. `value` is "module:Class"."""

    @property
    def value(self) -> str:
        """The location of the class."""

    def load(self) -> Any:  # noqa: ANN401
        """Import it."""


Probes = Callable[[], Mapping[str, EntryPointLike]]
"""Finds the probes there are, by name, without importing them."""


class BrokenProbe(GoldwatchError):
    """An installed probe that cannot be imported, or is none."""


def installed_probes() -> Mapping[str, EntryPointLike]:
    """Return the probes of all installed packages, by name."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@dataclass(frozen=True, slots=True)
class ProbeType:
    """The facts about a probe's class that the config needs. `options` checks a mapping as the probe's options."""

    factory: str
    served: bool
    counts_tokens: bool
    options: TypeAdapter[Any]
    schema: dict[str, Any]
    secrets: frozenset[str]
    paths: frozenset[str]
    urls: frozenset[str]


def probe_type(entry: EntryPointLike) -> ProbeType:
    """Import a probe. Raises BrokenProbe with the error's text."""
    try:
        return _probe_type(entry)
    except BrokenProbe:
        raise
    except Exception as error:  # whatever a third party's module does on import
        raise BrokenProbe(f"{type(error).__name__}: {error}") from error


def _probe_type(entry: EntryPointLike) -> ProbeType:
    probe = entry.load()
    options = getattr(probe, "Options", None)
    if not (isinstance(options, type) and is_dataclass(options)):
        raise BrokenProbe(f"{entry.value} has no dataclass `Options`")
    if not isinstance(getattr(probe, "served", None), bool):
        raise BrokenProbe(f"{entry.value} does not say whether it is `served`")
    strict = type(options.__name__, (options,), {"__pydantic_config__": _STRICT, "__module__": options.__module__})
    adapter: TypeAdapter[Any] = TypeAdapter(strict)
    return ProbeType(
        factory=entry.value,
        served=probe.served,
        counts_tokens=callable(getattr(probe, "tokens", None)),
        options=adapter,
        schema=_described(adapter.json_schema(), options),
        secrets=_marked(options, "secret"),
        paths=_marked(options, "path"),
        urls=_marked(options, "url"),
    )


_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _marked(options: type, mark: str) -> frozenset[str]:
    """Return the names of the options that were declared with `mark=True`, by `goldwatch.probe.option`."""
    return frozenset(field.name for field in fields(options) if field.metadata.get(mark))


def _described(schema: dict[str, Any], options: type) -> dict[str, Any]:
    """Add the texts of the options to their schema."""
    for field in fields(options):
        if field.name in schema.get("properties", {}):
            schema["properties"][field.name]["description"] = field.metadata.get("text", field.name)
    return schema
