"""Three agents and one lease in a real API server: whatever befalls the leader, never two of them replay at once.

What each agent sends to the model is logged, outside of it. Of a log in which two take turns only where one handed
over to the other, nobody can say that two replayed at once.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.chart.rendered import BASE, of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.cluster.cut import Cable
from tests.real.agent import Agent, config, serving, until

pytestmark = pytest.mark.cluster

LEASE = {"name": "release-goldwatch", "duration": "10s", "renew_deadline": "8s", "retry_period": "500ms"}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/models/leases"


@dataclass
class Replica:
    """An agent whose lines to the API server and to the model can be watched and cut."""

    agent: Agent
    to_cluster: Cable
    to_model: Cable


@dataclass
class Replicas:
    """Three agents, and the log of what they send."""

    members: list[Replica]
    cluster: Cluster

    def leader(self) -> Replica | None:
        """Return who holds the lease, as the API server says; nobody while none of them has made it yet."""
        try:
            lease = self.cluster.plane.ask("GET", f"{LEASES}/release-goldwatch")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        holder = lease["spec"]["holderIdentity"]
        return next((m for m in self.members if holder.startswith(f"{m.agent.folder.name}_")), None)

    def replaying(self, other_than: Replica | None = None) -> Replica:
        """Wait until one (another) has sent a good part of a replay, and is at it."""

        def found() -> Replica | None:
            leader = self.leader()
            return None if leader is None or leader is other_than or not busy(leader) else leader

        start = {id(m): len(m.to_model.sent_at) for m in self.members}

        def busy(replica: Replica) -> bool:
            return len(replica.to_model.sent_at) > start[id(replica)] + 100

        return until(found, "a replica replays", 60)

    def turns(self) -> list[int]:
        """Return who sent, in the order of time, with what one sent without another between taken together."""
        sent = sorted((at, index) for index, m in enumerate(self.members) for at in m.to_model.sent_at)
        return [index for index, _ in itertools.groupby(index for _, index in sent)]


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path) -> Iterator[Replicas]:
    plane = cluster.plane
    for kind in ("Role", "RoleBinding"):  # what the chart gives to replicas is all that these have
        (manifest,) = of_kind(render(BASE | {"standalone": {"replicas": 3}}), kind)
        with contextlib.suppress(Exception):  # made by the test before
            plane.create(manifest)
    with contextlib.ExitStack() as ending:
        server = ending.enter_context(serving(tmp_path))
        members = []
        for name in ("agent-a", "agent-b", "agent-c"):
            to_cluster, to_model = Cable(plane.port), Cable(server.port, delay_s=0.001)
            ending.callback(to_cluster.close)
            ending.callback(to_model.close)
            folder = tmp_path / name
            folder.mkdir()
            environ = {
                "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT": str(to_cluster.port),
                "GOLDWATCH_SERVICE_ACCOUNT": str(cluster.agent),
                "POD_NAME": name,
            }
            agent = Agent(folder, environ)
            target = {"probe": "open-inference", "url": f"http://127.0.0.1:{to_model.port}", "model": "digits"}
            watch = {"every": "1s", "jitter": "0s", "deadline": "60s"}
            agent.write(config({"digits": target}, {"digits": watch}, cluster={"lease": LEASE}))
            ending.callback(agent.clean_up)
            agent.start()
            members.append(Replica(agent, to_cluster, to_model))
        for member in members:
            member.agent.wait_ready()  # who stands by is ready too
        yield Replicas(members, cluster)
    with contextlib.suppress(Exception):
        plane.ask("DELETE", f"{LEASES}/release-goldwatch")


def everything_of(agent: Agent) -> list[psutil.Process]:
    return [psutil.Process(agent.process.pid), *agent.workers()]


def test_a_leader_that_is_killed_is_followed_by_another(replicas: Replicas) -> None:
    leader = replicas.replaying()
    leader.agent.kill()
    follower = replicas.replaying(other_than=leader)
    assert replicas.turns() == [replicas.members.index(leader), replicas.members.index(follower)]


def test_a_frozen_agent_does_not_hold_its_worker_back_from_ending(replicas: Replicas) -> None:
    """The worker, which is not frozen, would go on to send."""
    leader = replicas.replaying()
    leader.agent.process.send_signal(signal.SIGSTOP)
    follower = replicas.replaying(other_than=leader)
    leader.agent.process.send_signal(signal.SIGCONT)
    leader.agent.until(lambda: "the lease is lost" in leader.agent.log, "it notices")
    again = len(follower.to_model.sent_at) + 500
    until(lambda: len(follower.to_model.sent_at) > again, "the follower goes on")
    assert replicas.turns() == [replicas.members.index(leader), replicas.members.index(follower)]
    assert all(j["validity"] == "valid" for j in leader.agent.judgements()), "a replay that was cut short says nothing"


def test_a_whole_pod_that_was_frozen_sends_nothing_after(replicas: Replicas) -> None:
    leader = replicas.replaying()
    frozen = everything_of(leader.agent)
    assert len(frozen) > 1
    for process in frozen:
        process.suspend()
    follower = replicas.replaying(other_than=leader)
    for process in reversed(frozen):  # the workers first: nobody tells them
        process.resume()
    again = len(follower.to_model.sent_at) + 500
    until(lambda: len(follower.to_model.sent_at) > again, "the follower goes on")
    assert replicas.turns() == [replicas.members.index(leader), replicas.members.index(follower)]


def test_a_leader_that_is_cut_off_stops_by_itself(replicas: Replicas) -> None:
    leader = replicas.replaying()
    leader.to_cluster.cut()
    follower = replicas.replaying(other_than=leader)
    leader.agent.until(lambda: "the lease is lost" in leader.agent.log, "it says so")
    leader.to_cluster.mend()
    again = len(follower.to_model.sent_at) + 500
    until(lambda: len(follower.to_model.sent_at) > again, "the follower goes on")
    assert replicas.turns() == [replicas.members.index(leader), replicas.members.index(follower)]


def test_a_leader_that_is_told_to_stop_hands_over_at_once(replicas: Replicas) -> None:
    leader = replicas.replaying()
    assert leader.agent.end() == 0
    lease = replicas.cluster.plane.ask("GET", f"{LEASES}/release-goldwatch")
    assert not lease["spec"].get("holderIdentity", "").startswith(f"{leader.agent.folder.name}_")
    follower = replicas.replaying(other_than=leader)
    assert replicas.turns() == [replicas.members.index(leader), replicas.members.index(follower)]
