"""When a certificate is valid, against openssl's own reading of it."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.certificate import _validity, validity
from goldwatch.http_serving import Tls


@pytest.mark.parametrize("days", [1, 3650, 20_000])  # from 2050 on dates have another form
def test_the_dates_are_those_that_openssl_reads(days: int, tmp_path: Path) -> None:
    key, made = tmp_path / "tls.key", tmp_path / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", str(days), "-subj", f"/CN={'webhook' * 8}", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    asked = ["openssl", "x509", "-in", str(made), "-noout", "-dates"]
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    begins, ends = (datetime.strptime(f"{line.partition('=')[2]}+0000", "%b %d %H:%M:%S %Y GMT%z") for line in said)
    assert validity(made) == (begins.timestamp(), ends.timestamp())
    assert Tls(made, key).validity == (begins.timestamp(), ends.timestamp())
    chain = tmp_path / "chain.pem"
    chain.write_text(key.read_text() + made.read_text() + made.read_text())
    assert validity(chain) == validity(made)


@given(st.binary(max_size=64))
def test_what_is_no_certificate_has_no_dates(der: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        _validity(der)


def test_a_file_without_a_certificate_has_none(tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert validity(tmp_path / "tls.crt") is None
    assert validity(tmp_path / "missing.crt") is None
