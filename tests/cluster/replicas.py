"""Several agents and one lease in a real API server, with the lines that they send over."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chart.rendered import BASE, of_kind, render
from tests.cluster.conftest import Cluster
from tests.cluster.control_plane import Refused
from tests.cluster.cut import Cable
from tests.real.agent import Agent, ModelServer, config, until

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
    """Agents, and the log of their requests."""

    members: list[Replica]
    cluster: Cluster

    def leader(self) -> Replica | None:
        """Return the holder of the lease, from the API server; None before one of them has made it."""
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


def permit(cluster: Cluster) -> dict[str, Any]:
    """Give the agents the permissions of the chart, and no more; return the RoleBinding."""
    for kind in ("Role", "RoleBinding"):
        (manifest,) = of_kind(render(BASE | {"standalone": {"replicas": 3}}), kind)
        with contextlib.suppress(Refused):  # it exists
            cluster.plane.create(manifest)
    return manifest


@contextlib.contextmanager
def sharing_a_lease(
    cluster: Cluster, folder: Path, server: ModelServer, names: Sequence[str], **watch: str
) -> Iterator[Replicas]:
    """Start agents that watch the server's model, all of them ready."""
    permit(cluster)
    with contextlib.ExitStack() as ending:
        members = []
        for name in names:
            to_cluster, to_model = Cable(cluster.plane.port), Cable(server.port, delay_s=0.001)
            ending.callback(to_cluster.close)
            ending.callback(to_model.close)
            (folder / name).mkdir()
            environ = {
                "KUBERNETES_SERVICE_HOST": "127.0.0.1",
                "KUBERNETES_SERVICE_PORT": str(to_cluster.port),
                "GOLDWATCH_SERVICE_ACCOUNT": str(cluster.agent),
                "POD_NAME": name,
            }
            agent = Agent(folder / name, environ)
            target = {"probe": "open-inference", "url": f"http://127.0.0.1:{to_model.port}", "model": "digits"}
            entry = {"every": "1s", "jitter": "0s", "deadline": "60s"} | watch
            about = config({"digits": target}, {"digits": entry}, cluster={"lease": LEASE}, alerts={"rollout": "0s"})
            agent.write(about)
            ending.callback(agent.clean_up)
            agent.start()
            members.append(Replica(agent, to_cluster, to_model))
        for member in members:
            member.agent.wait_ready()  # a standby is ready too
        yield Replicas(members, cluster)
    with contextlib.suppress(Refused):
        cluster.plane.ask("DELETE", f"{LEASES}/release-goldwatch")
