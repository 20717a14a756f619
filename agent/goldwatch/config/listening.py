"""The address to listen on: that of the config, even if the rest of it cannot be used, or else a default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from goldwatch.config.model import Config
from goldwatch.config.problem import UnreadableConfig
from goldwatch.config.quantities import Listen, QuantityError, parse_listen
from goldwatch.config.read import read


def written_listen(path: Path, environ: Mapping[str, str] = os.environ) -> Listen | None:
    """Return the `exporters.prometheus.listen` of a config file, whatever else is wrong with the file.

    None if the file cannot be read, or names no address that can be used.
    """
    try:
        document = read(path, environ)
    except UnreadableConfig:
        return None
    try:
        return parse_listen(document.section("exporters", "prometheus").get("listen"))
    except QuantityError:
        return None


def with_default_listen(config: Config, default: Listen | None) -> Config:
    """Return the config with `default` as its address to listen on, unless it names one itself."""
    section = config.exporters.prometheus
    if default is None or "listen" in section.model_fields_set:
        return config
    exporters = config.exporters.model_copy(update={"prometheus": section.model_copy(update={"listen": default})})
    return config.model_copy(update={"exporters": exporters})
