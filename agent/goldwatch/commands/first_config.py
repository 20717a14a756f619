"""A first config with comments, for a model that was found: the text that `goldwatch init` writes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from goldwatch.commands.discovery import Candidate, describe
from goldwatch.config import Config, format_seconds, installed_probes, load
from goldwatch.config.probes import probe_type
from goldwatch.core.judgement import Judgement
from goldwatch.errors import GoldwatchError
from goldwatch.ipc.workers import Workers
from goldwatch.probe import Description, TensorSpec

_TEXT_LIMIT = "60s"
"""A language model may take this long for an answer."""
_LONGEST_COMMENT = 110
_COLUMN = 40


@dataclass(frozen=True, slots=True)
class FirstConfig:
    """The parts of a first config: a target, a golden set and a watch of one `name`.

    `described` is the opened target's own description, None before it was asked. `measured` is a replay of it.
    `written` are options as the user writes them, with references; the `candidate`'s own are taken by the letter.
    """

    name: str
    candidate: Candidate
    source: str
    written: Mapping[str, Any]
    answers_text: bool = False
    described: Description | None = None
    measured: Judgement | None = None

    @property
    def folder(self) -> str:
        """The folder of the golden set, relative to that of the config."""
        return f"./golden/{self.name}"

    def text(self) -> str:
        """Return the YAML."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# Written by goldwatch init from {_plain(self.source)}."
        yield "# docs/config.md has every key; goldwatch explain prints the whole effective config, with all defaults."
        yield "targets:"
        yield f"  {self.name}:"
        options = {key: _literal(value) for key, value in self.candidate.options.items()} | dict(self.written)
        yield f"    probe: {self.candidate.probe}"
        yield from (f"    {key}: {_value(value)}" for key, value in options.items())
        if (said := self.described) is not None:
            what = " ".join(filter(None, (said.framework, said.framework_version, said.device)))
            yield from (f"    # {line}" for line in (_plain(what),) if line)
            yield from _tensors("takes", said.inputs)
            yield from _tensors("answers", said.outputs)
        yield "golden:"
        yield _noted(f"  {self.name}: {self.folder}", "the examples, frozen: goldwatch golden show prints them")
        yield "watches:"
        yield f"  {self.name}:"
        yield _noted("    every: 5m", "or 30s, 1h, a cron line")
        if self.answers_text:
            yield f"    load: {{time_limit: {_TEXT_LIMIT}}}"
        yield "    objectives:"
        yield _noted("      accuracy: no worse than 1 point", "than the reference; without labels: agreement with it")
        yield _noted("      errors: 0.1%", "of the requests may fail")
        yield from self._latency()
        yield "alerts:"
        yield _noted("  false_alarms: 1 per year", "of this model, by all its monitors together")

    def _latency(self) -> Iterator[str]:
        """Propose no limit: which latency is too long only the owner knows. Say what was measured."""
        known = self.measured.findings.quantiles if self.measured is not None else ()
        told = [f"p{100 * q.q:g} {format_seconds(q.latency_s)}" for q in known if q.latency_s is not None]
        yield _noted("      # latency: 50ms at p99", f"now {', '.join(told)}" if told else "write what your users need")


def _noted(line: str, note: str) -> str:
    return f"{line:<{_COLUMN}} # {note}"


def _tensors(verb: str, tensors: tuple[TensorSpec, ...]) -> Iterator[str]:
    for tensor in tensors[:20]:
        yield f"    # {verb} {_plain(shown(tensor))}"
    if len(tensors) > 20:
        yield f"    # {verb} {len(tensors) - 20:,} more"


def shown(tensor: TensorSpec) -> str:
    """Return name, dtype and shape of a tensor, as init shows them."""
    sizes = ", ".join("any" if size == -1 else str(size) for size in tensor.shape)
    return f"{tensor.name}: {tensor.dtype} [{sizes}]"


def _plain(text: str) -> str:
    """Return text of a server or a file name as a comment may hold it: one line, printable, not endless."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return f"{line[:_LONGEST_COMMENT]}..." if len(line) > _LONGEST_COMMENT else line


def _literal(value: Any) -> Any:  # noqa: ANN401 - of JSON
    """Return a value that means itself: a dollar sign begins a reference."""
    return value.replace("$", "$$") if isinstance(value, str) else value


def _value(value: Any) -> str:  # noqa: ANN401 - of JSON
    """Write a value on one line of YAML."""
    written: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    return written.strip().removesuffix("...").strip()


def name_from(text: str) -> str:
    """Return a name for the sections of the config, made from that of a model or a file."""
    last = text.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", last).strip("-._")[:63] or "model"


def look(
    found: Sequence[Candidate], source: str, written: Mapping[str, Any], path: Path, name: str, workers: Workers
) -> FirstConfig:
    """Return the config of the first candidate that can be opened, with the model's own description.

    `path` is where it will be written. Without a `name` it is that of the model. Raises GoldwatchError with the reason
    of each candidate that cannot be opened.
    """
    reasons = []
    for candidate in found:
        first = FirstConfig(name or "model", candidate, source, written)
        try:
            target = _tried(first.text(), path).targets[first.name]
            said = describe(target, workers)
        except GoldwatchError as error:
            reasons.append(f"{candidate.probe}: {error}")
            continue
        text = probe_type(installed_probes()[candidate.probe]).counts_tokens
        return replace(first, name=name or name_from(said.model), described=said, answers_text=text)
    raise GoldwatchError("\n".join(reasons))


def _tried(text: str, path: Path) -> Config:
    """Load the text of a config that will be written to `path`. Raises GoldwatchError."""
    try:
        handle, name = tempfile.mkstemp(prefix=".goldwatch-init-", suffix=".yaml", dir=path.absolute().parent)
    except OSError as error:
        raise GoldwatchError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        return load(Path(name))
    except GoldwatchError as error:
        raise GoldwatchError(str(error).replace(name, str(path))) from None
    finally:
        Path(name).unlink()


def write_new(text: str, path: Path) -> None:
    """Write a file that must not exist. Raises GoldwatchError."""
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        raise GoldwatchError(f"{path} exists already; init overwrites nothing: name another file by --config") from None
    except OSError as error:
        raise GoldwatchError(f"{path} cannot be written: {error.strerror}") from None
