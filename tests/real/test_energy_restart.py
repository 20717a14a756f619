"""A budget of energy in `goldwatch run`: a real server, a processor made of files, and an agent that is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.digits_server import Digits, digits, target
from tests.powercap import Processor, environment
from tests.real.agent import Agent, config, until

pytestmark = [pytest.mark.real, pytest.mark.servers]

IDLE_W, LOADED_W = 50.0, 500.0


@pytest.fixture
def server() -> Iterator[Digits]:
    with digits() as found:
        found.service_s = 0.002
        yield found


@pytest.fixture
def agent(tmp_path: Path, server: Digits) -> Iterator[Agent]:
    """One on a machine whose processor draws more while the server answers."""
    processor, ended = Processor(tmp_path, IDLE_W, 10**15), threading.Event()

    def draw() -> None:
        answered = 0
        while not ended.wait(0.02):
            processor.watts = LOADED_W if server.answered != answered else IDLE_W
            answered = server.answered

    drawing = threading.Thread(target=draw, daemon=True)
    drawing.start()
    found = Agent(tmp_path, environment(tmp_path, processor))
    yield found
    found.clean_up()
    ended.set()
    drawing.join()
    processor.end()


def written(server: Digits, budget: str) -> dict[str, Any]:
    of_target = yaml.safe_load(target(server.url, f"energy_at_most: {budget}"))
    watch = {"every": "5s", "jitter": "0s", "deadline": "2m", "load": {"time_limit": "1m"}}
    meters = {"package": {"kind": "rapl", "exclusive": True}}
    return config({"digits": of_target}, {"digits": watch}, energy={"windows": 3, "meters": meters})


def charged_j(agent: Agent, *, measuring: bool) -> list[float]:
    """Return the joules of each replay, or measurement, whose price is known."""
    sql = "SELECT joules FROM charges WHERE joules IS NOT NULL AND measuring = ?"
    return [row["joules"] for row in agent.rows(sql, measuring)]


def test_an_agent_that_is_killed_forgets_neither_what_was_taken_nor_when_it_measured(
    agent: Agent, server: Digits
) -> None:
    agent.write(written(server, "1000 kWh per day"))
    agent.start()
    agent.wait_ready()
    agent.until(lambda: agent.rows("SELECT 1 FROM charges WHERE priced"), "energy was measured", limit_s=60)
    agent.until(lambda: len(charged_j(agent, measuring=False)) > 1, "it is replayed again", limit_s=60)
    agent.kill()  # within a replay, since that is charged before it begins
    until(agent.gone, "no worker is left")
    server.wait_idle()
    (measuring_j,), replays_j = charged_j(agent, measuring=True), charged_j(agent, measuring=False)
    assert measuring_j > IDLE_W
    taken_j, answered = measuring_j + sum(replays_j), server.answered

    agent.write(written(server, f"{taken_j + 2 * max(replays_j):.2f} J per day"))
    agent.start()
    agent.wait_ready()
    skipped = {"watch": "digits", "target": "digits", "reason": "energy"}
    agent.until(lambda: agent.value("goldwatch_replays_skipped_total", **skipped), "it is skipped", limit_s=60)
    assert agent.value("goldwatch_energy_budget_taken_joules") == pytest.approx(taken_j)
    assert server.answered == answered

    agent.reload(written(server, "1000 kWh per day"))
    agent.until(lambda: len(charged_j(agent, measuring=False)) > len(replays_j) + 1, "it is replayed", limit_s=60)
    assert agent.end() == 0
    assert charged_j(agent, measuring=True) == [measuring_j]
    replays = len(charged_j(agent, measuring=False)) - len(replays_j)
    assert server.answered - answered <= 610 * replays  # no example is asked for twice: that was within the hour
