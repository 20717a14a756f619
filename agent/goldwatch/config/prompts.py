"""Prompts of judges: text files, `.prompty` files and the shipped rubrics, read when a config is loaded.

A placeholder is `{{name}}`, with a name of `goldwatch.evaluator.ROLES`, an input or a field of the examples. Prompts
have no other template syntax: what an example holds is inserted as it is and never expanded again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from goldwatch.errors import GoldwatchError

SHIPPED = Path(__file__).parents[1] / "prompts"
"""The folder of the shipped rubrics."""

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
PARAMETERS = frozenset(
    {
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty"),
        *("response_format", "seed", "stop", "reasoning_effort"),
    }
)
"""The members of a request that a prompt may set."""

_MAX_BYTES = 200_000
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ROLE = re.compile(r"^[ \t]*#?[ \t]*(system|user|assistant|developer)[ \t]*:[ \t]*$", re.MULTILINE | re.IGNORECASE)
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_SCALE_LENGTH = 2


class BadPrompt(GoldwatchError):
    """A prompt cannot be used, for the reason in the text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The question to a judge: `messages` of (role, template), members of the request, and the `scale` if any."""

    name: str
    messages: tuple[tuple[str, str], ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scale: tuple[float, float] | None = None


def shipped_prompts() -> tuple[str, ...]:
    """Return the names of the shipped rubrics."""
    return tuple(sorted(file.stem for file in SHIPPED.glob("*.prompty")))


def read_prompt(named: str, folder: Path) -> Prompt:
    """Read a shipped rubric by its name, or a file relative to `folder`. Raises BadPrompt."""
    if _NAME.fullmatch(named):
        if named not in shipped_prompts():
            raise BadPrompt(f"no prompt {named} is shipped; there are {', '.join(shipped_prompts())}; or name a file")
        return _prompty(named, _text(SHIPPED / f"{named}.prompty"))
    file = folder / named
    text = _text(file)
    return _prompty(file.name, text) if file.suffix == ".prompty" else _checked(file.name, (("user", text.strip()),))


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        raise BadPrompt(f"{file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadPrompt(f"{file} is not text in UTF-8") from None
    if len(raw) > _MAX_BYTES:
        raise BadPrompt(f"{file} has more than {_MAX_BYTES:,} bytes")
    return text.replace("\r\n", "\n")


def _prompty(name: str, text: str) -> Prompt:
    front = _FRONT.match(text)
    if front is None:
        raise BadPrompt(f"{name} does not begin with a front matter between lines of ---")
    try:
        head = yaml.safe_load(front[1])
    except yaml.YAMLError as error:
        raise BadPrompt(f"the front matter of {name} is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(head, dict):
        raise BadPrompt(f"the front matter of {name} is no mapping")
    return _checked(name, _messages(text[front.end() :]), _parameters(name, head.get("model")), _scale(name, head))


def _messages(body: str) -> tuple[tuple[str, str], ...]:
    """Split a body at its lines `system:`, `user:` and `assistant:`; text before them is a system message."""
    parts = _ROLE.split(body)
    found = [("system", parts[0])] if len(parts) > 1 else [("user", parts[0])]
    found += [(role.lower(), text) for role, text in zip(parts[1::2], parts[2::2], strict=True)]
    return tuple((role, text.strip()) for role, text in found if text.strip())


def _parameters(name: str, model: object) -> dict[str, Any]:
    if not isinstance(model, dict):
        return {}
    if "options" in model:
        raise BadPrompt(f"{name} has `model.options`; write them as `model.parameters`")
    if (api := model.get("api", "chat")) != "chat":
        raise BadPrompt(f"{name} is for the API {api}; a judge is asked by chat")
    found = model.get("parameters") or {}
    if not isinstance(found, dict):
        raise BadPrompt(f"`model.parameters` of {name} is no mapping")
    if unknown := sorted(str(key) for key in found if key not in PARAMETERS):
        raise BadPrompt(f"{name} sets {unknown[0]}; of a request a prompt may set {', '.join(sorted(PARAMETERS))}")
    return found


def _scale(name: str, head: Mapping[str, Any]) -> tuple[float, float] | None:
    scale = head.get("scale")
    if scale is None:
        return None
    numbers = isinstance(scale, list) and len(scale) == _SCALE_LENGTH and all(type(x) in (int, float) for x in scale)
    if not numbers or not scale[0] < scale[1]:
        raise BadPrompt(f"`scale` of {name} is {scale!r}; write the least and the largest grade, as [1, 5]")
    return float(scale[0]), float(scale[1])


def _checked(
    name: str,
    messages: tuple[tuple[str, str], ...],
    parameters: Mapping[str, Any] | None = None,
    scale: tuple[float, float] | None = None,
) -> Prompt:
    """Return the prompt. Raises BadPrompt if it has no placeholder, or other template syntax."""
    rest = "\n".join(PLACEHOLDER.sub("", text) for _, text in messages)
    for mark in ("{{", "}}", "{%", "{#"):
        if (at := rest.find(mark)) >= 0:
            raise BadPrompt(
                f"{name} has {rest[at : at + 30]!r}; the only template syntax of a prompt is a placeholder, such as "
                "{{response}}"
            )
    if not any(PLACEHOLDER.search(text) for _, text in messages):
        raise BadPrompt(f"{name} has no placeholder, such as {{{{response}}}}: every answer would get the same grade")
    return Prompt(name, messages, parameters or {}, scale)
