"""A real Prometheus, a real Alertmanager and a webhook that remembers its notifications."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from .agent import ROOT, free_port, until
from tests.loopback import serving
from tests.programs import program

EXAMPLE = ROOT / "dashboards/alertmanager/alertmanager.yaml"
RULES = ROOT / "dashboards/rules/prometheus.yaml"
_QUICK = {
    "group_wait: 15s": "group_wait: 1s",
    "group_interval: 5m": "group_interval: 1s",
    "127.0.0.1:9999": "127.0.0.1:PORT",
    "- weekdays: ['monday:friday']\n        times: [{start_time: '08:00', end_time: '18:00'}] #": "HOURS #",
    "- name: nobody #": '- name: nobody\n    webhook_configs: [{url: "http://127.0.0.1:PORT/nobody"}] #',
}
ALWAYS, NEVER = "- times: [{start_time: '00:00', end_time: '24:00'}]", "- years: ['1999']"


def quick_example(port: int, hours: str = ALWAYS) -> str:
    """Return the example for Alertmanager as it ships, with the webhook's port, shorter waits and working hours."""
    text = EXAMPLE.read_text()
    for old, new in _QUICK.items():
        assert old in text, old
        text = text.replace(old, new)
    return text.replace("PORT", str(port)).replace("HOURS", hours)


def quick_rules(folder: Path, times: int) -> Path:
    """Write the rules as they ship, with waits of minutes divided by `times`; return the file.

    GoldwatchNotReplaying keeps its minute: within it the agent may report the same first.
    """
    rules = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for key in rule.keys() & {"for", "keep_firing_for"}:
            wait_s = int(rule[key].removesuffix("s"))
            rule[key] = rule[key] if wait_s <= 60 else f"{wait_s * 1000 // times}ms"
    (folder / "quick-rules.yaml").write_text(yaml.safe_dump(rules))
    return folder / "quick-rules.yaml"


@dataclass(frozen=True)
class Ask:
    """Asks the API of a Prometheus at `url`."""

    url: str

    def __call__(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=5) as answer:
            return json.load(answer)["data"]

    def result(self, query: str) -> list[dict[str, Any]]:
        """Return the answer to an instant query: dicts with `metric` and `value`."""
        found: list[dict[str, Any]] = self("query", query=query)["result"]
        return found


@contextlib.contextmanager
def prometheus(
    folder: Path,
    scraped: int | Sequence[int] | Path,
    rules: Sequence[Path] = (),
    alertmanager: int | None = None,
    options: Sequence[str] = (),
    *,
    honor_labels: bool = False,
    scrape: Mapping[str, Any] = {},
) -> Iterator[Ask]:
    """Start Prometheus against an agent, or several, by their ports or by a file of targets; give what asks its API.

    A second one in the same folder goes on where the first ended. With `honor_labels` the job and instance of a series
    are those that it is exposed with, as by a collector. `scrape` has more keys of the scrape config.
    """
    agents: dict[str, Any] = {"file_sd_configs": [{"files": [str(scraped)]}]}
    if not isinstance(scraped, Path):
        targets = [f"127.0.0.1:{port}" for port in ([scraped] if isinstance(scraped, int) else scraped)]
        agents = {"static_configs": [{"targets": targets}]}
    scraping = {"scrape_interval": "500ms", "scrape_timeout": "400ms"}
    if isinstance(scraped, Path):  # agents are restarted: on a busy machine none must seem to be gone
        scraping = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config: dict[str, Any] = {
        "global": scraping | {"evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "goldwatch", "honor_labels": honor_labels, **agents, **scrape}],
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


@dataclass(frozen=True)
class Notification:
    """One alert of a notification that reached the webhook."""

    receiver: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fingerprint: str

    @property
    def short(self) -> tuple[str, str, str]:
        return self.receiver, self.labels["alertname"], self.status


@dataclass
class OnCall:
    """The shipped rules and the example for Alertmanager at work, with the agents that are discovered."""

    folder: Path
    alertmanager: int
    came: list[tuple[str, dict[str, Any]]]
    rules: Path
    discovered: dict[int, dict[str, str]] = field(default_factory=dict)
    _ending: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def targets(self) -> Path:
        return self.folder / "targets.json"

    def start(self) -> None:
        """Start Prometheus, or start it again where it ended."""
        self._ending.close()
        self._write()
        self.ask = self._ending.enter_context(prometheus(self.folder, self.targets, [self.rules], self.alertmanager))

    def end(self) -> None:
        self._ending.close()

    def discover(self, port: int, namespace: str, **labels: str) -> None:
        """Let service discovery find an agent."""
        self.discovered[port] = {"namespace": namespace, "job": "goldwatch"} | labels
        self._write()

    def lose(self, port: int) -> None:
        """Let service discovery find it no longer; return when Prometheus has ceased to scrape it.

        Prometheus takes up changes every 5 s: an agent that is ended before would be one that does not answer.
        """
        del self.discovered[port]
        self._write()
        until(lambda: f"127.0.0.1:{port}" not in self._scraped(), f"{port} is no longer scraped")

    def post(self, *alerts: Mapping[str, str]) -> None:
        """Send alerts to Alertmanager as another Prometheus would, by their labels."""
        body = json.dumps([{"labels": labels} for labels in alerts]).encode()
        url, kind = f"http://127.0.0.1:{self.alertmanager}/api/v2/alerts", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=5) as answer:
            assert answer.status == 200

    def notifications(self, namespace: str) -> list[Notification]:
        """Return what reached the webhook about a namespace, in the order of time."""
        found = [
            Notification(path[1:], each["status"], each["labels"], each["annotations"], each["fingerprint"])
            for path, notification in list(self.came)
            for each in notification["alerts"]
        ]
        return [each for each in found if each.labels.get("namespace", "") == namespace]

    def until_notified(self, namespace: str, *short: tuple[str, str, str], limit_s: float = 90.0) -> list[Notification]:
        """Wait until these notifications have come, and return all about the namespace."""
        wanted = set(short)

        def found() -> list[Notification] | None:
            told = self.notifications(namespace)
            return told if wanted <= {each.short for each in told} else None

        try:
            return until(found, f"{namespace}: {short}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; came {[each.short for each in self.notifications(namespace)]}") from None

    def until_evaluated(self, times: int = 5) -> None:
        """Wait until all rules have been evaluated some times more."""
        after = time.time()
        for _ in range(times):
            until(lambda after=after: self._evaluated() > after, "the rules are evaluated")  # type: ignore[misc]
            after = time.time()

    def _scraped(self) -> set[str]:
        """Return the addresses that Prometheus scrapes."""
        return {each["labels"]["instance"] for each in self.ask("targets", state="active")["activeTargets"]}

    def _evaluated(self) -> float:
        """Return the Unix time at which the rules that were evaluated first began."""
        groups = self.ask("rules")["groups"]
        return min(_unix(group["lastEvaluation"]) for group in groups)

    def _write(self) -> None:
        found = [{"targets": [f"127.0.0.1:{port}"], "labels": labels} for port, labels in self.discovered.items()]
        copy = self.targets.with_suffix(".next")
        copy.write_text(json.dumps(found))
        copy.rename(self.targets)


def _unix(written: str) -> float:
    """Return a time of Go, which has nanoseconds, as Unix seconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", written)).timestamp()


@contextlib.contextmanager
def on_call(folder: Path, hours: str = ALWAYS, times: int = 50) -> Iterator[OnCall]:
    """Start Alertmanager and Prometheus with what ships, and a webhook."""
    with webhook() as (port, came), alertmanager(folder, quick_example(port, hours)) as alerts:
        found = OnCall(folder, alerts, came, quick_rules(folder, times))
        try:
            found.start()
            yield found
        finally:
            found.end()
