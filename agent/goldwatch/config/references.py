"""References in values: `${NAME}`, `${NAME:-default}`, `${file:PATH}`, and `$$` for a dollar sign."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from goldwatch.errors import GoldwatchError

MAX_FILE_BYTES = 64 * 1024

_TOKEN = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value with its references replaced. `resolved` holds (reference as written, its value)."""

    text: str
    resolved: tuple[tuple[str, str], ...] = ()
    has_default: bool = False
    """True if a reference carries a text to fall back on, which is then written in the file."""


def expand(text: str, environ: Mapping[str, str], folder: Path, allowed: Container[str] | None = None) -> Expanded:
    """Replace the references in `text`; paths are relative to `folder`. Raises GoldwatchError.

    `allowed` lists the references that may be followed, as they are between the braces; None allows any.
    """
    resolved: list[tuple[str, str]] = []
    has_default = False

    def replacement(match: re.Match[str]) -> str:
        nonlocal has_default
        if match[0] == "$$":
            return "$"
        if match[1] is None:
            raise GoldwatchError('"${" has no "}"; references do not nest, and a literal "$" is written "$$"')
        if allowed is not None and match[1] not in allowed:
            raise GoldwatchError(f'the reference "{match[0]}" is not allowed; `policy.references` lists those that are')
        value, default = _look_up(match[1], environ, folder)
        resolved.append((match[0], value))
        has_default = has_default or bool(default)
        return value

    expanded = _TOKEN.sub(replacement, text)
    return Expanded(expanded, tuple(resolved), has_default)


def references(text: str) -> Iterator[str]:
    """Yield what is between the braces of each reference in `text`."""
    yield from (match[1] for match in _TOKEN.finditer(text) if match[1] is not None)


def file_of(reference: str, folder: Path) -> Path | None:
    """Return the file that a reference such as `${file:PATH}` reads, None for a variable."""
    body = reference.removeprefix("${").removesuffix("}")
    return folder / body.removeprefix("file:").strip() if body.startswith("file:") else None


def _look_up(body: str, environ: Mapping[str, str], folder: Path) -> tuple[str, str | None]:
    """Return the value of `${body}`, and its default."""
    if variable := _VARIABLE.fullmatch(body):
        return _variable(variable[1], variable[2], environ), variable[2]
    if body.startswith("file:") and (path := body.removeprefix("file:").strip()):
        return read_file(path, folder), None
    raise GoldwatchError(f'"${{{body}}}" is not a reference; write ${{NAME}}, ${{NAME:-default}} or ${{file:PATH}}')


def _variable(name: str, default: str | None, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if default is not None:
        return value or default  # as in a shell, an empty variable counts as not set
    if value is None:
        raise GoldwatchError(f"environment variable {name} is not set; set it, or write ${{{name}:-default}}")
    return value


def read_file(path: str, folder: Path) -> str:
    """Return the content of a small text file without blanks around it. Raises GoldwatchError."""
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer.
        with os.fdopen(os.open(folder / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise GoldwatchError(f"{path} is not a regular file; a reference reads no pipe and no device")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise GoldwatchError(f"file {path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise GoldwatchError(f"file {path} is larger than {MAX_FILE_BYTES // 1024} KiB; is it the right one?")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise GoldwatchError(f"file {path} is not text in UTF-8; is it the right one?") from None
