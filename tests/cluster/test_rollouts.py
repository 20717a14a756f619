"""Rollouts of a Deployment: as `kubectl rollout status` sees them, and with a real agent at a real API server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from goldwatch.cluster.rollouts import Rollouts, rollout
from goldwatch.core.event import Rollout, mixed

from tests.chart.rendered import BASE, of_kind, render
from tests.cluster.conftest import Cluster
from tests.real.agent import config, running, serving

if TYPE_CHECKING:
    from goldwatch.cluster.api import Api

DEPLOYMENTS = "/apis/apps/v1/namespaces/models/deployments"
DONE = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def deployment(status: dict[str, Any], revision: str = "17") -> dict[str, Any]:
    metadata = {"name": "fraud", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": revision}}
    return {"metadata": metadata, "spec": {"replicas": 3}, "status": status}


@pytest.mark.parametrize(
    ("status", "under_way"),
    [
        (DONE, ""),
        (DONE | {"observedGeneration": 0}, "a new version was asked for"),
        (DONE | {"updatedReplicas": 1}, "1 of 3 replicas updated"),
        (DONE | {"replicas": 4}, "1 old replicas to end"),
        (DONE | {"availableReplicas": 2}, "2 of 3 updated replicas available"),
        ({"observedGeneration": 1}, "0 of 3 replicas updated"),
        (
            DONE
            | {"updatedReplicas": 1, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]},
            "",
        ),
    ],
)
def test_it_is_seen_as_kubectl_sees_it(status: dict[str, Any], under_way: str) -> None:
    assert rollout(deployment(status), None, 100.0) == Rollout("fraud", "17", under_way)


def test_its_end_is_kept() -> None:
    begun = rollout(deployment(DONE | {"updatedReplicas": 1}), None, 100.0)
    ended = rollout(deployment(DONE, "18"), begun, 200.0)
    assert (ended.under_way, ended.ended_at, ended.revision) == ("", 200.0, "18")
    assert rollout(deployment(DONE, "18"), ended, 300.0).ended_at == 200.0


class Answers:
    """An API server with a list of answers, some of them wrong."""

    namespace = "models"

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)

    async def get(self, _path: str, _limit_s: float) -> Any:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("odd", [{}, {"metadata": {"name": "fraud"}, "status": 3}, OSError("too many open files")])
def test_what_cannot_be_read_silences_nobody_and_ends_no_watch(odd: Any) -> None:
    rolling = deployment(DONE | {"updatedReplicas": 1})

    async def seen() -> list[Rollout | None]:
        rollouts = Rollouts()
        rollouts.watch({"fraud": "fraud"})
        api = cast("Api", Answers(rolling, odd, rolling))
        found = []
        for _ in range(3):
            await rollouts._look(api)
            found.append(rollouts("fraud"))
        await rollouts.stop()
        return found

    under_way = Rollout("fraud", "17", "1 of 3 replicas updated")
    assert asyncio.run(seen()) == [under_way, None, under_way]


def test_a_replay_is_of_no_version_if_it_saw_two() -> None:
    before, during, after = (
        Rollout("fraud", "17", ""),
        Rollout("fraud", "18", "1 of 3 updated"),
        Rollout("fraud", "18", ""),
    )
    assert mixed(before, before) == mixed(None, None) == mixed(None, after) == ""
    assert mixed(before, during) == mixed(during, after) == "the Deployment fraud is rolling out: 1 of 3 updated"
    assert mixed(before, after) == "the Deployment fraud was rolled out during the replay"


@pytest.mark.cluster
def test_a_rollout_is_an_event_and_no_evidence(cluster: Cluster, tmp_path: Path) -> None:
    values = BASE | {"rollouts": {"namespaces": ["models"]}}
    for kind in ("Role", "RoleBinding"):
        cluster.plane.create(of_kind(render(values), kind)[0])
    created = cluster.plane.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "digits", "annotations": {"deployment.kubernetes.io/revision": "1"}},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": {"app": "digits"}},
                "template": {
                    "metadata": {"labels": {"app": "digits"}},
                    "spec": {"containers": [{"name": "server", "image": "server:1"}]},
                },
            },
        }
    )

    def becomes(revision: str, updated: int) -> None:
        kind = "application/merge-patch+json"
        metadata = {"annotations": {"deployment.kubernetes.io/revision": revision}}
        found = cluster.plane.ask("PATCH", f"{DEPLOYMENTS}/digits", {"metadata": metadata}, kind=kind)
        counts = {"replicas": 2, "updatedReplicas": updated, "readyReplicas": 2, "availableReplicas": 2}
        status = {"observedGeneration": found["metadata"]["generation"], **counts}
        cluster.plane.ask("PATCH", f"{DEPLOYMENTS}/digits/status", {"status": status}, kind=kind)

    assert created["metadata"]["generation"] == 1
    becomes("1", 2)
    environ = {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(cluster.plane.port),
        "GOLDWATCH_SERVICE_ACCOUNT": str(cluster.agent),
    }
    with serving(tmp_path) as server:
        target = {"probe": "open-inference", "url": server.address, "model": "digits", "deployment": "models/digits"}
        with running(
            tmp_path, config({"digits": target}, {"digits": {"every": "3s", "deadline": "30s"}}), **environ
        ) as agent:

            def last() -> dict[str, Any]:
                return (agent.judgements() or [{}])[-1]

            agent.until(lambda: len(agent.judgements()) > 1 and last()["validity"] == "valid", "valid replays", 90)
            becomes("2", 1)
            under_way = ["the Deployment digits is rolling out: 1 of 2 replicas updated"]
            # A replay may have seen the Deployment between the two updates: it was within the rollout as well.
            agent.until(lambda: last().get("reasons") == under_way, "a replay within the rollout", 90)
            assert last()["validity"] == "invalid"
            becomes("2", 2)
            agent.until(lambda: last()["validity"] == "valid", "a replay after it", 90)
            events = agent.rows("SELECT * FROM events WHERE field = 'deployment revision'")
            assert [(event["before"], event["after"]) for event in events] == [("1", "2")]
