"""The webhook as the chart installs it, running with an API server that asks it over TLS."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chart.rendered import Manifest, of_kind
from tests.cluster.control_plane import ControlPlane, Refused
from tests.real.agent import free_port, until

COMMAND = [sys.executable, "-c", "from goldwatch.cli import main; main()", "webhook"]
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@dataclass(frozen=True)
class Injecting:
    process: subprocess.Popen[bytes]
    metrics_port: int
    certificate: Path


@contextlib.contextmanager
def injecting(plane: ControlPlane, account: Path, manifests: list[Manifest], folder: Path) -> Iterator[Injecting]:
    """Run the webhook with the sidecar of the chart's objects, and let the API server ask it."""
    (sidecar,) = (m for m in of_kind(manifests, "ConfigMap") if "sidecar.yaml" in m["data"])
    (folder / "sidecar.yaml").write_text(sidecar["data"]["sidecar.yaml"])
    made, key = certificate(folder)
    (configuration,) = of_kind(manifests, "MutatingWebhookConfiguration")
    port, metrics_port = free_port(), free_port()
    (hook,) = configuration["webhooks"]
    authority = base64.b64encode(made.read_bytes()).decode()
    hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}/inject", "caBundle": authority}
    # a namespace has the label kubernetes.io/metadata.name only from 1.21 on, and NotIn is true of one without it
    hook.pop("matchConditions", None)
    options = ["--sidecar", folder / "sidecar.yaml", "--certificate", made, "--key", key]
    command = [*COMMAND, *map(str, options), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--metrics-port", str(metrics_port)]
    environ = {
        "PATH": "/usr/bin",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(plane.port),
        "GOLDWATCH_SERVICE_ACCOUNT": str(account),
    }
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(command, env=environ, stderr=log)
        try:
            until(lambda: b"serving the webhook" in (folder / "log").read_bytes(), "it serves")
            plane.create(configuration)
            yield Injecting(process, metrics_port, made)
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(Refused):
                plane.ask("DELETE", f"{CONFIGURATIONS}/{configuration['metadata']['name']}")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make one for the address that the API server finds the webhook at here: there is no Service without nodes."""
    key, made = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=webhook"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key
