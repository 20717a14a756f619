"""A real Prometheus scrapes a real agent."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .agent import DIGITS, Agent, config, running, until

pytestmark = pytest.mark.real

SCRAPES = """
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs: [{{job_name: goldwatch, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    target = {"probe": "onnx-runtime", "file": str(DIGITS / "digits-quantised.onnx"), "threads": 1, "warm": True}
    watch = {"every": "1s", "jitter": "0s", "deadline": "30s"}
    with running(tmp_path_factory.mktemp("agent"), config({"digits": target}, {"digits": watch})) as agent:
        agent.until(lambda: agent.value("goldwatch_alert_active", severity="page") == 1, "an alert opens")
        yield agent


@pytest.fixture(scope="module")
def ask(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Start Prometheus; give a function that asks its API."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text(SCRAPES.format(port=agent.port))
    command = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=log)

    def port() -> str | None:
        said = (folder / "log").read_text()
        found = re.search(r"Listening on.*?127\.0\.0\.1:(\d+)", said)
        return found[1] if found and "Server is ready to receive web requests" in said else None

    def ask(path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{listening}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]

    try:
        listening = until(port, "Prometheus is ready")
        yield ask
    finally:
        process.kill()
        process.wait()


def program(name: str) -> str:
    """Find a program; in CI a missing one is a failure, elsewhere the test is skipped."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed")
    return found or pytest.skip(f"{name} is not installed")


def test_the_scrape_succeeds_and_the_series_are_there(ask: Ask) -> None:
    def scraped() -> Any:
        (target,) = ask("targets")["activeTargets"] or [{"health": "unknown"}]
        return target if target["health"] != "unknown" else None

    target = until(scraped, "Prometheus scrapes")
    assert (target["health"], target["lastError"]) == ("up", "")
    until(lambda: ask("query", query="goldwatch_evidence_log10")["result"], "the series are there")
    names = {name for name in ask("label/__name__/values") if name.startswith("goldwatch_")}
    assert {"goldwatch_build_info", "goldwatch_request_latency_seconds_bucket", "goldwatch_verdict"} <= names
    (active,) = ask("query", query='goldwatch_alert_active{severity="page"} == 1')["result"]
    assert {"watch": "digits", "target": "digits"}.items() <= active["metric"].items()
    (accuracy,) = ask("query", query='goldwatch_score_ratio{score="accuracy"}')["result"]
    assert float(accuracy["value"][1]) == 0.785
    (job,) = ask("query", query="up")["result"]
    assert job["value"][1] == "1"


def test_promtool_has_no_complaint(agent: Agent) -> None:
    exposition = agent.get("/metrics")[1].encode()
    command = [program("promtool"), "check", "metrics", "--extended"]
    checked = subprocess.run(command, input=exposition, capture_output=True, timeout=30, check=False)
    assert (checked.returncode, checked.stderr.decode()) == (0, ""), checked.stdout.decode()
