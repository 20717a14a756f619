"""The agent's endpoints, asked over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from goldwatch.config import load
from goldwatch.core.judgement import State
from goldwatch.core.kinds import KINDS
from goldwatch.core.monitors.kind import MonitorKind
from goldwatch.daemon.alert import advance
from goldwatch.daemon.alert_explanation import Surroundings
from goldwatch.daemon.endpoints import Endpoints
from goldwatch.daemon.in_force import InForce, assignments
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.status import Status
from goldwatch.daemon.status_page import Query, status_page
from goldwatch.golden.facts import GoldenFacts
from goldwatch.http_serving import everywhere

from tests.builders import description, difference, judgement, verdict

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def ready() -> None:
    return None


def ask(
    path: str,
    method: str = "GET",
    accept: str = "*/*",
    render: Callable[[str], tuple[bytes, str]] = lambda _: (b"up 1\n", TEXT),
    not_ready_because: Callable[[], str | None] = ready,
    status: Status | None = None,
) -> tuple[int, str, str]:
    """Serve, ask once, and return the status, the content type and the body."""

    async def served() -> tuple[int, str, str]:
        endpoints = Endpoints(render, not_ready_because, lambda: status)
        port = await endpoints.start("127.0.0.1", 0)
        try:
            async with (
                aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Accept": accept}) as session,
                session.request(method, path) as answer,
            ):
                return answer.status, answer.headers["Content-Type"], await answer.text()
        finally:
            await endpoints.stop()

    return asyncio.run(served())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_without_a_host_it_listens_on_all_addresses(address: str) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
            tried.bind((address, 0))
    except OSError:
        pytest.skip(f"this machine has no {address}")

    async def served() -> int:
        endpoints = Endpoints(lambda _: (b"up 1\n", TEXT), ready, lambda: None)
        port = await endpoints.start("", 0)
        try:
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            return port
        finally:
            await endpoints.stop()

    assert asyncio.run(served()) > 0


def test_a_port_that_is_taken_on_all_addresses_is_an_error() -> None:
    with everywhere(0) as taken:
        taken.listen()
        with pytest.raises(OSError, match="Address already in use"):
            asyncio.run(Endpoints(lambda _: (b"", TEXT), ready, lambda: None).start("", taken.getsockname()[1]))


def test_metrics_are_as_they_were_rendered() -> None:
    assert ask("/metrics") == (200, TEXT, "up 1\n")


def test_metrics_are_rendered_as_the_scraper_wants_them() -> None:
    openmetrics = "application/openmetrics-text; version=1.0.0"
    found = ask("/metrics", accept=openmetrics, render=lambda accept: (accept.encode(), openmetrics))
    assert found == (200, openmetrics, openmetrics)


def test_it_is_alive_even_when_it_is_not_ready() -> None:
    status, _, body = ask("/healthz", not_ready_because=lambda: "no config is in force yet")
    assert (status, body) == (200, "ok\n")


@pytest.mark.parametrize("kind", [*KINDS, MonitorKind("page"), MonitorKind("ticket")], ids=lambda kind: kind.name)
def test_the_runbook_of_every_monitor_is_served(kind: MonitorKind) -> None:
    status, content_type, body = ask(f"/runbooks/{kind.name}")
    assert (status, content_type) == (200, "text/plain; charset=utf-8")
    assert "**Check first.**" in body


@pytest.mark.parametrize("name", ["../README", "%2e%2e%2fREADME", "nothing", "a" * 41])
def test_nothing_else_is_served_as_a_runbook(name: str) -> None:
    assert ask(f"/runbooks/{name}")[0] == 404


def test_it_is_ready() -> None:
    status, _, body = ask("/readyz")
    assert (status, body) == (200, "ok\n")


def test_it_says_why_it_is_not_ready() -> None:
    status, _, body = ask("/readyz", not_ready_because=lambda: "no config is in force yet")
    assert (status, body) == (503, "no config is in force yet\n")


def test_before_there_is_a_ledger_it_says_so() -> None:
    for path in ("/", "/api/v1/watches", "/api/v1/alerts", "/api/v1/alerts/1"):
        assert ask(path)[0] == 503


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/admin", 404), ("POST", "/metrics", 405)])
def test_it_serves_nothing_else_and_changes_nothing(method: str, path: str, status: int) -> None:
    assert ask(path, method)[0] == status


def test_a_port_in_use_is_an_error_and_nothing_stays_open() -> None:
    async def start(port: int) -> None:
        endpoints = Endpoints(lambda _: (b"", TEXT), ready, lambda: None)
        with pytest.raises(OSError, match="address already in use"):
            await endpoints.start("127.0.0.1", port)
        await endpoints.stop()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(start(taken.getsockname()[1]))


def test_the_api_and_the_page_tell_what_the_ledger_holds(status: Status) -> None:
    code, kind, body = ask("/api/v1/watches", status=status)
    assert (code, kind) == (200, "application/json; charset=utf-8")
    told = json.loads(body)
    assert told["states"] == {"alerting": 1, "unknown": 1, "suspect": 0, "recovered": 0, "steady": 0}
    assert told["slots_in_use"] == 0.934
    assert [(w["watch"], w["state"], w["alert"]) for w in told["watches"]] == [
        ("digits", "alerting", 1),
        ("other", "unknown", None),
    ]
    (alert,) = json.loads(ask("/api/v1/alerts", status=status)[2])["alerts"]
    assert (alert["number"], alert["calls"], alert["monitors"]) == (1, True, ["worse"])
    whole = json.loads(ask("/api/v1/alerts/1", status=status)[2])
    assert whole["explanation"]["difference"]["flips"][0]["example"] == 0
    assert ask("/api/v1/alerts/2", status=status)[::2] == (404, "there is no alert 2\n")
    code, kind, page = ask("/", status=status)
    assert (code, kind) == (200, "text/html; charset=utf-8")
    assert "replay slots 93% in use" in page
    assert page.index("PAGE") < page.index("alert 1") < page.index("other")
    assert "50 of 600 golden examples now wrong" in ask("/alerts/1", status=status)[2]


@pytest.mark.parametrize(
    "path", ["/api/v1/watches", "/api/v1/watches/digits/history", "/api/v1/alerts", "/api/v1/alerts/1"]
)
def test_a_document_that_the_client_has_is_not_sent_again(status: Status, path: str) -> None:
    clock = iter(range(1_800_000_060, 1_800_000_100, 2))
    status._clock = lambda: float(next(clock))
    endpoints = Endpoints(lambda _: (b"", TEXT), ready, lambda: status)

    async def served() -> list[tuple[int, str, str]]:
        port = await endpoints.start("127.0.0.1", 0)
        found = []
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get(path) as answer:
                tag = answer.headers["ETag"]
            for known in (tag, f'"other", {tag.removeprefix("W/")}', "*", '"other"', "nonsense"):
                async with session.get(path, headers={"If-None-Match": known}) as answer:
                    found.append((answer.status, answer.headers["ETag"], await answer.text()))
                    assert answer.headers["ETag"] == tag, "only `at` differs"
        await endpoints.stop()
        return found

    found = asyncio.run(served())
    assert [code for code, _, _ in found] == [304, 304, 304, 200, 200]
    assert [not text for _, _, text in found] == [True, True, True, False, False]


def test_the_page_counts_all_open_alerts_and_says_where_none_calls(status: Status) -> None:
    told, alerts = status.watches(), status.alerts()["alerts"]
    many = told | {"watches": [dict(told["watches"][0], watch=f"w{n}", alert=n) for n in range(150)]}
    page = status_page(many, [dict(alerts[0], number=n) for n in range(100)], Query())
    assert "and 130 more, at their watches below" in page
    silenced = [dict(each, silenced="at night") for each in told["watches"] if each["alert"] is not None]
    page = status_page(told | {"watches": silenced}, [dict(alerts[0], silenced_why="at night")], Query())
    assert "No alert calls anyone: 1 silenced" in page


def test_the_page_filters_and_orders_on_the_server(status: Status) -> None:
    def rows(query: str) -> list[str]:
        page = ask(f"/?{query}", status=status)[2]
        return re.findall(r'<tr role="row"><th scope="row" role="rowheader"><b><a href="watches/(\w+)', page)

    assert rows("") == ["digits", "other"]
    assert rows("state=unknown") == rows("q=OTHER") == ["other"]
    assert rows("state=page&q=open-inf&order=name") == ["digits"]
    assert rows("order=replayed") == ["other", "digits"]
    assert rows("q=nothing") == rows("page=2") == []


@pytest.mark.parametrize("query", ["state=good", "order=up", "page=0", "page=x", f"q={'n' * 201}", "refresh=3"])
def test_a_wrong_query_of_the_page_is_refused(status: Status, query: str) -> None:
    assert ask(f"/?{query}", status=status)[0] == 400


@pytest.mark.parametrize("text", ['"><script>alert(1)</script>', "' onfocus='x"])
def test_what_is_looked_for_is_escaped(status: Status, text: str) -> None:
    page = ask(f"/?{urlencode({'q': text})}", status=status)[2]
    assert escape(text) in page
    assert text not in page


def test_whatever_comes_from_outside_is_escaped(status: Status) -> None:
    for path in ("/", "/alerts/1", "/watches/digits"):
        page = ask(path, status=status)[2]
        assert "&lt;script&gt;" in page
        assert "<script" not in page


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", "1e2", "x", "99999999999", "", "0000000019999999999", "000000001" + "0" * 5000]
)
def test_a_limit_that_is_none_is_refused(status: Status, limit: str) -> None:
    assert ask(f"/api/v1/alerts?limit={limit}", status=status)[0] == 400


def test_a_number_that_json_cannot_hold_is_null(status: Status) -> None:
    assert json.loads(ask("/api/v1/watches", status=status)[2])["watches"][0]["throughput"] is None


def test_a_ledger_that_is_gone_is_one_clear_answer(tmp_path: Path) -> None:
    code, _, body = ask("/", status=Status(tmp_path / "none.db", lambda: IN_FORCE))
    assert (code, "no such ledger" in body) == (503, True)


def test_fewer_are_told_where_fewer_are_asked_for(status: Status) -> None:
    told = json.loads(ask("/api/v1/watches?limit=1", status=status)[2])
    assert (told["total"], [w["watch"] for w in told["watches"]]) == (2, ["digits"])


FACTS = GoldenFacts("somewhere", "digits", "sha256:00", "00", "classification", 600, True, (), ())
CONFIG = """\
targets: {served: {probe: open-inference, url: "http://localhost:8000", model: digits}}
golden: {digits: golden}
watches: {digits: {every: 5m}, other: {every: 5m}}
"""


def in_force() -> InForce:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "goldwatch.yaml"
        path.write_text(CONFIG)
        config = load(path)
    return InForce(config, tuple(assignments(config, {"digits": FACTS})))


IN_FORCE = in_force()


@pytest.fixture
def status(tmp_path: Path) -> Iterator[Status]:
    """A ledger of one alerting watch, of a model with an unfriendly name, and one that has never replayed."""
    worse = verdict("worse", State.ALERTING, evidence=7.9, since=1_800_000_000.0)
    told = judgement(
        verdicts=(worse,),
        difference=difference(),
        description=description(model="<script>alert(1)</script>"),
        errors={"<script>alert(2)</script>": 3},
        throughput=float("nan"),
    )
    alert = advance(None, told, Surroundings(None, [], "1 point", "1 false alarm a year"), 1)
    with Ledger(tmp_path / "goldwatch.db") as ledger:
        ledger.record(told, {}, alert)
        status = Status(tmp_path / "goldwatch.db", lambda: IN_FORCE, lambda: 1_800_000_060.0, lambda: 0.934)
        yield status
        status.close()
