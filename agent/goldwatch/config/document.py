"""A config file that was read: plain values, the place of each key and value, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue

from goldwatch.config.problem import Problem, Route, field_name
from goldwatch.config.references import file_of

_SHOWN_CHARACTERS = 60


class Position(NamedTuple):
    """The start of a value in the file, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Place:
    """The content of the file at one route. The position of a list item's `key` is that of its value.

    `written` is a scalar as written in the file, and `text` the same with its references replaced; both are None for
    a mapping or list. `resolved` holds (reference, its value).
    """

    key: Position
    value: Position
    written: str | None = None
    text: str | None = None
    resolved: tuple[tuple[str, str], ...] = ()
    has_default: bool = False


@dataclass(slots=True)
class Document:
    """A file that was read. `problems` grows while it is judged; there is at most one with each key and each value.

    `secret_variables` are the environment variables that hold its secrets, `secret_values` what they and files hold.
    """

    file: Path
    value: dict[str, JsonValue] = field(default_factory=dict, repr=False)
    places: dict[Route, Place] = field(default_factory=dict, repr=False)
    problems: dict[tuple[Route, bool], Problem] = field(default_factory=dict)
    secret_variables: set[str] = field(default_factory=set)
    secret_values: set[str] = field(default_factory=set, repr=False)

    @property
    def folder(self) -> Path:
        """The absolute folder of the file; its paths are relative to it."""
        return self.file.absolute().parent

    @property
    def reference_files(self) -> frozenset[Path]:
        """The files that its values refer to."""
        written = {reference for place in self.places.values() for reference, _ in place.resolved}
        return frozenset(file for each in written if (file := file_of(each, self.folder)) is not None)

    def add(self, route: Route, message: str, *, at: Position | None = None, named: Route | None = None) -> None:
        """Note that something is wrong at `route`, unless that is known of the same key or value.

        It is shown at the value there, or at the position `at` of a key; under the name of `route`, or of `named`.
        """
        if (route, at is not None) not in self.problems:
            shown = self.present(route)
            name = field_name(named if named is not None else route if at else shown)
            line, column = at or self.places[shown].value
            self.problems[route, at is not None] = Problem(str(self.file), line, column, name, message)

    def present(self, route: Route) -> Route:
        """Return `route` without the parts that the file does not have (where a shorter form was written)."""
        while route and route not in self.places:
            route = route[:-1]
        return route

    def section(self, *route: str | int) -> Mapping[str, JsonValue]:
        """Return the mapping at `route`, or an empty one if something else, or nothing, is there."""
        value: JsonValue = self.value
        for part in route:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    def shown(self, route: Route) -> str:
        """Return what was found at `route` for a message: always as written, never the value of a reference."""
        route = self.present(route)
        text = self.places[route].written
        if text is None:
            return "a list" if isinstance(self._at(route), list) else "a mapping"
        if not text:
            return "an empty value"
        return f'"{text}"' if len(text) <= _SHOWN_CHARACTERS else f'"{text[:_SHOWN_CHARACTERS]}..."'

    def _at(self, route: Route) -> object:
        value: object = self.value
        for part in route:
            value = value[part]  # type: ignore[index]
        return value

    def redacted(self, message: str, route: Route) -> str:
        """Return a message of foreign origin with every value under `route` that came by reference as written."""
        for at, place in self.places.items():
            if at[: len(route)] == route:
                for reference, value in sorted(place.resolved, key=lambda pair: -len(pair[1])):
                    for form in (value, repr(value)[1:-1]):
                        message = message.replace(form, reference) if form else message
        return message
