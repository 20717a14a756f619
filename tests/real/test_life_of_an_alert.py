"""One alert from its cause to its end, over HTTP: a model damaged and repaired, then its server lost and found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .agent import DIGITS, Agent, ModelServer, config, running, serving

pytestmark = pytest.mark.real


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ModelServer]:
    with serving(tmp_path) as server:
        yield server


@pytest.fixture
def agent(tmp_path: Path, server: ModelServer) -> Iterator[Agent]:
    target = {"probe": "open-inference", "url": server.address, "model": "digits"}
    watch = {"every": "1s", "jitter": "0s", "deadline": "30s"}
    with running(tmp_path, config({"digits": target}, {"digits": watch})) as agent:
        yield agent


def more_replays(agent: Agent, count: int) -> Callable[[], bool]:
    """Return a condition: that `count` replays have started from now on."""
    goal = len(agent.judgements()) + count
    return lambda: len(agent.judgements()) >= goal


def open_alert(agent: Agent) -> dict[str, Any] | None:
    return next((alert for alert in agent.alerts() if alert["closed_at"] is None), None)


def test_a_model_is_damaged_and_repaired_and_its_server_lost_and_found(agent: Agent, server: ModelServer) -> None:
    agent.until(more_replays(agent, 5), "it replays the sound model")
    assert agent.alerts() == []
    assert agent.value("goldwatch_alert_active", severity="page") == 0

    server.serve(DIGITS / "digits-quantised.onnx")
    agent.until(lambda: open_alert(agent), "an alert opens")
    agent.until(lambda: agent.value("goldwatch_alert_active", severity="page") == 1, "the metric says so")
    agent.until(more_replays(agent, 5), "it goes on to replay")
    (alert,) = agent.alerts()
    assert (alert["severity"], alert["closed_at"]) == ("page", None)
    assert "worse" in json.loads(alert["monitors"])
    text = " ".join(alert["text"].split())
    assert text.startswith(
        "[PAGE] digits is worse: 109 of 600 golden examples now wrong that were right (9 the other way)"
    )
    assert "accuracy 0.9517 -> 0.7850 -16.7 points" in text
    assert "where digit=8 46 of the 109, 9% of the set beyond chance" in text
    assert "examples 0: 8 -> 5, right is 8 8: 0 -> 5, right is 0" in text
    assert "http" not in text, "no external URL is configured, so there is no link"
    told = json.loads(alert["explanation"])
    assert [picture["example"] for picture in told["pictures"]][:4] == [0, 8, 11, 15]
    assert all(set("".join(picture["lines"])) <= set(" ▀▄█") for picture in told["pictures"])
    assert agent.value("goldwatch_verdict", monitor="worse", state="alerting") == 1

    server.serve(DIGITS / "digits.onnx")
    agent.until(lambda: open_alert(agent) is None, "the alert closes")
    agent.until(lambda: agent.value("goldwatch_alert_active", severity="page") == 0, "the metric says so")
    agent.until(more_replays(agent, 2), "it goes on to replay")
    assert len(agent.alerts()) == 1
    assert states(agent, "worse")[-1] == "steady"
    assert "recovered" in states(agent, "worse")

    server.kill()
    lost = len(agent.judgements())
    agent.until(lambda: open_alert(agent), "the loss of the server is alerted")
    assert len(agent.judgements()) - lost <= 5, "a few replays are enough"
    agent.until(more_replays(agent, 5), "it goes on to try")
    _, alert = agent.alerts()
    assert (alert["severity"], json.loads(alert["monitors"])) == ("page", ["failing"])
    text = " ".join(alert["text"].split())
    assert text.startswith("[PAGE] digits is failing: 600 of 600 requests failed (100.00%), 1.00% allowed")
    assert "do Look at the server of digits and its log." in text
    assert "-> 600 of 600 1% allowed" in text
    assert {states(agent, m)[-1] for m in ("worse", "changed")} == {"unknown"}

    server.start()
    agent.until(lambda: open_alert(agent) is None, "the alert closes")
    agent.until(lambda: agent.value("goldwatch_alert_active", severity="page") == 0, "the metric says so")
    agent.until(more_replays(agent, 2), "it goes on to replay")
    assert len(agent.alerts()) == 2
    assert {states(agent, m)[-1] for m in ("worse", "changed", "failing")} == {"steady"}
    assert "Traceback" not in agent.log


def states(agent: Agent, monitor: str) -> list[str]:
    """Return the state of a monitor after each replay."""
    return [row["state"] for row in agent.rows("SELECT state FROM verdicts WHERE monitor = ? ORDER BY replay", monitor)]
