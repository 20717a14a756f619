"""A real agent that receives CloudEvents as KServe's inference logger sends them: sound, our own, and darkened."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from goldwatch.golden.opened import GoldenSet

from .agent import DIGITS, GOLDEN, Agent, config, running

pytestmark = pytest.mark.real

WINDOW = 100


def images(factor: float = 1.0) -> Iterator[list[list[float]]]:
    """Yield golden images for ever, in another order than theirs, all as many times."""
    found = GoldenSet.open(GOLDEN).tensor("inputs.image") * np.float32(factor)
    rng = np.random.default_rng(5)
    while True:
        yield from found[rng.permutation(len(found))].tolist()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    target = {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx"), "threads": 1, "warm": True}
    watch = {"every": "1s", "jitter": "0s", "deadline": "30s", "live": {"requests": WINDOW, "window": "1h"}}
    wanted = config({"digits": target}, {"digits": watch}, alerts={"false_alarms": "10 per day"})
    with running(tmp_path, wanted) as found:
        yield found


def post(agent: Agent, traffic: Iterator[Any], count: int, **attributes: str) -> None:
    """Post `count` events, every second one in structured mode. Events refused by the rate limit are sent again."""
    for number, image in enumerate(itertools.islice(traffic, count)):
        known = {
            "type": "org.kubeflow.serving.inference.request",
            "source": "http://localhost:9081/",
            "inferenceservicename": "digits",
            "datacontenttype": "application/json",
        }
        event = CloudEvent(known | attributes, {"instances": [image]})
        message = to_structured_event(event) if number % 2 else to_binary_event(event)
        request = urllib.request.Request(
            f"http://127.0.0.1:{agent.port}/live/digits", bytes(message.body), dict(message.headers)
        )
        agent.until(lambda request=request: _taken(request), "the event is taken")  # type: ignore[misc]


def _taken(request: urllib.request.Request) -> bool:
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
        return bool(answer.read() == b"taken\n")


def judged(agent: Agent) -> float:
    return agent.value("goldwatch_live_windows_total", watch="digits") or 0


def window(agent: Agent, traffic: Iterator[Any]) -> None:
    """Post a window and wait until it has been judged."""
    before = judged(agent)
    post(agent, traffic, WINDOW)
    agent.until(lambda: judged(agent) > before, "a window is judged", 120)


def says(agent: Agent, state: str) -> bool:
    return agent.value("goldwatch_verdict", monitor="drift", state=state) == 1


def test_sound_rows_are_steady_and_darkened_ones_one_ticket_that_explains_itself(agent: Agent) -> None:
    agent.until(lambda: says(agent, "unknown"), "nothing is known before there were rows")
    sound, dark = images(), images(0.5)
    for _ in range(3):
        window(agent, sound)
    agent.until(lambda: says(agent, "steady"), "sound rows are steady")

    post(agent, dark, WINDOW, id="x-goldwatch-replay")
    window(agent, sound)
    agent.until(lambda: says(agent, "steady"), "our own requests are no live traffic")
    assert agent.value("goldwatch_live_requests_total", fate="synthetic") == WINDOW

    for _ in range(20):
        window(agent, dark)
        if says(agent, "alerting"):
            break
    agent.until(lambda: agent.value("goldwatch_alert_active", severity="ticket") == 1, "a ticket opens")
    (alert,) = json.loads(agent.get("/api/v1/alerts")[1])["alerts"]
    assert (alert["monitors"], alert["severity"]) == (["drift"], "ticket")
    told = json.loads(agent.get(f"/api/v1/alerts/{alert['number']}")[1])["explanation"]
    assert told["live"]["rows"] == WINDOW
    assert told["live"]["moves"][0]["column"].startswith("image ")
    assert "in the reference" in alert["text"]
    assert "column   image " in agent.get(f"/alerts/{alert['number']}")[1]
    assert agent.value("goldwatch_live_rows_total", read="no") == 0
