"""A problem in a config: its place, the key, what was found and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from goldwatch.errors import GoldwatchError

_MAX_NAMES = 100  # more names would not help a reader, and take long to compare


class Rejection(StrEnum):
    """Why a config was refused. Label values: few, and fixed."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    INVALID = "invalid"
    GOLDEN = "golden"
    LEDGER = "ledger"
    ADDRESS = "address"
    RESTART = "restart"
    OTHER = "other"


Route = tuple[str | int, ...]
"""The keys and list indices that lead from the root of the file to a value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` and `column` count from 1; both are 0 if the file as a whole is meant."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}  {self.field}: {self.message}" if self.field else f"{place}  {self.message}"


class ConfigError(GoldwatchError):
    """A config that cannot be used. `problems` holds all that is wrong with it, in the order of the file."""

    of_config = True

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        total = f"{count} problem{'' if count == 1 else 's'}; nothing was started."
        return "\n".join([*map(str, self.problems), total])


class UnreadableConfig(ConfigError):
    """A config file that is missing or is no YAML mapping, so that nothing in it is known."""


def field_name(route: Route) -> str:
    """Write a route as a person would: `watches.fraud.targets[1]`."""
    name = ""
    for part in route:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return name.removeprefix(".")


def did_you_mean(wrong: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return what to add to the message about a name that is not known: the nearest one, else all after `otherwise`."""
    from difflib import get_close_matches  # noqa: PLC0415 - only a config with a mistake needs it

    names = sorted(names)[:_MAX_NAMES]
    near = get_close_matches(wrong, names, n=1)
    if near:
        return f' (did you mean "{near[0]}"?)'
    return f"; {otherwise} {', '.join(names)}" if names and otherwise else ""
