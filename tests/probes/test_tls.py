"""Probes over TLS on the loopback, with an authority and certificates of server and client made here by openssl."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import CannotLoad, Context, Unreachable
from goldwatch_probes._v2_proto import messages
from goldwatch_probes.mlflow_scoring import MlflowScoring
from goldwatch_probes.open_inference import OpenInference
from goldwatch_probes.open_inference_grpc import OpenInferenceGrpc

from tests.probes.conftest import INPUTS, RawServer, expected_outputs, response
from tests.probes.model_servers import OnnxModel, V2Grpc, grpc_server

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")

CONTEXT = Context(time_limit_s=5)
V2 = b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}'
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def issue(folder: Path, name: str) -> None:
    """Make NAME.key, NAME.crt of the authority, and NAME.pem with both."""
    openssl(folder, "req", *KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "san"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.crt")
    (folder / f"{name}.pem").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    openssl(folder, "req", "-x509", *KEY, "-subj", "/CN=test CA", "-days", "1", "-keyout", "ca.key", "-out", "ca.crt")
    for name in ("server", "client", "other"):
        issue(folder, name)
    openssl(folder, "ec", "-in", "client.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
    return folder


@pytest.fixture
def server(raw_server: Callable[..., RawServer], certificates: Path) -> RawServer:
    """A server that wants a certificate of every client."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem")
    tls.load_verify_locations(certificates / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED

    def infer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(response(V2 if b"/v2/" in request else b'{"predictions": [[1, 2]]}'))

    return raw_server({"infer": infer}, tls=tls)


def http_probe(url: str, **options: Any) -> OpenInference:
    return OpenInference(OpenInference.Options(**({"url": url, "model": "tiny"} | options)), CONTEXT)


@pytest.mark.parametrize("given", [("client.pem", None), ("client.crt", "client.key")])
def test_both_sides_show_a_certificate(server: RawServer, certificates: Path, given: tuple[str, str | None]) -> None:
    cert, key = (certificates / name if name else None for name in given)
    trust: dict[str, Any] = {
        "url": server.url,
        "ca_file": certificates / "ca.crt",
        "client_cert": cert,
        "client_key": key,
    }
    v2: Any = OpenInference(OpenInference.Options(model="tiny", **trust), CONTEXT)
    mlflow: Any = MlflowScoring(MlflowScoring.Options(output="y", **trust), CONTEXT)
    for probe in (v2, mlflow):
        probe.open()
        for _ in range(2):
            request = probe.encode({"x": np.ones((1, 2), dtype=np.float32)})
            assert probe.decode(probe.predict(request))["y"].tolist() == [[1, 2]]
        probe.close()
    assert server.connections == 2


def test_a_client_without_a_certificate(server: RawServer, certificates: Path) -> None:
    probe = http_probe(server.url, ca_file=certificates / "ca.crt")
    with pytest.raises(
        Unreachable, match=r"the server asks for a certificate; give `client_cert`|reset|Broken pipe|EOF occurred"
    ):
        probe.open()
    probe.close()


@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("client.crt", "other.key", "`client_cert` .*client.crt: .*KEY_VALUES_MISMATCH.*; it must hold a certificate"),
        (
            "client.crt",
            None,
            "`client_cert` .*client.crt: .*it must hold a certificate, and it or `client_key` the key",
        ),
        ("client.crt", "locked.key", "the key of that, without a password"),
        ("none.crt", None, "`client_cert` .*none.crt: No such file"),
    ],
)
@pytest.mark.parametrize("cls", [OpenInference, OpenInferenceGrpc])
def test_certificates_that_cannot_be_used(
    certificates: Path, cls: Any, cert: str, key: str | None, message: str
) -> None:
    files = {"client_cert": certificates / cert, "client_key": certificates / key if key else None}
    probe = cls(cls.Options(url="https://127.0.0.1:1", model="m", **files), CONTEXT)
    with pytest.raises(CannotLoad, match=message):
        probe.open()


@pytest.fixture
def grpc_url(certificates: Path, model_file: Path) -> Iterator[str]:
    grpc = pytest.importorskip("grpc")
    key, cert, ca = ((certificates / name).read_bytes() for name in ("server.key", "server.crt", "ca.crt"))
    credentials = grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True)
    with grpc_server(V2Grpc({"tiny": OnnxModel(model_file)}, messages()), credentials) as at:
        yield at


@pytest.mark.parametrize("given", [("client.pem", None), ("client.crt", "client.key")])
def test_grpc_with_certificates_on_both_sides(grpc_url: str, certificates: Path, given: tuple[str, str | None]) -> None:
    cert, key = (certificates / name if name else None for name in given)
    options = OpenInferenceGrpc.Options(
        url=grpc_url, model="tiny", ca_file=certificates / "ca.crt", client_cert=cert, client_key=key, token="s3cret"
    )
    probe = OpenInferenceGrpc(options, CONTEXT)
    probe.open()
    np.testing.assert_allclose(
        probe.decode(probe.predict(probe.encode(INPUTS)))["scores"], expected_outputs()["scores"]
    )
    probe.close()


@pytest.mark.parametrize("ca_file", [True, False])
def test_grpc_without_trust(grpc_url: str, certificates: Path, ca_file: bool) -> None:
    options = OpenInferenceGrpc.Options(
        url=grpc_url, model="tiny", ca_file=certificates / "ca.crt" if ca_file else None
    )
    probe = OpenInferenceGrpc(options, CONTEXT)
    with pytest.raises(Unreachable, match="ServerReady: "):
        probe.open()
    probe.close()
