"""Pods created at a real API server, which asks the real webhook over TLS, with the chart's own configuration of it."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendered import BASE, of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.real.agent import free_port, until

pytestmark = pytest.mark.cluster

# 1.20 knows no native sidecars, so here it comes beside the server.
VALUES = BASE | {"webhook": {"enabled": True}, "sidecar": {"native": False}}
COMMAND = [sys.executable, "-c", "from goldwatch.cli import main; main()", "webhook"]


def pod(name: str, **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "annotations": {f"goldwatch.dev/{k}": v for k, v in annotations.items()}}
    containers = [{"name": "server", "image": "server:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def containers(created: dict[str, Any]) -> list[str]:
    return [container["name"] for container in created["spec"]["containers"]]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make one for the address that the API server finds the webhook at here: there is no Service without nodes."""
    key, made = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=webhook"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@pytest.fixture(scope="module")
def webhook(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path_factory.mktemp("webhook")
    manifests = render(VALUES)
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        cluster.plane.create(of_kind(manifests, kind)[0])
    (sidecar,) = (m for m in of_kind(manifests, "ConfigMap") if "sidecar.yaml" in m["data"])
    (folder / "sidecar.yaml").write_text(sidecar["data"]["sidecar.yaml"])
    made, key = certificate(folder)
    (configuration,) = of_kind(manifests, "MutatingWebhookConfiguration")
    port = free_port()
    authority = base64.b64encode(made.read_bytes()).decode()
    (hook,) = configuration["webhooks"]
    hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}/inject", "caBundle": authority}
    # a namespace gets this label by itself only from 1.21 on, and NotIn is true of one without it
    hook.pop("matchConditions", None)
    options = ["--sidecar", folder / "sidecar.yaml", "--certificate", made, "--key", key]
    command = [*COMMAND, *map(str, options), "--host", "127.0.0.1", "--port", str(port)]
    environ = {
        "PATH": "/usr/bin",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(cluster.plane.port),
        "GOLDWATCH_SERVICE_ACCOUNT": str(cluster.webhook),
    }
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(command, env=environ, stderr=log)
        try:
            until(lambda: b"serving the webhook" in (folder / "log").read_bytes(), "it serves")
            cluster.plane.create(configuration)
            probe = iter(range(1000))

            def asked() -> bool:
                """The API server takes a while to know of a new webhook."""
                created = cluster.plane.create(pod(f"probe-{next(probe)}", config="fraud"))
                return "goldwatch" in containers(created)

            until(asked, "the API server asks it")
            yield process
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(Refused):
                path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
                cluster.plane.ask("DELETE", f"{path}/{configuration['metadata']['name']}")


def test_who_does_not_ask_passes_untouched(cluster: Cluster, webhook: object) -> None:
    assert containers(cluster.plane.create(pod("plain"))) == ["server"]


def test_who_asks_gets_the_sidecar_of_the_chart(cluster: Cluster, webhook: object) -> None:
    created = cluster.plane.create(pod("asks", config="fraud-goldwatch"))
    server, sidecar = created["spec"]["containers"]
    assert (server["name"], sidecar["name"]) == ("server", "goldwatch")
    assert sidecar["image"] == "goldwatch:0.1.0"
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
    config = next(v for v in created["spec"]["volumes"] if v["name"] == "goldwatch-config")
    assert config["configMap"]["name"] == "fraud-goldwatch"
    assert created["metadata"]["labels"] == {"goldwatch.dev/agent": "sidecar"}


def test_it_is_not_added_twice(cluster: Cluster, webhook: object) -> None:
    created = cluster.plane.create(pod("once", config="fraud"))
    again = pod("twice", config="fraud") | {"spec": created["spec"]}
    assert containers(cluster.plane.create(again)) == ["server", "goldwatch"]


def test_a_broken_annotation_admits_the_pod_and_makes_an_event(cluster: Cluster, webhook: object) -> None:
    assert containers(cluster.plane.create(pod("broken", config="No Such Name"))) == ["server"]

    def told() -> dict[str, Any] | None:
        events = cluster.plane.ask("GET", "/api/v1/namespaces/models/events")["items"]
        return next((e for e in events if e["reason"] == "NotInjected"), None)

    event = until(told, "the event")
    assert event["type"] == "Warning"
    assert event["involvedObject"]["name"] == "broken"
    assert '"No Such Name" is not the name of a ConfigMap' in event["message"]


def test_without_the_webhook_pods_start_all_the_same(cluster: Cluster, webhook: subprocess.Popen[bytes]) -> None:
    webhook.kill()
    webhook.wait()
    assert containers(cluster.plane.create(pod("alone", config="fraud"))) == ["server"]
