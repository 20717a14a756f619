"""Settings of the agent's port: those of the config, even if the rest of it is invalid, or else defaults."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from goldwatch.config.access import Authorization, TlsServer
from goldwatch.config.load import take_secrets
from goldwatch.config.model import Config
from goldwatch.config.problem import UnreadableConfig
from goldwatch.config.quantities import Listen, QuantityError, parse_listen
from goldwatch.config.read import read
from goldwatch.config.references import read_file
from goldwatch.config.resolve import absolute_files
from goldwatch.config.sections import Prometheus
from goldwatch.errors import GoldwatchError
from goldwatch.redaction import remember


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings of the port that the config does not have: options of `goldwatch run`, empty if not given."""

    listen: Listen | None = None
    cert_file: str = ""
    key_file: str = ""
    credentials_file: str = ""
    allowed_hosts: tuple[str, ...] = ()

    def section(self) -> Prometheus:
        """Return them as a section of the config. Raises GoldwatchError if the token cannot be read or used."""
        given: dict[str, Any] = {} if self.listen is None else {"listen": self.listen}
        if self.cert_file:
            given["tls_server_config"] = TlsServer(cert_file=self.cert_file, key_file=self.key_file)
        if self.credentials_file:
            given["authorization"] = self._authorization()
        if self.allowed_hosts:
            given["allowed_hosts"] = self.allowed_hosts
        return Prometheus(**given)

    def _authorization(self) -> Authorization:
        try:
            token = read_file(self.credentials_file, Path())
            remember([token])
            return Authorization(credentials=SecretStr(token))
        except ValidationError as error:
            why = f"file {self.credentials_file}: {error.errors(include_input=False)[0]['msg']}"
        except GoldwatchError as error:
            why = str(error)
        raise GoldwatchError(f"--credentials-file: {why}")

    def fill(self, section: Prometheus) -> Prometheus:
        """Return a section with these defaults for the keys that it lacks. Raises GoldwatchError."""
        own = self.section()
        update = {key: getattr(own, key) for key in own.model_fields_set - section.model_fields_set}
        theirs = section.authorization
        if theirs is not None and theirs.credentials is None and own.authorization is not None:
            update["authorization"] = theirs.model_copy(update={"credentials": own.authorization.credentials})
        return section.model_copy(update=update)


def written_prometheus(path: Path, environ: Mapping[str, str] = os.environ) -> Prometheus | None:
    """Return the `exporters.prometheus` of a config file, whatever else is wrong with the file.

    None if the file cannot be read, or if the section is invalid and has neither a valid address nor tokens. A section
    with invalid tokens gets a random one, so that the port stays closed.
    """
    try:
        document = read(path, environ)
    except UnreadableConfig:
        return None
    take_secrets(document)
    section = document.section("exporters", "prometheus")
    try:
        return absolute_files(document.folder, Prometheus.model_validate_json(json.dumps(section)))
    except ValidationError:
        given: dict[str, Any] = {}
    with contextlib.suppress(QuantityError):
        given["listen"] = parse_listen(section.get("listen"))
    if "authorization" in section:
        given["authorization"] = Authorization(credentials=SecretStr(secrets.token_urlsafe()))
    return Prometheus(**given) if given else None


def with_defaults(config: Config, defaults: Defaults) -> Config:
    """Return the config with `defaults` for the keys of its port that it lacks. Raises GoldwatchError."""
    exporters = config.exporters.model_copy(update={"prometheus": defaults.fill(config.exporters.prometheus)})
    token = {Path(defaults.credentials_file)} if defaults.credentials_file else set()
    return config.model_copy(update={"exporters": exporters, "reference_files": config.reference_files | token})
