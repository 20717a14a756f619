"""Three agents and one lease in a real API server: whatever happens to the leader, never two of them replay at once.

Each agent's requests to the model are logged, outside of the agent. If a log changes from one agent to another only
at a hand-over, two did not replay at once.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.replicas import LEASES, Replicas, sharing_a_lease
from tests.real.agent import Agent, serving, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path) -> Iterator[Replicas]:
    with (
        serving(tmp_path) as server,
        sharing_a_lease(cluster, tmp_path, server, ("agent-a", "agent-b", "agent-c")) as replicas,
    ):
        yield replicas


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
    for process in reversed(frozen):  # the workers first: they get no signal
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
