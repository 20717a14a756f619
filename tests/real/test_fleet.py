"""`goldwatch fleet` over a real Prometheus with more monitors than one bounded answer holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch.cli.app import app

from .agent import until
from .stack import Ask, prometheus
from tests.loopback import serving

pytestmark = pytest.mark.real

MONITORS = 10_000
THRESHOLD = 7.7
KINDS = ("worse", "failing", "slow", "changed")
LOUD = {17: 12.5, 4711: 13.0}


def exposition() -> bytes:
    """Return evidence and threshold of each monitor, as agents export them; two stand out, some are suspect."""
    evidence = np.minimum(np.random.default_rng(1).exponential(1 / 1.5, MONITORS), 5.0)
    lines = []
    for i, value in enumerate(evidence.tolist()):
        labels = f'{{namespace="team-{i // 400}",job="goldwatch",watch="w{i // 4 % 4}",target="t{i // 4}"'
        labels += f',monitor="{KINDS[i % 4]}"}}'
        lines += [
            f"goldwatch_evidence_log10{labels} {LOUD.get(i, value)}",
            f"goldwatch_evidence_threshold_log10{labels} {THRESHOLD}",
        ]
    return ("\n".join(lines) + "\n").encode()


class _Agents(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    handler = type("Agents", (_Agents,), {"body": exposition()})
    slowly = {"scrape_interval": "5s", "scrape_timeout": "5s"}
    folder = tmp_path_factory.mktemp("prometheus")
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as agents,
        serving(agents),
        prometheus(folder, agents.server_port, honor_labels=True, scrape=slowly) as ask,
    ):
        until(lambda: ask.result("count(goldwatch_evidence_threshold_log10)"), "the monitors are scraped")
        yield ask


def fleet(ask: Ask, *options: str) -> Any:
    found = CliRunner().invoke(app, ["fleet", ask.url, *options])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_ranking_of_ten_thousand_monitors_is_that_of_all_of_them(ask: Ask) -> None:
    lines = fleet(ask, "--limit", "3").splitlines()
    assert lines[0] == "10,000 monitors of 2,500 targets, 2 stand out"
    assert [line.split() for line in lines[2:4]] == [
        ["stands", "out", "team-11/t1177", "w1", "changed", "13.0", "7.7"],
        ["stands", "out", "team-0/t4", "w0", "failing", "12.5", "7.7"],
    ]
    assert all(line.split()[0] == "suspect" for line in lines[4:5])
    assert lines[-1].endswith("more with less evidence; --limit shows more")


def test_json_has_the_counts_and_the_monitors_that_are_shown(ask: Ask) -> None:
    found = json.loads(fleet(ask, "--json", "--limit", "1000"))
    assert (found["total"], found["targets"], found["stand_out"], found["left_out"]) == (MONITORS, 2500, 2, 0)
    assert found["suspects"] == len(found["monitors"])
    assert [each["stands_out"] for each in found["monitors"]].count(True) == 2
    assert all(each["evidence"] >= each["threshold"] / 2 for each in found["monitors"])
