"""A real Prometheus scrapes a real agent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app

from .agent import DIGITS, Agent, config, running, until
from .stack import Ask, prometheus
from tests.programs import program

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    target = {"probe": "onnx-runtime", "file": str(DIGITS / "digits-quantised.onnx"), "threads": 1, "warm": True}
    watch = {"every": "1s", "jitter": "0s", "deadline": "30s"}
    with running(tmp_path_factory.mktemp("agent"), config({"digits": target}, {"digits": watch})) as agent:
        agent.until(lambda: agent.value("goldwatch_alert_active", severity="page") == 1, "an alert opens")
        yield agent


@pytest.fixture(scope="module")
def ask(agent: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), agent.port) as ask:
        yield ask


def test_the_scrape_succeeds_and_the_series_are_there(ask: Ask) -> None:
    def found(query: str) -> Any:
        """Return the one series; a scrape that a machine which stalls has missed takes it away for a moment."""
        (series,) = until(lambda: ask("query", query=query)["result"], query)
        return series

    def scraped() -> bool:
        (target,) = ask("targets")["activeTargets"] or [{"health": "unknown", "lastError": ""}]
        seen.append(target["lastError"])
        return bool(target["health"] == "up")

    seen: list[str] = []
    until(scraped, f"Prometheus scrapes: {seen}")
    until(lambda: ask("query", query="goldwatch_evidence_log10")["result"], "the series are there")
    names = {name for name in ask("label/__name__/values") if name.startswith("goldwatch_")}
    assert {"goldwatch_build_info", "goldwatch_request_latency_seconds_bucket", "goldwatch_verdict"} <= names
    active = found('goldwatch_alert_active{severity="page"} == 1')
    assert {"watch": "digits", "target": "digits"}.items() <= active["metric"].items()
    accuracy = found('goldwatch_score{score="accuracy"}')
    assert float(accuracy["value"][1]) == 0.785
    found("up == 1")


def test_the_fleet_is_ranked_by_what_prometheus_knows(ask: Ask) -> None:
    until(lambda: ask("query", query="goldwatch_evidence_threshold_log10")["result"], "the series are there")
    found = CliRunner().invoke(app, ["fleet", ask.url])
    assert found.exit_code == 0, found.output
    first, _, *rows = found.stdout.splitlines()
    assert first.endswith("of 1 target, 1 stands out")
    assert rows[0].split()[:5] == ["stands", "out", "digits", "digits", "worse"], found.stdout


def test_promtool_has_no_complaint(agent: Agent) -> None:
    exposition = agent.get("/metrics")[1].encode()
    command = [program("promtool"), "check", "metrics", "--extended"]
    checked = subprocess.run(command, input=exposition, capture_output=True, timeout=30, check=False)
    assert (checked.returncode, checked.stderr.decode()) == (0, ""), checked.stdout.decode()
