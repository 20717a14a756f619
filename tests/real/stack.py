"""A real Prometheus, a real Alertmanager and a webhook that remembers who was notified of what."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from .agent import free_port, until
from tests.loopback import serving
from tests.programs import program


@dataclass(frozen=True)
class Ask:
    """Asks the API of a Prometheus at `url`."""

    url: str

    def __call__(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=5) as answer:
            return json.load(answer)["data"]


@contextlib.contextmanager
def prometheus(
    folder: Path,
    scraped: int | Sequence[int],
    rules: Sequence[Path] = (),
    alertmanager: int | None = None,
    options: Sequence[str] = (),
) -> Iterator[Ask]:
    """Start Prometheus against an agent, or several, by their ports; give what asks its API."""
    targets = [f"127.0.0.1:{port}" for port in ([scraped] if isinstance(scraped, int) else scraped)]
    config: dict[str, Any] = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "goldwatch", "static_configs": [{"targets": targets}]}],
        "rule_files": [str(path) for path in rules],
    }
    if alertmanager is not None:
        told = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
        config["alerting"] = {"alertmanagers": told}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += options
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=log)

    def port() -> str | None:
        said = (folder / "prometheus.log").read_text()
        found = re.search(r"Listening on.*?127\.0\.0\.1:(\d+)", said)
        return found[1] if found and "Server is ready to receive web requests" in said else None

    try:
        yield Ask(f"http://127.0.0.1:{until(port, 'Prometheus is ready')}")
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def alertmanager(folder: Path, config: str) -> Iterator[int]:
    """Start Alertmanager with a config; give its port."""
    (folder / "alertmanager.yaml").write_text(config)
    port = free_port()
    command = [program("prometheus-alertmanager", "alertmanager"), f"--config.file={folder}/alertmanager.yaml"]
    command += [f"--storage.path={folder}/alertmanager", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen([*command, "--cluster.listen-address="], stderr=log, stdout=log)

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        until(ready, "Alertmanager is ready")
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def webhook() -> Iterator[tuple[int, list[tuple[str, dict[str, Any]]]]]:
    """Listen for notifications; give the port, and the notifications by path as they come."""
    came: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield server.server_port, came
