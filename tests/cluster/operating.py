"""Runs the operator at a real API server, as the chart would."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.chart.rendered import BASE, of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.cluster.test_resource import WATCHES, define
from tests.real.agent import free_port, until

LEASE = "release-goldwatch-operator"
COMMAND = [sys.executable, "-c", "from goldwatch.cli import main; main()", "operator", "--every", "1", "--discover"]
COMMAND += ["--lease", LEASE, "--selector", "hidden!=yes"]


def value(port: int, name: str, labels: dict[str, str]) -> float | None:
    """Scrape a process on loopback, and return the value of one series; None if there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples]
    return next((s.value for s in samples if (s.name, s.labels) == (name, labels)), None)


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of one series; None if there is none."""
        return value(self.port, name, labels)


@contextlib.contextmanager
def installed(cluster: Cluster, folder: Path, values: dict[str, Any]) -> Iterator[None]:
    """Create the chart's roles for an operator, and `folder`/defaults.yaml; delete in the end what is left of both."""
    define(cluster)
    manifests = render(BASE | {"operator": {"enabled": True, "discovery": True} | values})
    named = [m for m in manifests if m["metadata"]["name"].startswith(LEASE)]
    roles = of_kind(named, "Role") + of_kind(named, "RoleBinding")
    for manifest in roles:
        cluster.plane.create(manifest)
    (shared,) = of_kind(named, "ConfigMap")
    (folder / "defaults.yaml").write_text(shared["data"]["defaults.yaml"])
    yield
    for manifest in roles:  # the tests of other files make theirs
        kind = f"{manifest['kind'].lower()}s"
        cluster.plane.ask(
            "DELETE", f"/apis/rbac.authorization.k8s.io/v1/namespaces/models/{kind}/{manifest['metadata']['name']}"
        )
    for left in (f"/apis/coordination.k8s.io/v1/namespaces/models/leases/{LEASE}", WATCHES):
        with contextlib.suppress(Refused):  # no operator ran, or the definition is gone
            cluster.plane.ask("DELETE", left)


@contextlib.contextmanager
def operating(cluster: Cluster, folder: Path, name: str) -> Iterator[Running]:
    """Run one operator until the end of the test, or until the test ends it."""
    environ = {
        "PATH": os.environ["PATH"],
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(cluster.plane.port),
        "GOLDWATCH_SERVICE_ACCOUNT": str(cluster.operator),
        "POD_NAME": name,
    }
    port = free_port()
    options = ["--defaults", str(folder / "defaults.yaml"), "--health-port", str(port)]
    file = folder / f"{name}.log"
    with file.open("w+b") as log:
        process = subprocess.Popen([*COMMAND, *options], env=environ, stderr=log)
        try:
            until(lambda: b"operating" in file.read_bytes() or process.poll() is not None, f"{name} operates", 60)
            yield Running(process, file, port)
            said = file.read_text()
            # kopf logs one of its own when the definition is removed under it.
            assert "Traceback" not in said or "no definition of Watch" in said, said
        finally:
            process.kill()
            process.wait()
