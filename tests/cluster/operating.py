"""Runs the operator at a real API server, as the chart would."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.conftest import Cluster
from tests.real.agent import free_port, until

LEASE = "release-goldwatch-operator"
COMMAND = [sys.executable, "-c", "from goldwatch.cli import main; main()", "operator", "--every", "1", "--discover"]
COMMAND += ["--lease", LEASE, "--selector", "hidden!=yes"]


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    log: Path


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
    options = ["--defaults", str(folder / "defaults.yaml"), "--health-port", str(free_port())]
    file = folder / f"{name}.log"
    with file.open("w+b") as log:
        process = subprocess.Popen([*COMMAND, *options], env=environ, stderr=log)
        try:
            until(lambda: b"operating" in file.read_bytes() or process.poll() is not None, f"{name} operates", 60)
            yield Running(process, file)
            said = file.read_text()
            # kopf logs one of its own when the definition is removed under it.
            assert "Traceback" not in said or "no definition of Watch" in said, said
        finally:
            process.kill()
            process.wait()
