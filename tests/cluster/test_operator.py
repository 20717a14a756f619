"""The operator at a real API server, with the chart's role and no more, and a real agent that it asks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from goldwatch.config import load

from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.cluster.operating import LEASE, Running, installed, operating
from tests.cluster.test_resource import DEFINITIONS, WATCHES, rows, watch
from tests.real.agent import GOLDEN, Agent, serving, until

pytestmark = pytest.mark.cluster


MAPS = "/api/v1/namespaces/models/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/models/leases"


@pytest.fixture(scope="module")
def folder(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The chart's resources, in the cluster and as a file, without the operator itself."""
    made = tmp_path_factory.mktemp("operator")
    with installed(cluster, made, {"defaults": {"alerts": {"false_alarms": "2 per year"}}}):
        yield made


@pytest.fixture(scope="module")
def operator(cluster: Cluster, folder: Path) -> Iterator[Running]:
    with operating(cluster, folder, "first") as running:
        yield running


def config(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return goldwatch.yaml of a ConfigMap; empty if there is none."""
    try:
        text = cluster.plane.ask("GET", f"{MAPS}/{name}").get("data", {}).get("goldwatch.yaml", "{}")
    except Refused:
        return {}
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def status(cluster: Cluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.plane.ask("GET", f"{WATCHES}/{name}").get("status", {})
    return found


def accepted(cluster: Cluster, name: str) -> dict[str, Any]:
    return next(iter(status(cluster, name).get("conditions", [])), {})


def event_about(cluster: Cluster, kind: str, name: str) -> dict[str, Any] | None:
    events = cluster.plane.ask("GET", "/api/v1/namespaces/models/events")["items"]
    about = [e for e in events if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == (kind, name)]
    assert len(about) <= 1, "what is wrong is said once"
    return about[0] if about else None


def replace(cluster: Cluster, name: str, spec: dict[str, Any]) -> None:
    kind = "application/merge-patch+json"
    cluster.plane.ask("PATCH", f"{WATCHES}/{name}", {"spec": spec}, kind=kind)


def delete_all(cluster: Cluster) -> None:
    cluster.plane.ask("DELETE", WATCHES)


@pytest.fixture(autouse=True)
def no_watches(cluster: Cluster, operator: object) -> Iterator[None]:
    yield
    delete_all(cluster)


def test_a_watch_becomes_a_config_that_an_agent_takes(cluster: Cluster, tmp_path: Path) -> None:
    cluster.plane.create(
        watch("fraud", {"goldwatch.dev/config": "a"}, every="2m", objectives={"latency": "50ms at p99"})
    )
    cluster.plane.create(watch("risk", {"goldwatch.dev/config": "a"}))
    cluster.plane.create(watch("other"))
    made = until(lambda: len(config(cluster, "a").get("watches", {})) == 2 and config(cluster, "a"), "the config")
    file = tmp_path / "goldwatch.yaml"
    file.write_text(yaml.safe_dump(made))
    found = load(file)
    assert list(found.watches) == ["fraud", "risk"]
    assert found.watches["fraud"].every.interval_s == 120
    assert found.alerts.false_alarms_per_year == 2
    until(lambda: list(config(cluster, "goldwatch-watches").get("watches", {})) == ["other"], "the default config")
    condition = until(lambda: accepted(cluster, "fraud"), "the condition")
    assert (condition["status"], condition["reason"]) == ("True", "Accepted")
    assert status(cluster, "fraud")["message"] == "no agent has this Watch's ConfigMap"
    assert rows(cluster)["fraud"]["Config"] == "Accepted"


def test_one_that_is_wrong_says_so_in_the_words_of_the_config_and_harms_nobody(cluster: Cluster) -> None:
    labels = {"goldwatch.dev/config": "b"}
    target = {"probe": "open-inference", "url": "http://fraud:8000", "model": "fraud", "protocoll": "json"}
    cluster.plane.create(watch("right", labels))
    cluster.plane.create(watch("wrong", labels, target=target))
    condition = until(lambda: accepted(cluster, "wrong"), "the condition")
    assert (condition["status"], condition["reason"]) == ("False", "Invalid")
    assert condition["message"].startswith('spec.target.protocoll: unknown key "protocoll"')
    assert rows(cluster)["wrong"]["Message"] == condition["message"]
    assert list(config(cluster, "b")["watches"]) == ["right"]
    event = until(lambda: event_about(cluster, "Watch", "wrong"), "the event")
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Invalid", condition["message"])
    assert event_about(cluster, "Watch", "right") is None


def test_a_wrong_change_leaves_in_force_what_was(cluster: Cluster) -> None:
    cluster.plane.create(watch("fraud", {"goldwatch.dev/config": "c"}))
    until(lambda: accepted(cluster, "fraud"), "the condition")
    replace(cluster, "fraud", {"every": "1s", "jitter": "1h"})
    condition = until(lambda: (c := accepted(cluster, "fraud"))["status"] == "False" and c, "it is refused")
    assert "is longer than the interval" in condition["message"]
    assert config(cluster, "c")["watches"] == {"fraud": {}}
    replace(cluster, "fraud", {"every": "1m", "jitter": "10s"})
    until(lambda: accepted(cluster, "fraud")["status"] == "True", "it is accepted")
    assert config(cluster, "c")["watches"] == {"fraud": {"every": "1m", "jitter": "10s"}}


def test_a_watch_neither_reads_secrets_nor_runs_code(cluster: Cluster) -> None:
    target = {"probe": "open-inference", "url": "${URL}", "model": "${file:/etc/hostname}"}
    cluster.plane.create(watch("reader", {"goldwatch.dev/config": "d"}, target=target))
    condition = until(lambda: accepted(cluster, "reader"), "the condition")
    assert condition["status"] == "False"
    assert 'spec.target.url: the reference "${URL}" is not allowed' in condition["message"]
    code = {"probe": "python", "callable": "os:system", "factory": True, "arguments": {"command": "id"}}
    cluster.plane.create(watch("runner", {"goldwatch.dev/config": "d"}, target=code))
    condition = until(lambda: accepted(cluster, "runner"), "the condition")
    assert condition["status"] == "False"
    assert 'the probe "python" runs code in the agent' in condition["message"]
    assert not config(cluster, "d")


def test_with_the_last_watch_its_config_goes(cluster: Cluster) -> None:
    cluster.plane.create(watch("fraud", {"goldwatch.dev/config": "e"}))
    until(lambda: config(cluster, "e"), "the config")
    cluster.plane.ask("DELETE", f"{WATCHES}/fraud")
    until(lambda: not config(cluster, "e"), "the config is empty")


def test_what_was_changed_by_hand_is_set_right(cluster: Cluster) -> None:
    cluster.plane.create(watch("fraud", {"goldwatch.dev/config": "f"}))
    before = until(lambda: config(cluster, "f"), "the config")
    kind = "application/merge-patch+json"
    cluster.plane.ask("PATCH", f"{MAPS}/f", {"data": {"goldwatch.yaml": "watches: {}"}}, kind=kind)
    until(lambda: config(cluster, "f") == before, "the config is as it was")


def test_a_config_of_somebody_else_is_not_touched(cluster: Cluster) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "theirs"},
        "data": {"goldwatch.yaml": "a: b"},
    }
    cluster.plane.create(theirs)
    cluster.plane.create(watch("fraud", {"goldwatch.dev/config": "theirs"}))
    condition = until(lambda: accepted(cluster, "fraud"), "the condition")
    assert (condition["status"], condition["reason"]) == ("False", "NotWritten")
    assert "there is a ConfigMap theirs already" in condition["message"]
    assert config(cluster, "theirs") == {"a": "b"}


def test_it_may_do_nothing_else(cluster: Cluster) -> None:
    token = (cluster.operator / "token").read_text()
    for method, path in (
        ("GET", "/api/v1/namespaces/models/secrets"),
        ("GET", "/api/v1/namespaces/default/configmaps"),
        ("DELETE", f"{MAPS}/theirs"),
        ("GET", "/api/v1/namespaces"),
    ):
        with pytest.raises(Refused) as refused:
            cluster.plane.ask(method, path, token=token)
        assert refused.value.status == 403


def test_the_status_is_what_an_agent_says(cluster: Cluster, tmp_path: Path) -> None:
    with serving(tmp_path) as server, contextlib.ExitStack() as ending:
        target = {"probe": "open-inference", "url": server.address, "model": "digits"}
        made = watch("digits", {"goldwatch.dev/config": "g"}, target=target, golden={"path": str(GOLDEN)})
        made["spec"] |= {"every": "3s", "deadline": "30s"}
        cluster.plane.create(made)
        found = until(lambda: config(cluster, "g"), "the config")
        agent = Agent(tmp_path)
        agent.write(found | {"exporters": {}})  # it listens where this test finds a free port
        agent.start()
        ending.callback(agent.clean_up)
        agent.wait_ready()
        pod(cluster, "agent", "g", agent.port)
        told = until(lambda: (s := status(cluster, "digits")).get("verdict") == "steady" and s, "the status", 90)
        assert (told["agents"], told["alert"]) == (1, 0)
        row = until(lambda: (r := rows(cluster)["digits"])["Verdict"] == "steady" and r, "the row")
        assert row["Evidence"].endswith(f"of {told['evidence'].rpartition(' ')[2]}")
        assert row["Last Replay"].endswith("s")
        cluster.plane.ask("DELETE", "/api/v1/namespaces/models/pods/agent?gracePeriodSeconds=0")
        until(lambda: status(cluster, "digits")["verdict"] == "unknown", "nobody knows any more")


def pod(cluster: Cluster, name: str, config: str, port: int) -> None:
    """Create a pod as the chart makes it, with the address that a kubelet would have given it."""
    container = {"name": "goldwatch", "image": "x", "ports": [{"name": "goldwatch", "containerPort": port}]}
    volume = {"name": "goldwatch-config", "configMap": {"name": config}}
    metadata = {"name": name, "labels": {"goldwatch.dev/agent": "standalone"}}
    spec = {"containers": [container], "volumes": [volume]}
    cluster.plane.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    status = {"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "phase": "Running"}}
    path = f"/api/v1/namespaces/models/pods/{name}/status"
    cluster.plane.ask("PATCH", path, status, kind="application/merge-patch+json")


def model_server(cluster: Cluster, name: str, annotations: dict[str, str]) -> str:
    """Create the pod of a model server that is ready, and return its path."""
    metadata = {"name": name, "annotations": annotations}
    spec = {"containers": [{"name": "server", "image": "server:1"}]}
    cluster.plane.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}], "conditions": [ready]}}
    path = f"/api/v1/namespaces/models/pods/{name}"
    cluster.plane.ask("PATCH", f"{path}/status", status, kind="application/merge-patch+json")
    return path


def test_pods_that_ask_for_it_become_a_watch(cluster: Cluster) -> None:
    golden = {"url": "https://sets.example/fraud", "digest": "sha256:" + "4" * 64}
    annotations = {"goldwatch.dev/golden": golden["url"], "goldwatch.dev/digest": golden["digest"]}
    path = model_server(cluster, "server", annotations)
    until(lambda: rows(cluster).get("server", {}).get("Config") == "Accepted", "the Watch")
    written = config(cluster, "goldwatch-watches")
    target = {"probe": "open-inference", "url": "http://10.0.0.7:8000", "model": "server"}
    assert (written["targets"]["server"], written["golden"]["server"]) == (target, golden)
    cluster.plane.ask("DELETE", f"{path}?gracePeriodSeconds=0")
    until(lambda: "server" not in rows(cluster), "the Watch goes with the pod")


@pytest.mark.parametrize(
    ("name", "annotations", "says"),
    [
        (
            "misspelt",
            {"goldwatch.dev/golden": "/golden/fraud", "goldwatch.dev/every": "5 minuts"},
            'spec.every: Invalid value: "5 minuts"',
        ),
        ("unpinned", {"goldwatch.dev/golden": "https://sets.example/fraud"}, "spec.golden.digest"),
    ],
)
def test_annotations_that_make_no_watch_are_an_event_of_their_pod(
    cluster: Cluster, name: str, annotations: dict[str, str], says: str
) -> None:
    path = model_server(cluster, name, annotations)
    event = until(lambda: event_about(cluster, "Pod", name), "the event")
    assert (event["type"], event["reason"]) == ("Warning", "NotWatched")
    assert says in event["message"]
    cluster.plane.ask("DELETE", f"{path}?gracePeriodSeconds=0")


def test_an_inference_service_becomes_a_watch_and_one_of_the_users_is_left_alone(cluster: Cluster) -> None:
    define_inference_services(cluster)
    annotations = {"goldwatch.dev/golden": "/golden/fraud"}
    for name in ("found", "mine"):
        service = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"predictor": {"model": {"protocolVersion": "v2"}}},
            "status": {"address": {"url": f"http://{name}.models.svc.cluster.local"}},
        }
        if name == "mine":
            cluster.plane.create(watch("mine", every="1h"))
        cluster.plane.ask("POST", SERVICES, service)
    until(lambda: rows(cluster).get("found", {}).get("Config") == "Accepted", "the Watch")
    found = cluster.plane.ask("GET", f"{WATCHES}/found")
    url = "http://found.models.svc.cluster.local"
    assert found["spec"]["target"] == {"probe": "open-inference", "url": url, "model": "found"}
    assert cluster.plane.ask("GET", f"{WATCHES}/mine")["spec"]["every"] == "1h"
    # KServe copies the annotations to what it makes, which is no model of its own.
    made = {"name": "found-predictor", "annotations": annotations}
    made["labels"] = {"serving.kserve.io/inferenceservice": "found"}
    cluster.plane.create({"apiVersion": "v1", "kind": "Service", "metadata": made, "spec": {"ports": [{"port": 80}]}})
    cluster.plane.create(watch("after", golden={"path": "/golden/fraud"}))
    until(lambda: rows(cluster).get("after", {}).get("Config") == "Accepted", "a look later")
    assert "found-predictor" not in rows(cluster)
    cluster.plane.ask("DELETE", "/api/v1/namespaces/models/services/found-predictor")  # or it asks for itself
    cluster.plane.ask("DELETE", SERVICES)
    until(lambda: "found" not in rows(cluster), "the Watch goes with the service")
    assert "mine" in rows(cluster)


def test_a_service_that_asks_for_it_becomes_a_watch(cluster: Cluster) -> None:
    annotations = {"goldwatch.dev/golden": "/golden/fraud", "goldwatch.dev/every": "2m"}
    metadata = {"name": "front", "annotations": annotations}
    spec = {"ports": [{"port": 80, "targetPort": 8000}], "selector": {"app": "front"}}
    other = metadata | {"name": "behind", "labels": {"hidden": "yes"}}
    for each in (other, metadata):
        cluster.plane.create({"apiVersion": "v1", "kind": "Service", "metadata": each, "spec": spec})
    until(lambda: rows(cluster).get("front", {}).get("Config") == "Accepted", "the Watch")
    assert config(cluster, "goldwatch-watches")["targets"]["front"]["url"] == "http://front.models:80"
    assert "behind" not in rows(cluster), "the operator does not select it"
    for name in ("front", "behind"):
        cluster.plane.ask("DELETE", f"/api/v1/namespaces/models/services/{name}")
    until(lambda: "front" not in rows(cluster), "the Watch goes with the Service")


SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices"


def define_inference_services(cluster: Cluster) -> None:
    """Let the API server serve KServe's resource, without KServe: any object passes for one."""
    names = {"plural": "inferenceservices", "kind": "InferenceService"}
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": anything}
    group = {"group": "serving.kserve.io", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    definition = kind | {"metadata": {"name": "inferenceservices.serving.kserve.io"}, "spec": group}
    cluster.plane.ask("POST", DEFINITIONS, definition)

    def served() -> bool:
        with contextlib.suppress(Refused):
            return bool(cluster.plane.ask("GET", SERVICES))
        return False

    until(served, "InferenceServices are served")


def test_hundreds_are_reconciled_in_few_writes(cluster: Cluster, operator: Running) -> None:
    labels, count = {"goldwatch.dev/config": "many"}, 300
    for number in range(count):
        cluster.plane.ask("POST", WATCHES, watch(f"model-{number}", labels))

    def told() -> bool:
        time.sleep(1)
        items = cluster.plane.ask("GET", WATCHES)["items"]
        return all(item.get("status", {}).get("conditions") for item in items)

    until(told, "all have a status", 240)
    text = cluster.plane.ask("GET", f"{MAPS}/many")["data"]["goldwatch.yaml"]
    assert sum(f"  model-{number}:\n" in text for number in range(count)) == count
    writes = [line for line in operator.log.read_text().splitlines() if "config=many" in line]
    assert len(writes) < count / 10, "a burst of changes is one write"


def holder(cluster: Cluster) -> str:
    """Return the name of the pod that holds the lease."""
    spec = cluster.plane.ask("GET", f"{LEASES}/{LEASE}")["spec"]
    return str(spec.get("holderIdentity", "")).partition("_")[0]


def test_of_two_one_acts_and_the_other_follows_it(cluster: Cluster, folder: Path, operator: Running) -> None:
    """The last of this file: it ends the operator of all the others."""
    assert holder(cluster) == "first"
    with operating(cluster, folder, "second") as second:
        cluster.plane.create(watch("fraud", {"goldwatch.dev/config": "h"}))
        until(lambda: config(cluster, "h"), "the config")
        assert "config=h" in operator.log.read_text()
        assert "config written" not in second.log.read_text()
        operator.process.kill()
        operator.process.wait()
        cluster.plane.create(watch("risk", {"goldwatch.dev/config": "h"}))
        until(lambda: "risk" in config(cluster, "h").get("watches", {}), "the other writes it", 60)
        assert holder(cluster) == "second"
        assert "config=h" in second.log.read_text()
