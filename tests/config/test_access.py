"""Tokens and TLS of the agent's port: valid and invalid configs, and the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.cluster.watches import compose
from goldwatch.config import ConfigError, Defaults, Prometheus, with_defaults, written_prometheus
from goldwatch.errors import GoldwatchError

from tests.config.conftest import Load
from tests.config.fakes import START

TOKEN = "s3cr3t-0123456789"
SECTION = "exporters:\n  prometheus:\n    authorization: {credentials: '${TOKEN}'}\n"
SPEC = {"target": {"probe": "open-inference", "url": "http://a", "model": "m"}, "golden": {"path": "/g"}}


def credentials(section: Prometheus) -> str:
    assert section.authorization is not None
    assert section.authorization.credentials is not None
    return section.authorization.credentials.get_secret_value()


def test_a_token_comes_by_reference(load_text: Load) -> None:
    config = load_text(START + SECTION, {"TOKEN": TOKEN})
    assert credentials(config.exporters.prometheus) == TOKEN
    assert config.secret_variables == {"TOKEN"}
    assert TOKEN not in repr(config) + config.model_dump_json()


@pytest.mark.parametrize(
    ("authorization", "says"),
    [
        (f"{{credentials: {TOKEN}}}", "a secret must not be written in the file"),
        ("{credentials: '${SHORT}'}", "a token has at least 16 characters"),
        ("{live_credentials: '${SPACED}'}", "a token has at least 16 characters"),
        ("{credentials: }", "a token has at least 16 characters"),
        ("", "has no token; write `credentials`, `live_credentials` or both"),
        ("{}", "has no token; write `credentials`, `live_credentials` or both"),
        ("{token: '${TOKEN}'}", 'unknown key "token"'),
        ("{credentials: ['${TOKEN}']}", "exporters.prometheus.authorization.credentials"),
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(load_text: Load, authorization: str, says: str) -> None:
    environ = {"TOKEN": TOKEN, "SHORT": "s3cr3t-short", "SPACED": "s3cr3t with blanks in it"}
    text = f"exporters:\n  prometheus:\n    authorization: {authorization}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(START + text, environ)
    assert says in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_files_of_the_certificate_are_relative_to_the_config(load_text: Load, tmp_path: Path) -> None:
    text = "exporters: {prometheus: {tls_server_config: {cert_file: tls/tls.crt, key_file: /k}}}\n"
    found = load_text(START + text).exporters.prometheus.tls_server_config
    assert found is not None
    assert (found.cert_file, found.key_file) == (str(tmp_path / "tls/tls.crt"), "/k")


def test_a_certificate_needs_its_key(load_text: Load) -> None:
    with pytest.raises(ConfigError, match=r"tls_server_config: missing key \"key_file\""):
        load_text(START + "exporters: {prometheus: {tls_server_config: {cert_file: a}}}\n")


def test_the_files_that_values_refer_to_are_known(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    config = load_text(START + SECTION.replace("${TOKEN}", "${file:token}"))
    assert config.reference_files == {tmp_path / "token"}
    assert "reference_files" not in config.model_dump_json()


def test_options_hold_where_the_config_says_nothing(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("another-0123456789")
    defaults = Defaults(cert_file="/c", key_file="/k", credentials_file=str(tmp_path / "other"))
    silent = with_defaults(load_text(START), defaults)
    assert credentials(silent.exporters.prometheus) == "another-0123456789"
    assert silent.exporters.prometheus.tls_server_config is not None
    assert silent.reference_files == {tmp_path / "other"}
    own = with_defaults(load_text(START + SECTION, {"TOKEN": TOKEN}), defaults)
    assert credentials(own.exporters.prometheus) == TOKEN
    posting = with_defaults(
        load_text(START + SECTION.replace("credentials", "live_credentials"), {"TOKEN": TOKEN}), defaults
    )
    assert credentials(posting.exporters.prometheus) == "another-0123456789"
    assert posting.exporters.prometheus.authorization != own.exporters.prometheus.authorization
    (tmp_path / "other").write_text("short-s3cr3t")
    with pytest.raises(GoldwatchError, match=r"other: .*at least 16 characters") as caught:
        with_defaults(load_text(START), defaults)
    assert "short-s3cr3t" not in str(caught.value)


def test_a_token_that_cannot_be_read_locks_the_port(tmp_path: Path) -> None:
    file = tmp_path / "goldwatch.yaml"
    file.write_text(SECTION)
    locked = written_prometheus(file, {})
    assert locked is not None
    assert len(credentials(locked)) > 40
    file.write_text(SECTION + "nonsense: [")
    assert written_prometheus(file, {}) is None
    file.write_text(SECTION + "nonsense: 1\n")
    read = written_prometheus(file, {"TOKEN": TOKEN})
    assert read is not None
    assert credentials(read) == TOKEN


def test_the_operator_passes_a_token_on_without_following_it() -> None:
    shared = {"exporters": {"prometheus": {"authorization": {"credentials": "${file:/secrets/a/token}"}}}}
    composed = compose({"fraud": SPEC}, shared)
    assert not composed.problems
    assert "${file:/secrets/a/token}" in composed.text
