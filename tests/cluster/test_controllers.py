"""The operator's metrics at a real API server, with the chart's role, and with one that has lost a part of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from goldwatch import __version__
from goldwatch.cluster.controllers import OperatorMetrics

from tests.cluster.conftest import Cluster
from tests.cluster.operating import LEASE, Running, installed, operating
from tests.cluster.test_resource import WATCHES, watch
from tests.real.agent import until

pytestmark = pytest.mark.cluster

ROLE = f"/apis/rbac.authorization.k8s.io/v1/namespaces/models/roles/{LEASE}"
PODS = "/api/v1/namespaces/models/pods"
HERE = {"model_namespace": "models"}
GAUGES = ("goldwatch_pods_without_sidecar", "goldwatch_reconcile_success_timestamp_seconds")


def pod(name: str, annotations: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "annotations": annotations, "labels": labels}
    spec = {"containers": [{"name": "server", "image": "server:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def folder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made, asks = tmp_path_factory.mktemp("controllers"), {"goldwatch.dev/config": "fraud"}
    cluster.plane.ask("DELETE", PODS)  # of other files
    until(lambda: not cluster.plane.ask("GET", PODS)["items"], "the pods are gone")
    for each in (
        pod("without", asks, {}),
        pod("with", asks, {"goldwatch.dev/agent": "sidecar"}),
        pod("unasked", {}, {}),
        pod("ended", asks, {}),
    ):
        cluster.plane.create(each)
    merge = "application/merge-patch+json"
    cluster.plane.ask("PATCH", f"{PODS}/ended/status", {"status": {"phase": "Succeeded"}}, kind=merge)
    with installed(cluster, made, {}):
        yield made
    for name in ("without", "with", "unasked", "ended"):
        cluster.plane.ask("DELETE", f"{PODS}/{name}")


@pytest.fixture(scope="module")
def operator(cluster: Cluster, folder: Path) -> Iterator[Running]:
    with operating(cluster, folder, "measured") as running:
        yield running
    cluster.plane.ask("DELETE", WATCHES)


def test_watches_are_counted_by_reason_and_pods_that_lack_a_sidecar(cluster: Cluster, operator: Running) -> None:
    refused = {"probe": "python", "callable": "os:getcwd"}
    cluster.plane.create(watch("right"))
    cluster.plane.create(watch("wrong", misspelt=1))
    cluster.plane.create(watch("hostile", target=refused))

    def counted() -> dict[str, float | None]:
        reasons = ("Accepted", "Invalid", "NotAllowed")
        return {reason: operator.metric("goldwatch_watches", **HERE, reason=reason) for reason in reasons}

    until(lambda: counted() == {"Accepted": 1, "Invalid": 1, "NotAllowed": 1}, f"they are counted: {counted()}")
    until(lambda: operator.metric("goldwatch_pods_without_sidecar", **HERE) == 1, "a pod without a sidecar is counted")
    assert operator.metric("goldwatch_leader", lease=LEASE) == 1
    assert operator.metric("goldwatch_reconcile_errors_total", **HERE, reason="forbidden") == 0
    duration = "goldwatch_reconcile_duration_seconds_count"
    until(lambda: (operator.metric(duration, **HERE) or 0) >= 1, "a reconcile is measured")
    cluster.plane.ask("DELETE", f"{WATCHES}/wrong")
    until(lambda: counted()["Invalid"] is None, "a reason ends with its last Watch")


def test_a_standby_exports_no_number_that_only_the_acting_replica_knows(
    cluster: Cluster, folder: Path, operator: Running
) -> None:
    with operating(cluster, folder, "standby") as standby:
        assert standby.metric("goldwatch_leader", lease=LEASE) == 0
        assert [standby.metric(name, **HERE) for name in GAUGES] == [None, None]
        assert standby.metric("goldwatch_watches", **HERE, reason="Accepted") is None
        assert standby.metric("goldwatch_controller_info", component="operator", version=__version__) == 1


def test_a_reconcile_that_ends_after_the_lease_was_lost_publishes_no_old_number() -> None:
    metrics = OperatorMetrics(["models"], LEASE, wall=lambda: 1000.0)

    def published() -> set[str]:
        metrics.watches("models", ["Accepted"])
        metrics.pods_without_sidecar("models", 1)
        metrics.reconciled("models", 0.5, well=True)
        body = asyncio.run(metrics.serve(make_mocked_request("GET", "/metrics"))).body
        assert isinstance(body, bytes)
        return {name for name in ("goldwatch_watches", *GAUGES) if f"\n{name}{{".encode() in body}

    for leads in (True, False, True):
        metrics.lead(leads=leads)
        assert published() == ({"goldwatch_watches", *GAUGES} if leads else set())


def test_config_maps_that_may_not_be_written_are_counted_as_forbidden(cluster: Cluster, operator: Running) -> None:
    role = cluster.plane.ask("GET", ROLE)
    rules = [{**rule, "verbs": ["list"]} if rule["resources"] == ["configmaps"] else rule for rule in role["rules"]]
    merge = "application/merge-patch+json"
    cluster.plane.ask("PATCH", ROLE, {"rules": rules}, kind=merge)
    try:
        cluster.plane.create(watch("late", {"goldwatch.dev/config": "forbidden"}))
        until(lambda: operator.metric("goldwatch_watches", **HERE, reason="NotWritten") == 1, "it is not written")
        assert (operator.metric("goldwatch_reconcile_errors_total", **HERE, reason="forbidden") or 0) >= 1
    finally:
        cluster.plane.ask("PATCH", ROLE, {"rules": role["rules"]}, kind=merge)
    until(lambda: operator.metric("goldwatch_watches", **HERE, reason="NotWritten") is None, "it is written after all")


def test_discovery_that_may_not_make_watches_is_counted_as_forbidden(cluster: Cluster, operator: Running) -> None:
    def forbidden() -> float:
        return operator.metric("goldwatch_reconcile_errors_total", **HERE, reason="forbidden") or 0

    role, before = cluster.plane.ask("GET", ROLE), forbidden()
    rules = [
        {**rule, "verbs": [v for v in rule["verbs"] if v != "create"]} if rule["resources"] == ["watches"] else rule
        for rule in role["rules"]
    ]
    assert rules != role["rules"]
    merge = "application/merge-patch+json"
    cluster.plane.ask("PATCH", ROLE, {"rules": rules}, kind=merge)
    metadata = {"name": "found", "annotations": {"goldwatch.dev/golden": "/golden/fraud"}}
    ports = [{"name": "http", "port": 80}]
    cluster.plane.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}})
    try:
        until(lambda: forbidden() > before, "the refusal is counted")
    finally:
        cluster.plane.ask("PATCH", ROLE, {"rules": role["rules"]}, kind=merge)
        cluster.plane.ask("DELETE", "/api/v1/namespaces/models/services/found")
