"""Notifications when a lease is lost or cannot be taken: a real API server, Prometheus and Alertmanager."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.cluster.replicas import permit, sharing_a_lease
from tests.real.agent import DIGITS, serving, until
from tests.real.stack import on_call

pytestmark = pytest.mark.cluster

BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/models/rolebindings"
PAGED, PAGE_ENDED = [("on-call", "GoldwatchPage", status) for status in ("firing", "resolved")]
NOBODY_LEADS, ONE_LEADS = [("owners", "GoldwatchNobodyLeads", status) for status in ("firing", "resolved")]


def test_a_lost_lease_ends_a_page_and_a_lease_that_nobody_can_take_opens_a_ticket(
    cluster: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "stack").mkdir()
    with (
        on_call(tmp_path / "stack", times=10) as stack,
        serving(tmp_path) as server,
        sharing_a_lease(cluster, tmp_path, server, ("agent-a", "agent-b"), every="4s") as replicas,
    ):
        server.serve(DIGITS / "digits-quantised.onnx")
        for member in replicas.members:
            stack.discover(member.agent.port, "models")
        stack.until_notified("models", PAGED)

        leader = replicas.leader()
        assert leader is not None
        leader.to_cluster.cut()
        (follower,) = [member for member in replicas.members if member is not leader]
        follower.agent.until(lambda: follower.agent.value("goldwatch_leader") == 1, "the other one leads", 90)
        assert 'watch="' not in leader.agent.get("/metrics")[1]
        assert leader.agent.value("goldwatch_leader") == 0
        page = "goldwatch_alert_active"
        follower.agent.until(lambda: follower.agent.value(page, severity="page", monitor="worse") == 1, "it pages", 60)
        stack.until_evaluated()
        assert [each.short for each in stack.notifications("models")] == [PAGED]

        server.serve(DIGITS / "digits.onnx")
        opened, ended = stack.until_notified("models", PAGE_ENDED)
        assert opened.fingerprint == ended.fingerprint

        leader.to_cluster.mend()
        binding = permit(cluster)["metadata"]["name"]
        cluster.plane.ask("DELETE", f"{BINDINGS}/{binding}")
        try:
            *_, found = stack.until_notified("models", NOBODY_LEADS, limit_s=120)
        finally:
            permit(cluster)
        assert {"namespace": "models", "job": "goldwatch", "lease": "release-goldwatch"}.items() <= found.labels.items()
        assert "instance" not in found.labels
        for member in replicas.members:
            assert (member.agent.value("goldwatch_lease_errors_total") or 0) > 0
            assert "the lease could not be read or written" in member.agent.log
        stack.until_notified("models", ONE_LEADS, limit_s=120)
        until(lambda: replicas.leader() is not None, "a replica leads")
        expected = [PAGED, PAGE_ENDED, NOBODY_LEADS, ONE_LEADS]
        assert [each.short for each in stack.notifications("models")] == expected
