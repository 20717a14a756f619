"""Pushing to Grafana, against a server that keeps what it is sent and takes only what Grafana's schema knows."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import RuleGroup
from grafana_foundation_sdk.models.dashboard import Dashboard
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.commands import grafana
from goldwatch.core.event import Event
from goldwatch.core.judgement import Severity
from goldwatch.daemon.alert import Alert
from goldwatch.errors import GoldwatchError

from tests.loopback import serving

ROOT = Path(__file__).parents[2]
TOKEN = "glsa_s3cret"


class Grafana:
    """The part of Grafana's HTTP API that is used, with a memory. A request that breaks the schema is answered 400."""

    def __init__(self) -> None:
        self.url = ""
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []
        self.writes: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if method != "GET":
            self.writes.append(f"{method} {path}")
        for pattern, handler in (
            (r"/api/folders(?:/(\w+))?", self._folder),
            (r"/api/dashboards/(?:db|uid/([\w-]+))", self._dashboard),
            (r"/api/v1/provisioning/folder/goldwatch/rule-groups/([\w%-]+)", self._group),
            (r"/api/annotations(?:/(\d+))?", self._annotation),
        ):
            if found := re.fullmatch(pattern, path):
                try:
                    return handler(method, found[1], query, body)
                except (AssertionError, KeyError, TypeError) as error:
                    return 400, {"message": f"bad request data: {error!r}"}
        return 404, {"message": f"no route {path}"}

    def _folder(self, method: str, uid: str, query: Any, body: Any) -> tuple[int, Any]:
        if method == "GET":
            return (200, self.folders[uid]) if uid in self.folders else (404, {"message": "folder not found"})
        assert method == "POST"
        assert body.keys() <= {"uid", "title", "parentUid", "description"}
        assert body["uid"] not in self.folders, "412"
        self.folders[body["uid"]] = body | {"id": 1}
        return 200, self.folders[body["uid"]]

    def _dashboard(self, method: str, uid: str, query: Any, body: Any) -> tuple[int, Any]:
        if method == "GET":
            found = self.dashboards.get(uid)
            return (200, {"dashboard": found, "meta": {}}) if found else (404, {"message": "not found"})
        assert method == "POST"
        assert body.keys() <= {"dashboard", "folderUid", "folderId", "message", "overwrite"}
        assert body["folderUid"] in self.folders
        board = {k: v for k, v in body["dashboard"].items() if k != "id"}
        known = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
        assert known == board, "a field that the schema does not know"
        self.dashboards[board["uid"]] = board | {"id": 7, "version": 1}
        return 200, {"uid": board["uid"], "status": "success"}

    def _group(self, method: str, name: str, query: Any, body: Any) -> tuple[int, Any]:
        if method == "GET":
            return (200, self.groups[name]) if name in self.groups else (404, {"message": "not found"})
        assert method == "PUT"
        assert isinstance(body["interval"], int)
        known = json.loads(JSONEncoder().encode(RuleGroup.from_json(body)))
        assert_within(body, known)
        for rule in body["rules"]:
            assert rule["noDataState"] in ("Alerting", "NoData", "OK")
            assert rule["execErrState"] in ("OK", "Alerting", "Error")
            assert {query["refId"] for query in rule["data"]} >= {rule["condition"]}
            assert len(rule["title"]) <= 190
            assert len(rule["uid"]) <= 40
        added = {"id": 3, "updated": "2026-11-25T00:00:00Z", "provenance": "api", "isPaused": False}
        self.groups[name] = body | {"rules": [rule | added for rule in body["rules"]]}
        return 200, self.groups[name]

    def _annotation(self, method: str, number: str | None, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if method == "GET":
            begins, ends = int(query["from"][0]), int(query["to"][0])
            wanted = set(query["tags"])
            return 200, [a for a in self.annotations if begins <= a["time"] <= ends and wanted <= set(a["tags"])]
        assert body.keys() <= {"dashboardUID", "panelId", "time", "timeEnd", "tags", "text"}
        if method == "POST":
            assert isinstance(body["time"], int)
            self.annotations.append(body | {"id": len(self.annotations) + 1})
            return 200, {"message": "Annotation added", "id": len(self.annotations)}
        assert method == "PATCH"
        self.annotations[int(str(number)) - 1] |= body
        return 200, {"message": "Annotation patched"}


def assert_within(sent: Any, known: Any) -> None:
    """Fail if the schema's types have lost something of what was sent."""
    if isinstance(sent, dict):
        for key, value in sent.items():
            assert key in known, f"{key} is not in the schema"
            assert_within(value, known[key])
    elif isinstance(sent, list):
        for a, b in zip(sent, known, strict=True):
            assert_within(a, b)


@pytest.fixture
def server() -> Iterator[Grafana]:
    kept = Grafana()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            parts = urlsplit(self.path)
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, answer = 401, {"message": "Invalid API key"}
            else:
                status, answer = kept.answer(self.command, parts.path, parse_qs(parts.query), body)
            told = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - the names of http.server

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        kept.url = f"http://127.0.0.1:{http.server_port}"
        with serving(http):
            yield kept


def push(server: Grafana, *arguments: str, token: str = TOKEN, answer: str = "") -> tuple[int, str]:
    command = ["dashboards", "push", str(ROOT / "examples/digits.yaml"), "--url", server.url, *arguments]
    found = CliRunner().invoke(app, command, env={"GRAFANA_TOKEN": token}, input=answer)
    return found.exit_code, found.output


def test_all_of_it_is_brought_there_and_the_second_time_nothing(server: Grafana) -> None:
    code, told = push(server, "--yes", "--label", "team=digits")
    assert code == 0, told
    assert set(server.folders) == {"goldwatch"}
    assert set(server.dashboards) == {path.stem for path in (ROOT / "dashboards/json").glob("*.json")}
    groups = {f"digits-goldwatch-{name}" for name in ("verdicts", "agent", "latency")}
    assert set(server.groups) == groups, "named after the config"
    rules = [rule for group in server.groups.values() for rule in group["rules"]]
    assert all(rule["labels"]["team"] == "digits" and rule["folderUID"] == "goldwatch" for rule in rules)
    assert "create dashboard goldwatch / Fleet" in told

    writes = list(server.writes)
    code, told = push(server, "--yes", "--label", "team=digits")
    assert (code, told) == (0, "0 changes: all is there\n")
    assert server.writes == writes


def test_rules_of_another_config_are_not_replaced_unasked(server: Grafana, tmp_path: Path) -> None:
    other = tmp_path / "fraud.yaml"
    text = (ROOT / "examples/digits.yaml").read_text().replace("../agent", f"{ROOT}/agent")
    named = "watches:\n  fraud:\n    target: digits\n    golden: digits\n"
    other.write_text(text.replace("watches:\n  digits:\n", named))
    assert push(server, "--yes", "--name", "ours")[0] == 0
    writes = list(server.writes)
    again = ["dashboards", "push", str(other), "--url", server.url, "--yes", "--name", "ours"]
    refused = CliRunner().invoke(app, again, env={"GRAFANA_TOKEN": TOKEN})
    assert refused.exit_code == 2, refused.output
    assert (
        'the rules "ours-goldwatch-verdicts" at this Grafana watch digits, not fraud: they belong to another config; '
        "give these another --name, or write --replace"
    ) in refused.output
    assert server.writes == writes
    assert CliRunner().invoke(app, [*again, "--replace"], env={"GRAFANA_TOKEN": TOKEN}).exit_code == 0
    assert push(server, "--yes")[0] == 0, "another name is another set of rules"
    assert {name.removesuffix("-goldwatch-agent") for name in server.groups if name.endswith("agent")} == {
        "ours",
        "digits",
    }


def test_a_dry_run_and_a_no_change_nothing(server: Grafana) -> None:
    code, told = push(server, "--dry-run")
    assert (code, server.writes) == (0, [])
    assert "9 changes to make" in told
    code, _ = push(server, answer="n\n")
    assert (code, server.writes) == (0, [])


def test_what_somebody_changed_is_shown_and_mended(server: Grafana) -> None:
    push(server, "--yes")
    server.dashboards["goldwatch-fleet"]["panels"][0]["title"] = "Mine"
    server.groups["digits-goldwatch-verdicts"]["rules"][0]["for"] = "1h"
    code, told = push(server, "--yes")
    assert code == 0
    assert '-   "title": "Mine"' in told
    assert '+   "title": "Gone"' in told
    assert re.search(r'-\s+"for": "1h"', told)
    assert push(server, "--dry-run")[1] == "0 changes: all is there\n"


def test_alerts_and_deployments_are_marked_once_and_their_end_is_added(server: Grafana) -> None:
    api = grafana.connect(server.url, TOKEN)
    opened = Alert(7, "fraud", "eu", Severity.PAGE, ("worse",), 1000.0, "[page] eu is worse: 41 of 2,000\nmore")
    event = Event(990.0, "eu", "version", "v17", "v18")
    grafana.apply(grafana.differences(api, [], [], list(grafana.marks_of([opened], [event]))))
    texts = [annotation["text"] for annotation in server.annotations]
    assert texts == ["[page] eu is worse: 41 of 2,000", "eu: version v17 -> v18"]
    assert {"goldwatch", "alert", "watch:fraud", "severity:page"} <= set(server.annotations[0]["tags"])

    assert grafana.differences(api, [], [], list(grafana.marks_of([opened], [event]))) == []
    closed = Alert(7, "fraud", "eu", Severity.PAGE, ("worse",), 1000.0, "[page] eu is worse: 41 of 2,000", 1500.0)
    grafana.apply(grafana.differences(api, [], [], list(grafana.marks_of([closed], [event]))))
    assert [(a["time"], a["timeEnd"]) for a in server.annotations] == [(1_000_000, 1_500_000), (990_000, 990_000)]


def test_a_wrong_token_is_one_clear_error_without_the_token(server: Grafana) -> None:
    code, told = push(server, "--yes", token="glsa_wrong")
    assert code == 2
    assert told == "Grafana: it does not know the token; give one of a service account as GRAFANA_TOKEN\n"


def test_nobody_there_is_one_clear_error() -> None:
    nobody = Grafana()
    nobody.url = "http://127.0.0.1:9"
    code, told = push(nobody, "--yes")
    assert code == 2
    assert told.startswith("Grafana: ")
    assert TOKEN not in told


def test_an_address_that_is_none_and_a_broken_ledger_are_clear_errors(tmp_path: Path) -> None:
    nowhere = Grafana()
    nowhere.url = "grafana.example"
    told = '"grafana.example" is not the address of a Grafana; write http://HOST:PORT as --url or GRAFANA_URL\n'
    assert push(nowhere, "--yes") == (2, told)
    (tmp_path / "goldwatch.db").write_text("not a database")
    config = tmp_path / "goldwatch.yaml"
    config.write_text("targets: {m: {probe: onnx-runtime, file: m.onnx}}\ngolden: {g: g}\nwatches: {w: {}}\n")
    found = CliRunner().invoke(app, ["dashboards", "push", str(config)])
    assert found.exit_code == 2
    assert found.stderr == f"{tmp_path}/goldwatch.db: not a usable ledger: file is not a database\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grafana_client", None)
    with pytest.raises(GoldwatchError, match=r"pip install .*\[grafana\]'"):
        grafana.connect("http://localhost", "")
