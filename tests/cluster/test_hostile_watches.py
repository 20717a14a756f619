"""Hostile Watches at a real API server: the operator refuses each, reports why, and writes nothing of it into a config.

Users who may create a Watch are trusted less than the agent: no Watch runs code in it, reads its secrets or files, or
makes it ask where credentials of the node are served.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.cluster.operating import Running, installed, operating
from tests.cluster.test_resource import DEFINITION, DEFINITIONS, WATCHES, define, watch
from tests.real.agent import until

pytestmark = pytest.mark.cluster

SERVED = {"probe": "open-inference", "url": "http://fraud:8000", "model": "fraud"}
POLICY = {"secrets": ["fraud"], "references": ["REGION"]}
DIGEST = "sha256:" + "4" * 64
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "runs-a-command": (
        {"target": {"probe": "python", "callable": "os:system", "factory": True, "arguments": {"command": "id"}}},
        'the probe "python" runs code in the agent',
    ),
    "loads-a-model": ({"target": {"probe": "onnx-runtime", "file": "/tmp/x.onnx"}}, '"onnx-runtime" runs code'),
    "chooses-an-interpreter": ({"target": SERVED | {"python": "/bin/sh"}}, "another interpreter is not allowed"),
    "reads-the-environment": (
        {"target": SERVED | {"headers": {"X-Loot": "${DB_PASSWORD}"}}},
        'the reference "${DB_PASSWORD}" is not allowed',
    ),
    "reads-a-secret-of-others": (
        {"target": SERVED | {"token": "${file:/secrets/payments/token}"}},
        'the reference "${file:/secrets/payments/token}" is not allowed',
    ),
    "climbs-out-of-its-secret": (
        {"target": SERVED | {"token": "${file:/secrets/fraud/../payments/token}"}},
        'the reference "${file:/secrets/fraud/../payments/token}" is not allowed',
    ),
    "takes-the-identity-of-the-pod": (
        {"target": SERVED | {"token": "${file:/var/run/secrets/kubernetes.io/serviceaccount/token}"}},
        "is not allowed",
    ),
    "reads-a-file-as-live-traffic": (
        {"live": {"file": "../../secrets/payments/token"}},
        "a file in /secrets, /run/secrets",
    ),
    "takes-a-secret-for-a-golden-set": ({"golden": {"path": "/proc/self/root/secrets/payments"}}, "a file in /secrets"),
    "asks-for-credentials-of-the-node": (
        {"target": SERVED | {"url": "http://169.254.169.254/latest/meta-data"}},
        'the address "169.254.169.254" is not allowed',
    ),
    "hides-that-address": ({"target": SERVED | {"url": "http://0xa9fea9fe:80"}}, 'the address "0xa9fea9fe" is not'),
    "fetches-a-golden-set-there": (
        {"golden": {"url": "http://metadata.google.internal/x", "digest": DIGEST}},
        'the address "metadata.google.internal" is not allowed',
    ),
}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hostile")
    with (
        installed(cluster, folder, {"defaults": {"policy": POLICY}}),
        operating(cluster, folder, "guard") as running,
    ):
        yield running


def condition(cluster: Cluster, name: str) -> dict[str, Any]:
    found = cluster.plane.ask("GET", f"{WATCHES}/{name}").get("status", {})
    return next(iter(found.get("conditions", [])), {})


def test_each_is_refused_and_what_is_allowed_goes_on(cluster: Cluster, operator: Running, tmp_path: Path) -> None:
    """All of one ConfigMap, with one that uses what the policy allows: no other Watch is harmed."""
    labels = {"goldwatch.dev/config": "hostile"}
    sound = SERVED | {"token": "${file:/secrets/fraud/token}", "headers": {"X-Region": "${REGION}"}}
    cluster.plane.create(watch("sound", labels, target=sound))
    for name, (spec, _) in HOSTILE.items():
        made = watch(name, labels)
        made["spec"] |= spec
        cluster.plane.create(made)

    def judged() -> dict[str, dict[str, Any]] | None:
        found = {name: condition(cluster, name) for name in HOSTILE}
        return found if all(found.values()) else None

    told = until(judged, "all are judged", 60)
    wrong = {
        name: told[name]
        for name, (_, says) in HOSTILE.items()
        if (told[name]["status"], told[name]["reason"]) != ("False", "NotAllowed") or says not in told[name]["message"]
    }
    assert wrong == {}
    assert until(lambda: condition(cluster, "sound"), "it is judged")["status"] == "True"
    written = cluster.plane.ask("GET", "/api/v1/namespaces/models/configmaps/hostile")["data"]["goldwatch.yaml"]
    config = yaml.safe_load(written)
    assert list(config["watches"]) == ["sound"]
    assert config["policy"] == POLICY, "the agent holds it against the policy too"


def test_annotations_are_trusted_no_more(cluster: Cluster, operator: Running) -> None:
    annotations = {"goldwatch.dev/golden": "/golden/fraud", "goldwatch.dev/model": "${file:/secrets/payments/token}"}
    spec = {"type": "ExternalName", "externalName": "attacker.example", "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "innocent", "annotations": annotations}}
    cluster.plane.create(service | {"spec": spec})

    def judged() -> dict[str, Any]:
        try:
            return condition(cluster, "innocent")
        except Refused:
            return {}

    found = until(judged, "the Watch of the Service is judged", 60)
    assert (found["status"], found["reason"]) == ("False", "NotAllowed")
    cluster.plane.ask("DELETE", "/api/v1/namespaces/models/services/innocent")


def test_a_watch_takes_no_config_map_that_is_not_the_operators(cluster: Cluster, operator: Running) -> None:
    metadata = {"name": "payments"}
    cluster.plane.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})
    cluster.plane.create(watch("grabs", {"goldwatch.dev/config": "payments"}))
    assert until(lambda: condition(cluster, "grabs"), "it is judged", 60)["reason"] == "NotWritten"
    assert cluster.plane.ask("GET", "/api/v1/namespaces/models/configmaps/payments")["data"] == {"a": "b"}


def test_an_operator_without_the_definition_says_so(cluster: Cluster, operator: Running, tmp_path: Path) -> None:
    """The last of this file: it takes the definition away, which the tests of other files make again."""
    (tmp_path / "defaults.yaml").write_text("")
    cluster.plane.ask("DELETE", f"{DEFINITIONS}/{DEFINITION['metadata']['name']}")

    def gone() -> bool:
        try:
            cluster.plane.ask("GET", WATCHES)
        except Refused as refused:
            return refused.status == 404
        return False

    until(gone, "Watches are served no more", 60)
    assert operator.process.wait(60) == 2
    said = operator.log.read_text()
    assert "the cluster has no definition of Watch" in said
    assert "this is a bug" not in said
    with operating(cluster, tmp_path, "early") as early:
        assert early.process.wait(30) == 2
        assert "the cluster has no definition of Watch; install it: helm show crds" in early.log.read_text()
    define(cluster)
