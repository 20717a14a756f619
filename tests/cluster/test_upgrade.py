"""A release of the last chart is upgraded while its agent has a page open: evidence, page and history go on.

No kubelet runs here. The agent is started as the Deployment in the API server says, with a folder for each claim; it is
ended by SIGTERM before the next one starts, as the strategy Recreate does.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendered import BASE, CHART, Manifest, of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import ControlPlane, Refused
from tests.real.agent import DIGITS, GOLDEN, Agent, ModelServer, free_port, serving

pytestmark = pytest.mark.cluster

Manifests = list[Manifest]
DEPLOYMENT = "/apis/apps/v1/namespaces/models/deployments/release-goldwatch"
CORE = "/api/v1/namespaces/models"


def scheduled(plane: ControlPlane, folder: Path, name: str) -> Agent:
    """Return the agent of the Deployment, with its volumes as folders; that of a claim has the name of the claim."""
    pod = plane.ask("GET", DEPLOYMENT)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    places = {}
    for volume in pod["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            plane.ask("GET", f"{CORE}/persistentvolumeclaims/{claim['claimName']}")
            place = folder / "claims" / claim["claimName"]
        else:
            place = folder / name / volume["name"]
        place.mkdir(parents=True, exist_ok=True)
        places[volume["name"]] = place
    mounts = {mount["mountPath"]: str(places[mount["name"]]) for mount in container["volumeMounts"]}
    shutil.copytree(GOLDEN, mounts["/golden/fraud"], dirs_exist_ok=True)
    (config,) = (v["configMap"]["name"] for v in pod["volumes"] if v["name"] == "goldwatch-config")

    def mounted(text: str) -> str:
        return re.sub("|".join(map(re.escape, mounts)), lambda found: mounts[found[0]], text)

    text = plane.ask("GET", f"{CORE}/configmaps/{config}")["data"]["goldwatch.yaml"]
    environ = {entry["name"]: mounted(entry["value"]) for entry in container["env"] if "value" in entry}
    agent = Agent(
        folder / name, environ, int(yaml.safe_load(text)["exporters"]["prometheus"]["listen"].rpartition(":")[2])
    )
    command, *options, file = (mounted(word) for word in container["args"])
    assert command == "run"
    agent.start_options, agent.config_file = options, Path(file)
    agent.config_file.write_text(mounted(text))
    agent.ledger_file = Path(environ["STATE_DIRECTORY"]) / "goldwatch.db"
    return agent


@pytest.fixture
def charts(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Manifests, Manifests]]:
    with serving(tmp_path) as server:
        server.serve(DIGITS / "digits-quantised.onnx")
        yield objects(server)
    with contextlib.suppress(Refused):
        cluster.plane.ask("DELETE", DEPLOYMENT)


def objects(server: ModelServer) -> tuple[Manifests, Manifests]:
    """Return the objects of the last chart and of this one, for the same values."""
    port = free_port()
    config = {
        "targets": {"fraud": {"probe": "open-inference", "url": server.address, "model": "digits"}},
        "golden": {"fraud": "/golden/fraud"},
        "watches": {"fraud": {"every": "1s", "jitter": "0s", "deadline": "60s"}},
    }
    now = render(BASE | {"config": config, "port": port})
    last = list(yaml.safe_load_all((CHART.parents[1] / "tests/chart/last-chart.yaml").read_text()))
    (written,) = of_kind(last, "ConfigMap")
    listen = {"exporters": {"prometheus": {"listen": f":{port}"}}}
    written["data"]["goldwatch.yaml"] = yaml.safe_dump(listen | config)
    kinds = ("ConfigMap", "Deployment", "PersistentVolumeClaim")
    return last, [manifest for manifest in now if manifest["kind"] in kinds]


def page(agent: Agent) -> dict[str, Any] | None:
    return next((alert for alert in agent.alerts() if alert["closed_at"] is None), None)


def test_a_page_that_is_open_survives_the_upgrade(
    cluster: Cluster, charts: tuple[Manifests, Manifests], tmp_path: Path
) -> None:
    last, now = charts
    for manifest in last:
        cluster.plane.apply(manifest)
    before = scheduled(cluster.plane, tmp_path, "before")
    with contextlib.ExitStack() as ending:
        ending.callback(before.clean_up)
        before.start()
        opened = before.until(lambda: page(before), "the damaged model is paged")
        assert before.end() == 0
        history = before.judgements("fraud")
        for manifest in now:
            cluster.plane.apply(manifest)
        after = scheduled(cluster.plane, tmp_path, "after")
        ending.callback(after.clean_up)
        after.start()
        after.wait_ready()
        active = {"severity": "page", "monitor": "worse"}
        assert after.value("goldwatch_alert_active", **active) == 1, "it is open before anything was replayed"
        after.until(lambda: len(after.judgements("fraud")) > len(history), "it replays")
        assert after.judgements("fraud")[: len(history)] == history
        assert [alert["number"] for alert in after.alerts()] == [opened["number"]]
        first = after.judgements("fraud")[len(history)]
        (worse,) = (verdict for verdict in first["verdicts"] if verdict["monitor"] == "worse")
        assert worse["state"] == "alerting", "the first replay adds to the evidence that there was"
        assert worse["since"] == next(v["since"] for v in history[-1]["verdicts"] if v["monitor"] == "worse")
