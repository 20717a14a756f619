"""The probe for the Open Inference Protocol over TLS, with a certificate made here."""

import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from goldwatch.probe import CannotLoad, Context, Unreachable
from goldwatch_probes.open_inference import OpenInference

from tests.probes.conftest import RawServer, response

OUTPUTS = b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}'
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")


@pytest.fixture
def server(raw_server: Callable[..., RawServer], certificate: Path) -> RawServer:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))

    def infer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(response(OUTPUTS))

    return raw_server({"infer": infer}, tls=tls)


def probe_of(url: str, ca_file: Path | None) -> OpenInference:
    return OpenInference(OpenInference.Options(url=url, model="tiny", ca_file=ca_file), Context(time_limit_s=5))


def test_a_trusted_server_on_one_connection(server: RawServer, certificate: Path) -> None:
    probe = probe_of(server.url, certificate)
    probe.open()
    for _ in range(3):
        request = probe.encode({"x": np.ones((1, 2), dtype=np.float32)})
        assert probe.decode(probe.predict(request))["y"].tolist() == [[1, 2]]
    assert server.connections == 1
    probe.close()


def test_a_server_that_is_not_trusted(server: RawServer) -> None:
    with pytest.raises(Unreachable, match=r"certificate not trusted .*; is `ca_file` right\?"):
        probe_of(server.url, None).open()


def test_an_authority_that_is_no_certificate(tmp_path: Path) -> None:
    file = tmp_path / "bad.pem"
    file.write_text("no certificate")
    with pytest.raises(CannotLoad, match=r"`ca_file` .*bad\.pem: "):
        probe_of("https://127.0.0.1:1", file).open()
