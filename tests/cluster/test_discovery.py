from __future__ import annotations

from typing import Any

from goldwatch.cluster.discovery import of_inference_services, of_pods, of_services

GOLDEN = {"goldwatch.dev/golden": "/golden/fraud"}

FIRST = "2026-01-01T00:00:00Z"


def pod(name: str, since: str | None = FIRST, ip: str = "10.0.0.1", **annotations: str) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "name": "fraud-7c9f", "controller": True}
    ready = {
        "type": "Ready",
        "status": "True" if since else "False",
        "lastTransitionTime": since or FIRST,
    }
    return {
        "metadata": {
            "name": name,
            "labels": {"pod-template-hash": "7c9f"},
            "annotations": {f"goldwatch.dev/{key}": value for key, value in annotations.items()},
            "ownerReferences": [owner],
        },
        "status": {"podIP": ip, "conditions": [ready]},
    }


def test_the_pods_of_a_deployment_are_one_model_and_the_oldest_ready_one_is_asked() -> None:
    (found,) = of_pods(
        [
            pod("new", "2026-01-02T00:00:00Z", "10.0.0.2", golden="/golden/fraud"),
            pod("old", FIRST, golden="/golden/fraud", port="9000", every="2m", latency="50ms at p99"),
            pod("starting", None, "10.0.0.3", golden="/golden/fraud"),
            pod("does not ask"),
        ]
    )
    made = found.watch
    assert found.source == {"apiVersion": "v1", "kind": "Pod", "name": "old"}
    assert made["metadata"] == {"name": "fraud", "labels": {"goldwatch.dev/discovered": "Pod"}}
    assert made["spec"] == {
        "target": {"probe": "open-inference", "url": "http://10.0.0.1:9000", "model": "fraud", "deployment": "fraud"},
        "golden": {"path": "/golden/fraud"},
        "every": "2m",
        "objectives": {"latency": "50ms at p99"},
    }


def test_a_pod_that_ends_or_is_not_ready_is_not_asked() -> None:
    ending = pod("ending", golden="/golden/fraud")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert of_pods([ending, pod("starting", None, golden="/golden/fraud")]) == []


def test_a_pod_of_nobody_has_its_own_name() -> None:
    alone = pod("alone", golden="/golden/fraud", probe="tensorflow-serving", model="m", ip="fd00::1")
    alone["metadata"] |= {"ownerReferences": [], "labels": {}}
    (found,) = of_pods([alone])
    made = found.watch
    assert made["metadata"]["name"] == "alone"
    assert made["spec"]["target"] == {"probe": "tensorflow-serving", "url": "http://[fd00::1]:8000", "model": "m"}


def test_a_golden_set_has_an_address_or_a_path_and_a_digest() -> None:
    address, digest = "https://sets.example/fraud", "sha256:" + "4" * 64
    asking = [
        pod("one", golden=address, digest=digest),
        pod("two", golden="/golden/fraud", digest="sha256:41ab0c"),
        pod("three", golden="/golden/fraud"),
        pod("four", golden=address),
    ]
    found = [of_pods([one])[0].watch["spec"]["golden"] for one in asking]
    assert found == [
        {"url": address, "digest": digest},
        {"path": "/golden/fraud", "digest": "sha256:41ab0c"},
        {"path": "/golden/fraud"},
        {"url": address, "digest": ""},
    ]


def test_a_service_is_asked_at_its_name_and_its_first_port() -> None:
    metadata = {"name": "fraud", "namespace": "models", "annotations": GOLDEN}
    ports = [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]
    quiet = {"metadata": {"name": "quiet", "namespace": "models"}, "spec": {"ports": ports}}
    (found,) = of_services([{"metadata": metadata, "spec": {"ports": ports}}, quiet])
    assert found.source == {"apiVersion": "v1", "kind": "Service", "name": "fraud"}
    assert found.watch["metadata"]["labels"] == {"goldwatch.dev/discovered": "Service"}
    assert found.watch["spec"]["target"] == {
        "probe": "open-inference",
        "url": "http://fraud.models:80",
        "model": "fraud",
    }
    metadata["annotations"] = GOLDEN | {"goldwatch.dev/port": "8080"}
    (found,) = of_services([{"metadata": metadata, "spec": {"ports": ports}}])
    assert found.watch["spec"]["target"]["url"] == "http://fraud.models:8080"


def service(protocol: str | None, **status: Any) -> dict[str, Any]:
    model = {"protocolVersion": protocol} if protocol else {}
    metadata = {"name": "fraud", "annotations": GOLDEN}
    return {"metadata": metadata, "spec": {"predictor": {"model": model}}, "status": status}


def test_an_inference_service_is_asked_inside_the_cluster_by_its_protocol() -> None:
    address = {"url": "http://fraud.models.svc.cluster.local"}
    found = [
        of_inference_services([service(p, address=address, url="http://x")])[0].watch
        for p in (None, "v1", "v2", "grpc-v2")
    ]
    assert [watch["spec"]["target"]["probe"] for watch in found] == [
        "tensorflow-serving",
        "tensorflow-serving",
        "open-inference",
        "open-inference-grpc",
    ]
    assert {watch["spec"]["target"]["url"] for watch in found} == {address["url"]}


def test_one_without_an_address_waits() -> None:
    assert of_inference_services([service("v2")]) == []
