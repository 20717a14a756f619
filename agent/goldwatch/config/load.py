"""Loads a config: all of it, or all that is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from goldwatch.config.document import Document
from goldwatch.config.judges import check_judges
from goldwatch.config.messages import add_problems
from goldwatch.config.model import Config
from goldwatch.config.policy import check_policy
from goldwatch.config.probes import Probes, installed_probes
from goldwatch.config.problem import ConfigError, Route
from goldwatch.config.read import read
from goldwatch.config.resolve import check_budgets, check_costs, check_live, check_names, check_scores, resolve
from goldwatch.config.secrecy import secret
from goldwatch.config.targets import resolve_targets
from goldwatch.config.written import ConfigFile
from goldwatch.redaction import remember


def load(path: Path, environ: Mapping[str, str] = os.environ, probes: Probes = installed_probes) -> Config:
    """Load a config file. Raises ConfigError with every problem of the file, in its order."""
    return load_document(path, environ, probes)[0]


def load_document(path: Path, environ: Mapping[str, str], probes: Probes) -> tuple[Config, Document]:
    """Load a config file, with the position of each value. Raises ConfigError.

    Its secrets are redacted in this process from then on.
    """
    document = read(path, environ)
    take_secrets(document)
    written = _validated(document)
    targets = resolve_targets(document, probes)
    remember(document.secret_values)
    check_policy(document, targets)
    check_names(document)
    if written is not None:
        check_budgets(document, written)
        check_costs(document, written)
        check_live(document, written)
        check_scores(document, written)
        check_judges(document, written, targets)
    if written is None or document.problems:
        raise ConfigError(document.problems.values())
    # systemd's name for the folder where a service may write; in a container the config's own is read-only
    state = Path(environ.get("STATE_DIRECTORY") or document.folder)
    return resolve(document, written, targets, state), document


def take_secrets(document: Document) -> None:
    """Turn the secrets outside of `targets` into text, and add a problem for each that is written in the file."""
    prometheus = document.section("exporters", "prometheus")
    if isinstance(prometheus, dict) and prometheus.get("authorization"):
        asked: Route = ("exporters", "prometheus", "authorization")
        prometheus["authorization"] = secret(document, prometheus["authorization"], asked)
    routes: list[tuple[str, ...]] = [("exporters", "otlp"), ("energy", "carbon_api")]
    routes += [("energy", "meters", name) for name in document.section("energy", "meters")]
    routes += [("golden", name) for name in document.section("golden")]
    routes += [("targets", name, "busy") for name in document.section("targets")]
    for route in routes:
        section = document.section(*route)
        if isinstance(section, dict) and "headers" in section:
            section["headers"] = secret(document, section["headers"], (*route, "headers"))


def _validated(document: Document) -> ConfigFile | None:
    try:
        return ConfigFile.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        add_problems(document, error, ConfigFile.model_json_schema())
        return None
