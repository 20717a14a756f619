"""An agent beside a model server, whose config is wrong: it says so, stays, and starts once the config is right."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.real.agent import DIGITS, RUN, Agent, config

pytestmark = pytest.mark.real


def test_it_waits_for_its_config_and_ends_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(tmp_path)
    monkeypatch.setattr("tests.real.agent.RUN", [*RUN, "--patient"])
    try:
        agent.start()
        agent.until(lambda: "goldwatch.yaml" in agent.log, "it says what is wrong")
        agent.write(config({"digits": {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx")}}, {"digits": {}}))
        agent.wait_ready()
        assert agent.end() == 0
        agent.config_file.unlink()
        said = agent.log.count("goldwatch.yaml")
        agent.start()
        agent.until(lambda: agent.log.count("goldwatch.yaml") > said, "it says what is wrong")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(10) == 0
    finally:
        agent.clean_up()
