"""From a damaged model to the person on call and back: a real agent, Prometheus, Alertmanager and webhook."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .agent import DIGITS, config, running, serving, until
from .stack import alertmanager, prometheus, quick_example, webhook

pytestmark = pytest.mark.real


def rules_of(config_file: Path) -> str:
    """Let the command write the rules, as a user would."""
    command = [sys.executable, "-c", "from goldwatch.cli import main; main()", "rules", str(config_file)]
    found = subprocess.run([*command, "--label", "team=digits"], capture_output=True, text=True, check=True, timeout=60)
    return found.stdout


def test_a_damaged_model_calls_somebody_once_and_its_repair_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as server, webhook() as (port, came), alertmanager(tmp_path, quick_example(port)) as alerts:
        target = {"probe": "open-inference", "url": server.address, "model": "digits"}
        watch = {"every": "1s", "jitter": "0s", "deadline": "30s"}
        about = {"rollout": "0s", "runbooks": "https://wiki.example/runbooks"}
        with running(tmp_path, config({"digits": target}, {"digits": watch}, alerts=about)) as agent:
            (tmp_path / "rules.yaml").write_text(rules_of(agent.config_file))
            with prometheus(tmp_path, agent.port, [tmp_path / "rules.yaml"], alerts):
                agent.until(lambda: len(agent.judgements()) >= 5, "it replays the sound model")
                assert came == []

                server.serve(DIGITS / "digits-quantised.onnx")
                path, told = until(lambda: came[0] if came else None, "somebody is called", 60)
                fired(path, told)

                goal = len(agent.judgements()) + 4
                agent.until(lambda: len(agent.judgements()) >= goal, "it goes on with the damaged model")
                server.serve(DIGITS / "digits.onnx")
                path, told = until(lambda: came[1] if len(came) > 1 else None, "the repair is told", 120)
                assert (path, told["status"]) == ("/on-call", "resolved")
                assert [each["labels"]["alertname"] for each in told["alerts"]] == ["GoldwatchPage"]

                time.sleep(5)
                assert len(came) == 2, "and nothing else"


def fired(path: str, told: dict[str, Any]) -> None:
    assert (path, told["status"]) == ("/on-call", "firing")
    (alert,) = told["alerts"]
    labels = {"alertname": "GoldwatchPage", "severity": "page", "model": "digits", "team": "digits", "watch": "digits"}
    assert (labels | {"monitor": "worse"}).items() <= alert["labels"].items()
    assert "instance" not in alert["labels"], "a page keeps its identity when the pod is replaced"
    assert alert["annotations"]["runbook_url"] == "https://wiki.example/runbooks/worse.md"
    explanation = alert["annotations"]["description"]
    assert re.search(r"\nAlerting: (changed, )?worse\. ", explanation)
    assert alert["annotations"]["summary"] == "digits needs somebody now (watch digits): worse"
    assert "golden examples are wrong that were right. Accuracy 0.785. Reference" in explanation
    assert re.search(r"Alert \d+: http://127\.0\.0\.1:\d+/alerts/\d+$", explanation)
