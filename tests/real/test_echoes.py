"""Servers that send back the secrets they were sent: in errors, names of tensors, metadata, pages and rejections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .agent import Agent, config, running
from tests.loopback import serving
from tests.otlp import receiver

pytestmark = pytest.mark.real

SECRETS = {name: f"{name}-0123456789abcdef" for name in ("TOKEN", "KEY", "BUSY", "PUSH")}
EVERY = {"every": "1s", "jitter": "0s", "deadline": "20s", "load": {"warmup": 0}}


class _Echo(BaseHTTPRequestHandler):
    """Answers metadata and errors with the headers of the request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        token, key = self.headers.get("Authorization", ""), self.headers.get("X-Key", "")
        if self.path == "/metrics":
            self._answer({"error": f"bad token {token}"}, 401)
        outputs = [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]
        outputs += [{"name": name, "datatype": "FP32", "shape": [-1]} for name in (key, token)]
        image = {"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}
        self._answer(
            {"name": f"digits {token}", "versions": [key], "platform": token[:-4], "version": f"v{token}"}
            | {"inputs": [image], "outputs": outputs}
        )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = [self.headers["X-Key"], self.headers["Authorization"].removeprefix("Bearer ")]
        # The first is a whole secret, the second is cut within one by the limit on the length of errors.
        self._answer({"error": f"no such key {said} {'.' * 100} {said[1]}"}, 400)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("X-Echo", self.headers.get("Authorization", ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # its clients end in mid-request
        with serving(server):
            yield f"http://127.0.0.1:{server.server_port}"


def targets(url: str) -> dict[str, Any]:
    plain: dict[str, Any] = {"probe": "open-inference", "url": url, "model": "digits", "token": "${TOKEN}"}
    plain["secret_headers"] = {"X-Key": "${KEY}"}
    busy = {
        "metric": "waiting",
        "metrics": f"{url}/metrics",
        "above": 5,
        "headers": {"Authorization": "Bearer ${BUSY}"},
    }
    return {"plain": plain, "busy": plain | {"busy": busy}}


def test_no_sink_has_a_secret_that_a_server_sends_back(tmp_path: Path, echo: str) -> None:
    with receiver("http") as collector:
        collector.rejected, collector.why = 1, f"invalid header {SECRETS['PUSH']}"
        otlp = {
            "endpoint": collector.url,
            "headers": {"X-Push": "${PUSH}"},
            "every": "1s",
            "traces": {"requests": "99%"},
        }
        asked = config(
            targets(echo),
            {name: EVERY | {"target": name} for name in ("plain", "busy")},
            exporters={"otlp": otlp},
            log={"format": "json", "level": "debug"},
        )
        with running(tmp_path, asked, **SECRETS) as agent:
            agent.until(lambda: all(len(agent.judgements(name)) >= 2 for name in ("plain", "busy")), "both replay")
            agent.until(agent.alerts, "an alert opens")
            agent.until(lambda: "invalid header" in agent.log, "the collector's reason is logged")
            pages = ["/metrics", "/", "/api/v1/watches", "/api/v1/alerts", "/alerts/1", "/api/v1/alerts/1"]
            pages += ["/watches/plain", "/api/v1/watches/plain/history"]
            sinks = {path: agent.get(path)[1] for path in pages}
            assert agent.end() == 0
            sinks["log"] = agent.log
            sinks |= {
                file.name: file.read_bytes().decode(errors="replace")
                for file in tmp_path.glob("goldwatch.db*")
                if file.stat().st_size
            }
            judged = agent.judgements("plain")[-1]
        sinks |= {"spans": str(collector.spans), "logs": str(collector.logs), "metrics": str(collector.metrics)}
        checked = check(agent)
    assert "no such key" in next(iter(judged["errors"])), "errors are kept"
    names = [each["name"] for each in judged["description"]["outputs"]]
    assert names == ["probabilities", "***", "Bearer ***"]
    assert collector.spans
    assert collector.logs
    for name, text in sinks.items() | {"check": checked}.items():
        assert text, name
        for secret in SECRETS.values():
            assert secret not in text, name
            assert secret[:12] not in text, f"the beginning of a secret is in {name}"
    assert "***" in sinks["/api/v1/watches"]


def check(agent: Agent) -> str:
    """Return all that a gate prints of the same targets."""
    command = [sys.executable, "-c", "from goldwatch.cli import main; main()", "check", str(agent.config_file)]
    ended = subprocess.run(command, env=os.environ | SECRETS, capture_output=True, text=True, check=False)
    assert ended.returncode, "its requests fail"
    return ended.stdout + ended.stderr
