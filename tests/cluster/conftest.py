from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane


@dataclass(frozen=True)
class Cluster:
    """A running API server and the identities in it."""

    plane: ControlPlane
    agent: Path
    webhook: Path
    operator: Path


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    plane = ControlPlane(tmp_path_factory.mktemp("cluster"))
    agent = plane.identity("models", "release-goldwatch")
    webhook = plane.identity("models", "release-goldwatch-webhook")
    operator = plane.identity("models", "release-goldwatch-operator")
    with plane.running():
        plane.wait_for_namespace("models")
        yield Cluster(plane, agent, webhook, operator)
