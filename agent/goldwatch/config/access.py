"""Access to the agent's HTTP port: TLS, bearer tokens and names.

Keys are named as in Prometheus: `tls_server_config` as in the web configuration of its exporters, `authorization` as in
a scrape config.
"""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from goldwatch.config.base import Section

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What RFC 6750 allows: anything else cannot be sent as a bearer token."""
_MIN_LENGTH = 16


class TlsServer(Section):
    """The certificate of the agent. Both files are read again when they change."""

    cert_file: str = Field(
        min_length=1, description="The certificate and its chain, PEM, relative to the config's folder."
    )
    key_file: str = Field(min_length=1, description="Its private key, PEM, relative to the config's folder.")


class Authorization(Section):
    """Tokens that requests must carry."""

    credentials: SecretStr | None = Field(
        default=None,
        description="The token for everything but /healthz and /readyz; a reference (${NAME} or ${file:PATH}).",
    )
    live_credentials: SecretStr | None = Field(
        default=None,
        description="The token for posting to /live, which `credentials` then does not open; a reference.",
    )

    @field_validator("credentials", "live_credentials")
    @classmethod
    def _can_be_sent(cls, token: SecretStr | None) -> SecretStr:
        text = "" if token is None else token.get_secret_value()
        if token is None or len(text) < _MIN_LENGTH or not _TOKEN.fullmatch(text):
            raise ValueError(
                f"a token has at least {_MIN_LENGTH} characters, of letters, digits and -._~+/ with = at its end; "
                "make one with `openssl rand -hex 32`"
            )
        return token

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.credentials is None and self.live_credentials is None:
            raise ValueError("has no token; write `credentials`, `live_credentials` or both")
        return self
