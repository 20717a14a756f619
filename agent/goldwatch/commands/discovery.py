"""Finds the probe that opens a model file or a server, and its options. For `goldwatch init`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

from goldwatch.config import EntryPointLike, Probes, Target, installed_probes
from goldwatch.daemon.pipeline import worker_key
from goldwatch.errors import GoldwatchError
from goldwatch.http_reading import Unreadable, fetch
from goldwatch.ipc.jobs import DESCRIBE, DescribeRequest
from goldwatch.ipc.workers import JobFailed, WorkerDied, Workers
from goldwatch.probe import Description, HoldsFiles, NeedsPackage, Page, RecognisesServers

_TIME_LIMIT_S = 10.0
_SOCKET = "unix:/"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A probe that may open the model, and its options as the config has them, without references."""

    probe: str
    options: Mapping[str, Any]


def is_server(place: str) -> bool:
    """Return whether MODEL|URL is an address, and not a file."""
    return place.startswith(("http://", "https://", _SOCKET))


def candidates(place: str, folder: Path, model: str = "", probes: Probes = installed_probes) -> list[Candidate]:
    """Return the ways to open the model at a place, the likeliest first. Raises GoldwatchError if there is none.

    Paths are written relative to `folder`, that of the config. Of a server with several models there are several.
    """
    if place.startswith(_SOCKET):
        raise GoldwatchError(f"{place}: init finds out nothing about a server on a Unix socket; name --probe")
    found = _of_server(place.rstrip("/"), model, probes()) if is_server(place) else _of_file(place, folder, probes())
    if not found:
        known = "; goldwatch doctor lists the probes. Name one by --probe, and its options by --option KEY=VALUE"
        what = "answers as no server that a probe knows" if is_server(place) else "is no file of a model that is known"
        raise GoldwatchError(f"{place} {what}{known}")
    return found


def _of_file(place: str, folder: Path, probes: Mapping[str, EntryPointLike]) -> list[Candidate]:
    path = Path(place)
    if not path.exists():
        raise GoldwatchError(f"{place}: no such file; name a model file, or the http:// address of a server")
    try:
        names = [path.name, *(sorted(file.name for file in path.iterdir()) if path.is_dir() else ())]
    except OSError as error:
        raise GoldwatchError(f"{place} cannot be read: {error.strerror}") from None
    options = {"file": os.path.relpath(path, folder)}
    able = {name: kind for name, entry in sorted(probes.items()) if isinstance(kind := _loaded(entry), HoldsFiles)}
    fit = [
        name
        for name, kind in able.items()
        if any(fnmatch(file.lower(), pattern) for file in names for pattern in kind.files)
    ]
    return [Candidate(name, options) for name in sorted(fit, key=lambda name: not _has_its_package(able[name]))]


def _of_server(url: str, model: str, probes: Mapping[str, EntryPointLike]) -> list[Candidate]:
    page, failed = _pages(url)
    found = [
        Candidate(name, {"url": url, **options})
        for name, entry in sorted(probes.items())
        if isinstance(kind := _loaded(entry), RecognisesServers)
        for options in kind.recognise(url, model, page)
    ]
    if not found and failed:
        hint = "of a server that asks for a token or lists no models, name --probe and --model"
        raise GoldwatchError(f"{failed[-1]}; {hint}")
    return found


def _pages(url: str) -> tuple[Page, list[str]]:
    """Return what asks a server for its pages, each once, and the reasons of those that were not had."""
    known: dict[tuple[str, bytes | None], Any] = {}
    failed: list[str] = []

    def page(path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - whatever the server says
        if (path, body) not in known:
            known[path, body] = None
            headers = {} if body is None else {"Content-Type": "application/json"}
            try:
                text = fetch(f"{url}/{path}", headers, body=body).decode(errors="replace")
            except Unreadable as error:
                failed.append(str(error))
                return None
            try:
                known[path, body] = json.loads(text)
            except (ValueError, RecursionError):
                known[path, body] = text.strip()
        return known[path, body]

    return page, failed


def _loaded(entry: EntryPointLike) -> Any:  # noqa: ANN401 - a class of anybody's
    try:
        return entry.load()
    except Exception:  # whatever a third party's module does on import; `goldwatch doctor` reports it
        return None


def _has_its_package(kind: object) -> bool:
    try:
        return not isinstance(kind, NeedsPackage) or bool(metadata.version(kind.needs))
    except metadata.PackageNotFoundError:
        return False


def describe(target: Target, workers: Workers) -> Description:
    """Open a target in a worker, and return its own description. Raises GoldwatchError."""
    if target.python:
        raise GoldwatchError("init does not look into a model of another interpreter; write `python` there later")
    request = DescribeRequest(target.factory, dict(target.options), _TIME_LIMIT_S)
    try:
        return workers.call(worker_key(target), DESCRIBE, request)
    except (JobFailed, WorkerDied) as error:
        raise GoldwatchError(str(error)) from None
