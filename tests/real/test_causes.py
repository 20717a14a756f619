"""Notifications that reach the receivers, cause by cause: real agents, Prometheus and Alertmanager, and what ships.

Only the waits are shorter: `for` fifty times, and the grouping of Alertmanager. The real times are in
docs/alerts.md; tests/rules/test_causes.py measures them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .agent import DIGITS, Agent, ModelServer, config, running, serving, until
from .stack import NEVER, Notification, OnCall, on_call

pytestmark = pytest.mark.real

WATCH = {"every": "4s", "jitter": "0s", "deadline": "10m"}
AGENT_GONE = ("owners", "GoldwatchAgentGone", "firing")
AGENT_BACK = ("owners", "GoldwatchAgentGone", "resolved")
MISSING = ("owners", "GoldwatchWatchMissing", "firing")
FOUND = ("owners", "GoldwatchWatchMissing", "resolved")
REJECTED = ("owners", "GoldwatchConfigRejected", "firing")
ACCEPTED = ("owners", "GoldwatchConfigRejected", "resolved")
PAGED = ("on-call", "GoldwatchPage", "firing")
PAGE_ENDED = ("on-call", "GoldwatchPage", "resolved")
TICKET = ("owners", "GoldwatchTicket", "firing")
TICKET_ENDED = ("owners", "GoldwatchTicket", "resolved")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCall]:
    with on_call(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ModelServer]:
    with serving(tmp_path) as server:
        yield server


def served(server: ModelServer, watch: str = "digits", **sections: Any) -> dict[str, Any]:
    """Return a config of one watch on the server's model."""
    target = {"probe": "open-inference", "url": server.address, "model": "digits"}
    return config({"digits": target}, {watch: WATCH | {"target": "digits", "golden": "digits"}}, **sections)


@contextlib.contextmanager
def agent_of(stack: OnCall, folder: Path, namespace: str, about: Mapping[str, Any]) -> Iterator[Agent]:
    """Start an agent that service discovery finds."""
    folder.mkdir()
    with running(folder, about) as agent:
        stack.discover(agent.port, namespace)
        yield agent
    stack.lose(agent.port) if agent.port in stack.discovered else None


def about_the_model(found: Notification, namespace: str, severity: str) -> None:
    """Check the labels and annotations of a notification about a model."""
    labels = {"namespace": namespace, "job": "goldwatch", "watch": "digits", "target": "digits", "model": "digits"}
    assert (labels | {"severity": severity}).items() <= found.labels.items()
    assert "instance" not in found.labels
    assert found.annotations["summary"]
    assert found.annotations["description"]


def test_a_page_outlives_its_agent_and_keeps_its_identity(stack: OnCall, server: ModelServer, tmp_path: Path) -> None:
    space, about = "outlived", served(server, alerts={"rollout": "0s"})
    server.serve(DIGITS / "digits-quantised.onnx")
    with agent_of(stack, tmp_path / "first", space, about) as first:
        (page,) = stack.until_notified(space, PAGED)
        about_the_model(page, space, "page")
        assert page.annotations["runbook_url"] == f"http://127.0.0.1:{first.port}/runbooks/worse"
        first.kill()
        page, gone = stack.until_notified(space, AGENT_GONE)
        assert gone.labels["instance"] == f"127.0.0.1:{first.port}"

        stack.start()  # Prometheus is restarted meanwhile
        stack.until_evaluated()
        assert len(stack.notifications(space)) == 2

        with agent_of(stack, tmp_path / "second", space, about) as second:  # its pod is replaced; the ledger is lost
            stack.lose(first.port)
            stack.until_notified(space, AGENT_BACK)
            until(lambda: second.value("goldwatch_alert_active", severity="page", monitor="worse") == 1, "it pages too")
            stack.until_evaluated()
            assert [each.short for each in stack.notifications(space)] == [PAGED, AGENT_GONE, AGENT_BACK]

            server.serve(DIGITS / "digits.onnx")
            *_, ended = stack.until_notified(space, PAGE_ENDED)
            assert ended.fingerprint == page.fingerprint
            stack.until_evaluated()
            assert [each.short for each in stack.notifications(space)] == [PAGED, AGENT_GONE, AGENT_BACK, PAGE_ENDED]


def test_one_agent_of_many_is_missed_and_no_other_namespace_hides_it(
    stack: OnCall, server: ModelServer, tmp_path: Path
) -> None:
    planned = {"from": f"{datetime.now(UTC):%Y-%m-%d} 00:00", "until": "2100-01-01 00:00", "why": "moving"}
    (tmp_path / "bad").mkdir()
    with (
        serving(tmp_path / "bad") as bad,
        agent_of(stack, tmp_path / "stuck", "north", served(server)) as stuck,
        agent_of(stack, tmp_path / "sound", "north", served(server)) as sound,
    ):
        bad.serve(DIGITS / "digits-quantised.onnx")
        with agent_of(stack, tmp_path / "silenced", "south", served(bad, alerts={"silences": [planned]})) as silenced:
            seen = 'count(agent_watch_target:goldwatch_watch_seen:timestamp{namespace=~"north|south"}) == 3'
            until(lambda: stack.ask.result(seen), "all agents are seen")
            stuck.until(stuck.workers, "it has workers")
            for worker in stuck.workers():
                worker.suspend()
            *_, found = stack.until_notified("north", TICKET)
            assert [each.short for each in stack.notifications("north")] == [TICKET]
            about_the_model(found, "north", "ticket")
            assert found.labels["monitor"] == "silent"
            assert found.annotations["runbook_url"].endswith("/runbooks/silent")
            assert sound.value("goldwatch_alert_active", severity="ticket") == 0

            for worker in stuck.workers():
                worker.resume()
            stack.until_notified("north", TICKET_ENDED)

            for each in (stuck, sound):  # scaled to none: service discovery finds neither
                stack.lose(each.port)
                each.kill()
            *_, found = stack.until_notified("north", MISSING)
            about_the_model(found, "north", "ticket")
            another = f"http://127.0.0.1:{silenced.port}/runbooks/watch-missing"
            assert found.annotations["runbook_url"] == another, "the agent that is gone cannot serve it"
            sound.start()
            sound.wait_ready()
            stack.discover(sound.port, "north")
            stack.until_notified("north", FOUND)
            assert [each.short for each in stack.notifications("north")] == [TICKET, TICKET_ENDED, MISSING, FOUND]

            assert silenced.value("goldwatch_alert_silenced", severity="page") == 1
            assert stack.notifications("south") == []


def test_an_agent_that_refuses_its_first_config_opens_a_ticket(
    stack: OnCall, server: ModelServer, tmp_path: Path
) -> None:
    agent = Agent(tmp_path)
    agent.start_options = ["--patient"]
    agent.write(served(server) | {"golden": {"digits": "nowhere"}})
    try:
        agent.start()
        agent.until(lambda: "nowhere" in agent.log, "it refuses its config")
        stack.discover(agent.port, "patient")
        (found,) = stack.until_notified("patient", REJECTED)
        assert found.labels["instance"] == f"127.0.0.1:{agent.port}"
        assert found.annotations["runbook_url"] == f"http://127.0.0.1:{agent.port}/runbooks/config-rejected"
        assert agent.get("/runbooks/config-rejected")[0] == 200
        agent.write(served(server))
        stack.until_notified("patient", ACCEPTED)
        stack.until_evaluated()
        assert [each.short for each in stack.notifications("patient")] == [REJECTED, ACCEPTED]
    finally:
        stack.lose(agent.port)
        agent.clean_up()


def test_only_goldwatchs_own_alerts_are_inhibited(stack: OnCall) -> None:
    model = {"namespace": "east", "job": "goldwatch", "watch": "fraud", "target": "eu"}
    page = {"alertname": "GoldwatchPage", "severity": "page", "monitor": "worse"} | model
    ticket = {"alertname": "GoldwatchTicket", "severity": "ticket", "monitor": "drift"}
    burn = {"alertname": "GoldwatchLatencyBurnFast", "severity": "ticket"}
    stack.post(page, {"alertname": "DatabaseDown", "severity": "page"})
    stack.until_notified("east", PAGED)
    stack.until_notified("", ("nobody", "DatabaseDown", "firing"))
    stack.post(
        ticket | model,
        burn | model,
        ticket | model | {"namespace": "west"},
        {"alertname": "DiskFull", "severity": "ticket"},
        {"alertname": "DiskFull", "severity": "ticket", "namespace": "east"},
    )
    stack.until_notified("west", TICKET)
    stack.until_notified("", ("nobody", "DiskFull", "firing"))
    stack.until_notified("east", ("nobody", "DiskFull", "firing"))
    assert [each.short for each in stack.notifications("east")] == [PAGED, ("nobody", "DiskFull", "firing")]


def test_tickets_wait_for_working_hours_and_pages_do_not(tmp_path: Path) -> None:
    with on_call(tmp_path, NEVER) as stack:
        stack.post({"alertname": "GoldwatchTicket", "severity": "ticket", "watch": "w"})
        stack.post({"alertname": "GoldwatchPage", "severity": "page", "watch": "another"})
        stack.until_notified("", PAGED)
        stack.until_evaluated()
        assert [each.short for each in stack.notifications("")] == [PAGED]
