"""Composes an agent's config from Watches, validated before it is written.

A wrong Watch does not affect others: its last valid version stays in the config, or, if there was none, it is left
out. Only the agent knows the values of references, so they are not validated here, and no reference is ever followed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from goldwatch.config import ConfigError, Problem, load
from goldwatch.config.policy import allowed_references
from goldwatch.config.references import references
from goldwatch.core import kinds
from goldwatch.errors import GoldwatchError
from goldwatch.export import cardinality

Spec = Mapping[str, Any]

MOST_BYTES = 900_000
"""A ConfigMap holds a mebibyte, names and all."""

_REFERENCE = re.compile(r"\$\{(file:[^{}]*|[A-Za-z_][A-Za-z0-9_]*)\}")
_STANDS_FOR = "http://reference.invalid"
"""It passes where an address is expected, and where any text is; what else a reference may be is not judged."""
_WHO_ALLOWS = "the operator's defaults list those that are, in `policy.references` and `policy.secrets`"
_SECTIONS = {"targets": "spec.target", "golden": "spec.golden", "watches": "spec"}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes each Watch whole, though another may hold the same values."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


class BadDefaults(GoldwatchError):
    """The shared sections are wrong, or the watches taken together; the text has the problems."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The text of goldwatch.yaml, empty if there is nothing to watch; and what is wrong, by the name of the Watch."""

    text: str
    problems: Mapping[str, str] = field(default_factory=dict)


def compose(specs: Mapping[str, Spec], defaults: Mapping[str, Any], before: str = "") -> Composed:
    """Make the config of Watches by name, with the sections of `defaults`. Raises BadDefaults.

    `before` is the current text. At most three configs are validated.
    """
    problems = _problems(specs, defaults)
    if not problems:
        return Composed(_text(specs, defaults))
    known = _specs_of(before)
    kept = {name: known.get(name) if name in problems else spec for name, spec in specs.items()}
    standing = {name: spec for name, spec in kept.items() if spec is not None}
    if stale := _problems(standing, defaults):  # it was right for another version, or other defaults
        standing = {name: spec for name, spec in standing.items() if name not in stale}
    return Composed(_text(standing, defaults), problems)


def read_defaults(file: Path) -> dict[str, Any]:
    """Read the sections that all configs share. Raises BadDefaults."""
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadDefaults(f"{file}: cannot be read: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or (mine := found.keys() & _SECTIONS.keys()):
        what = f"{', '.join(sorted(mine))} come from Watches" if isinstance(found, dict) else "it is no mapping"
        raise BadDefaults(f"{file}: {what}; write only sections that all agents share, such as alerts")
    return found


def _text(specs: Mapping[str, Spec], defaults: Mapping[str, Any]) -> str:
    if not specs:
        return ""
    text = str(yaml.dump(_config(dict(sorted(specs.items())), defaults), Dumper=_Dumper, sort_keys=False))
    if len(text.encode()) > MOST_BYTES:
        raise BadDefaults(
            f"{len(specs):,} Watches are too much for one ConfigMap ({len(text.encode()):,} bytes of {MOST_BYTES:,}); "
            "give some of them another one by the label goldwatch.dev/config"
        )
    return text


def _config(specs: Mapping[str, Spec], defaults: Mapping[str, Any]) -> dict[str, Any]:
    watches = {
        name: {key: value for key, value in spec.items() if key not in ("target", "golden")}
        for name, spec in specs.items()
    }
    targets = {name: spec.get("target") for name, spec in specs.items()}
    golden = {name: spec.get("golden") for name, spec in specs.items()}
    return {"policy": {}, "targets": targets, "golden": golden, "watches": watches, **defaults}


def _specs_of(text: str) -> dict[str, Spec]:
    """Return the Watches of a config that was written before; nothing if it cannot be read."""
    try:
        found = yaml.load(text, _LOADER)  # noqa: S506 - it is a safe loader
        return {
            name: {"target": found["targets"][name], "golden": found["golden"][name], **watch}
            for name, watch in found["watches"].items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}


def _problems(specs: Mapping[str, Spec], defaults: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with each Watch, by its name. Raises BadDefaults for what is none of theirs."""
    if not specs:
        return {}
    names = list(specs)
    sealed = _Sealed(allowed_references(defaults))
    # Numbers for names: a name with a dot would leave open where it ends in the name of a field.
    own = {f"w{i}": sealed.value(dict(specs[name]), f"w{i}") for i, name in enumerate(names)}
    found = {number: list(lines) for number, lines in sealed.refused.items()}
    shared = sealed.shared(defaults)
    text = yaml.dump(_config(own, shared), Dumper=_Dumper, sort_keys=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "goldwatch.yaml"
        file.write_text(text)
        try:
            composed = load(file, sealed.environ)
            cardinality.check(composed)
            kinds.weights(composed)
        except ConfigError as error:
            for problem in error.problems:
                _attribute(problem, sealed, found)
        except GoldwatchError as error:
            raise BadDefaults(str(error).removeprefix(f"{file}: ")) from None
        except ValueError as error:
            raise BadDefaults(f"alerts.{error}") from None
    return {names[int(number[1:])]: "\n".join(lines) for number, lines in found.items()}


def _attribute(problem: Problem, sealed: _Sealed, found: dict[str, list[str]]) -> None:
    section, _, rest = problem.field.partition(".")
    number, dot, key = rest.partition(".")
    if section not in _SECTIONS or not re.fullmatch(r"w\d+", number):
        if sealed.hides(f".{problem.field}", problem):
            return
        raise BadDefaults(f"{problem.field}: {problem.message}" if problem.field else problem.message)
    where = f"{_SECTIONS[section]}{dot}{key}"
    if not sealed.hides(f"{number}{where.removeprefix('spec')}", problem):
        found.setdefault(number, []).append(f"{where}: {problem.message}")


class _Sealed:
    """Makes values whose references lead nowhere, and notes the fields that have one without a default.

    `refused` has a line for each reference of a Watch that is not among the `allowed`, by the number of the Watch.
    """

    def __init__(self, allowed: Container[str]) -> None:
        self.environ = {"FILE": _STANDS_FOR}
        self.fields: set[str] = set()
        self.refused: dict[str, list[str]] = {}
        self._allowed = allowed

    def hides(self, at: str, problem: Problem) -> bool:
        """Return whether a problem concerns the value of a reference, and not the key that has it."""
        return at in self.fields and not problem.message.startswith("unknown key")

    def shared(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Seal the sections that all watches share, and allow the placeholders of sealed references in their policy."""
        sealed: dict[str, Any] = self.value(dict(defaults), "")
        policy = sealed.get("policy") or {}
        if isinstance(policy, Mapping) and isinstance(policy.get("references", []), list):
            sealed["policy"] = {**policy, "references": [*policy.get("references", []), *self.environ]}
        return sealed

    def value(self, value: Any, at: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
        if isinstance(value, Mapping):
            return {key: self.value(each, f"{at}.{key}") for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, f"{at}[{index}]") for index, each in enumerate(value)]
        if not isinstance(value, str) or not _REFERENCE.search(value):
            return value
        self.fields.add(at)
        number = at.partition(".")[0]
        if number and (refused := [body for body in references(value) if body not in self._allowed]):
            where = f"spec{at.removeprefix(number)}"
            line = f'{where}: the reference "${{{refused[0]}}}" is not allowed; {_WHO_ALLOWS}'
            self.refused.setdefault(number, []).append(line)
            return _STANDS_FOR
        return _REFERENCE.sub(self._sealed, value)

    def _sealed(self, match: re.Match[str]) -> str:
        if match[1].startswith("file:"):
            return "${FILE}"
        self.environ[match[1]] = _STANDS_FOR
        return match[0]
