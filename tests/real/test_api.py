"""schemathesis asks a running agent whatever docs/openapi.yaml allows, and much that it does not.

GOLDWATCH_API_SECONDS=7200 lets it ask for two hours, new examples each time; by default there are few, always the same.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from goldwatch.core.judgement import State
from goldwatch.daemon.alert import advance
from goldwatch.daemon.alert_explanation import Surroundings
from goldwatch.daemon.ledger import Ledger

from .agent import DIGITS, ROOT, config, running
from tests.builders import difference, judgement, verdict

pytestmark = [pytest.mark.real, pytest.mark.slow]

TARGETS = {"digits": {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx")}}
SCHEMATHESIS = ROOT / ".venv-schemathesis/bin/schemathesis"
TOKEN = "reading-0123456789"
SECONDS = os.environ.get("GOLDWATCH_API_SECONDS")
LENGTH = ["--max-time", SECONDS] if SECONDS else ["--max-examples", "5", "--seed", "1", "--generation-deterministic"]


def write_alert(ledger: Path) -> None:
    """Write the ledger of a watch that is alerting."""
    worse = verdict("worse", State.ALERTING, evidence=7.9, since=1_800_000_000.0)
    told = judgement(watch="digits", target="digits", verdicts=(worse,), difference=difference())
    with Ledger(ledger) as opened:
        opened.record(told, {}, advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1))


def test_the_agent_answers_as_documented(tmp_path: Path) -> None:
    if not SCHEMATHESIS.exists():
        assert not os.environ.get("CI"), "tests/environments/make schemathesis has not run"
        pytest.skip("run tests/environments/make schemathesis first")
    write_alert(tmp_path / "goldwatch.db")
    (tmp_path / "token").write_text(TOKEN)
    access = {"prometheus": {"authorization": {"credentials": "${file:token}"}}}
    watches = {"digits": {"every": "1h", "live": {}}}
    with running(tmp_path, config(TARGETS, watches, exporters=access)) as agent:
        agent.until(lambda: agent.rows("SELECT 1 FROM replays WHERE id > 1"), "it has replayed")  # its answers are full
        command = [str(SCHEMATHESIS), "run", str(ROOT / "docs/openapi.yaml"), "--no-color", "--checks", "all"]
        command += ["--url", f"http://127.0.0.1:{agent.port}", "--header", f"Authorization: Bearer {TOKEN}"]
        asked = subprocess.run([*command, *LENGTH], check=False, capture_output=True, text=True, cwd=tmp_path)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        assert agent.get("/healthz") == (200, "ok\n")
        assert "Traceback" not in agent.log
