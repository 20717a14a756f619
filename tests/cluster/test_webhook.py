"""Pods created at a real API server, which asks the real webhook over TLS, with the chart's own configuration of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from goldwatch.certificate import validity

from tests.chart.rendered import BASE, of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.injecting import Injecting, injecting
from tests.cluster.operating import value
from tests.real.agent import until

pytestmark = pytest.mark.cluster

# 1.20 knows no native sidecars, so here it is an ordinary container.
VALUES = BASE | {"webhook": {"enabled": True}, "sidecar": {"native": False}}


def pod(name: str, **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "annotations": {f"goldwatch.dev/{k}": v for k, v in annotations.items()}}
    containers = [{"name": "server", "image": "server:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def containers(created: dict[str, Any]) -> list[str]:
    return [container["name"] for container in created["spec"]["containers"]]


@pytest.fixture(scope="module")
def webhook(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injecting]:
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        cluster.plane.create(of_kind(render(VALUES), kind)[0])
    with injecting(cluster.plane, cluster.webhook, render(VALUES), tmp_path_factory.mktemp("webhook")) as injector:
        probe = iter(range(1000))

        def asked() -> bool:
            """The API server takes a while to know of a new webhook."""
            created = cluster.plane.create(pod(f"probe-{next(probe)}", config="fraud"))
            return "goldwatch" in containers(created)

        until(asked, "the API server asks it")
        yield injector


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


def test_reviews_are_counted_and_the_certificate_is_dated(cluster: Cluster, webhook: Injecting) -> None:
    def reviews(result: str) -> float:
        return value(webhook.metrics_port, "goldwatch_webhook_reviews_total", {"result": result}) or 0

    before = {result: reviews(result) for result in ("injected", "unasked", "refused")}
    for name, asks in (("a", {"config": "fraud"}), ("b", {}), ("c", {"config": "No Name"})):
        cluster.plane.create(pod(f"counted-{name}", **asks))
        cluster.plane.ask("POST", "/api/v1/namespaces/models/pods?dryRun=All", pod(f"dry-{name}", **asks))
    assert {result: reviews(result) for result in before} == {result: count + 1 for result, count in before.items()}
    times = [
        value(webhook.metrics_port, f"goldwatch_webhook_certificate_not_{when}_timestamp_seconds", {})
        for when in ("before", "after")
    ]
    assert tuple(times) == validity(webhook.certificate)


def test_without_the_webhook_pods_start_all_the_same(cluster: Cluster, webhook: Injecting) -> None:
    webhook.process.kill()
    webhook.process.wait()
    assert containers(cluster.plane.create(pod("alone", config="fraud"))) == ["server"]
