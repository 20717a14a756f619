"""No Prometheus scrapes the agent: its metrics come over OTLP alone, and the rules for that path alert all the same.

A collector's Prometheus exporter is played by a small server, since Prometheus receives OTLP only from 2.47 on. It
translates names as OpenTelemetry's compatibility specification demands, and drops metrics that were not pushed again.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.loopback import serving as answering
from tests.otlp import Received, attributes, receiver
from tests.real.agent import DIGITS, Agent, config, serving, until
from tests.real.stack import Ask, prometheus

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXPIRE_S = 5.0
UNITS = {"s": "seconds", "J": "joules", "W": "watts", "g": "grams"}
POD = {"POD_NAMESPACE": "ml", "POD_NAME": "digits-0"}
QUICK = {"[10m]": "[10s]", "for: 300s": "for: 1s"}


def translated(metric: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name in Prometheus and the points of a metric. The text format has no place for native histograms."""
    kind = metric.WhichOneof("data")
    if kind == "exponential_histogram":
        return
    name = re.sub(r"[^a-zA-Z0-9]", "_", metric.name)
    main, _, per = metric.unit.partition("/")
    for word in (UNITS.get(main, ""), "per_second" if per == "s" else ""):
        name += f"_{word}" if word and not name.endswith(word) else ""
    name += "_ratio" if metric.unit == "1" and kind == "gauge" else ""
    name += "_total" if kind == "sum" and metric.sum.is_monotonic else ""
    yield name, getattr(metric, kind).data_points


def exposed(received: Received) -> str:
    """Return what a collector would expose of the last push."""
    about = received.resource.get("metrics", {})
    who = {
        "job": f"{about.get('service.namespace')}/{about.get('service.name')}",
        "instance": about.get("service.instance.id"),
    }
    lines = []
    for metric in received.metrics.values():
        for name, points in translated(metric):
            for point in points:
                labels = {re.sub(r"\W", "_", k): v for k, v in attributes(point).items()} | who
                value = point.as_double if point.HasField("as_double") else point.as_int
                inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
                lines.append(f"{name}{{{inside}}} {value}\n")
    return "".join(lines)


@contextlib.contextmanager
def collector(received: Received) -> Iterator[int]:
    """Expose what is received, on a port."""
    seen = [0, 0.0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if received.pushes != seen[0]:
                seen[:] = received.pushes, time.monotonic()
            body = exposed(received).encode() if time.monotonic() - seen[1] < EXPIRE_S else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, answering(server):
        yield server.server_port


def rules(folder: Path, config_file: Path) -> Path:
    """Let the command write the rules, as a user would, and make them less patient."""
    command = [sys.executable, "-c", "from goldwatch.cli import main; main()", "rules", str(config_file)]
    found = subprocess.run([*command, "--source", "otlp"], capture_output=True, text=True, check=True, timeout=120)
    text = found.stdout
    for old, new in QUICK.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "rules.yaml").write_text(text)
    return folder / "rules.yaml"


def firing(ask: Ask, name: str) -> list[dict[str, str]]:
    found = ask("query", query=f'ALERTS{{alertname="{name}", alertstate="firing"}}')["result"]
    return [each["metric"] for each in found]


def test_a_page_and_a_dead_agent_are_found_without_a_scrape(tmp_path: Path) -> None:
    agent = Agent(tmp_path, POD)
    with serving(tmp_path) as server, receiver("http") as received, collector(received) as port:
        target = {"probe": "open-inference", "url": server.address, "model": "digits"}
        watch = {"every": "1s", "jitter": "0s", "deadline": "30s"}
        exporters = {"otlp": {"endpoint": received.url, "every": "1s"}}
        agent.write(config({"digits": target}, {"digits": watch}, alerts={"rollout": "0s"}, exporters=exporters))
        try:
            agent.start()
            agent.wait_ready()
            file = rules(tmp_path, agent.config_file)
            with prometheus(tmp_path, port, [file], honor_labels=True) as ask:
                agent.until(lambda: len(agent.judgements()) >= 5, "it replays the sound model")
                before = received.resource["metrics"]["service.instance.id"]
                assert before == "ml.digits-0.goldwatch"
                assert not firing(ask, "GoldwatchAgentGone")

                server.serve(DIGITS / "digits-quantised.onnx")
                (page,) = agent.until(lambda: firing(ask, "GoldwatchPage"), "the page fires", 120)
                labels = {"namespace": "ml", "watch": "digits", "target": "digits", "model": "digits"}
                assert labels.items() <= page.items()
                assert "instance" not in page

                agent.kill()
                (gone,) = until(lambda: firing(ask, "GoldwatchAgentGone"), "the agent is missed", 120)
                assert (gone["instance"], gone["namespace"]) == (before, "ml")
                assert firing(ask, "GoldwatchPage"), "the model is as bad as before"

                received.resource.clear()
                agent.start()
                agent.until(lambda: not firing(ask, "GoldwatchAgentGone"), "the agent is back", 120)
                assert received.resource["metrics"]["service.instance.id"] == before
        finally:
            agent.clean_up()
