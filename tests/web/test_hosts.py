"""A page of a stranger's site cannot read the agent through a name of its own; all other clients can use any name."""

from __future__ import annotations

import asyncio
import platform
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.config import Defaults, Prometheus
from goldwatch.daemon.access import Access
from goldwatch.daemon.endpoints import Endpoints
from goldwatch.daemon.hosts import Hosts

from tests.real.browser import browser

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140 Safari/537.36",
    "Accept": "*/*",
    "Accept-Language": "en-US,en;q=0.9",
    "Accept-Encoding": "gzip, deflate",
}
OTHERS = {
    "Prometheus": {"User-Agent": "Prometheus/3.5.0", "Accept": "text/plain", "Accept-Encoding": "gzip"},
    "kubelet": {"User-Agent": "kube-probe/1.34", "Accept": "*/*", "Connection": "close"},
    "curl": {"User-Agent": "curl/8.5.0", "Accept": "*/*"},
    "Knative": {"User-Agent": "Go-http-client/1.1", "ce-type": "x", "Traceparent": "00-0-0-00"},
}
TRUSTED = [
    "127.0.0.1:9870", "10.1.2.3", "[::1]:9870", "[fd00::1]", "localhost:9870", "LOCALHOST", "app.localhost",
    "goldwatch", "goldwatch:9870", "goldwatch.models.svc", "goldwatch.models.svc.cluster.local:9870", "",
    "host.docker.internal",     f"{platform.node()}:9870",
]  # fmt: skip
REBOUND = [
    "evil.example", "evil.example:9870", "EVIL.example.", "127.0.0.1.evil.example", "localhost.evil.example",
    "goldwatch.models.svc.evil.example", "1.2.3.4.5", "svc.example", "printer.local", "goldwatch.models",
    "127.0.0.1@evil.example",
]  # fmt: skip


def hosts(**section: object) -> Hosts:
    return Hosts.of(Prometheus.model_validate(section))


@pytest.mark.parametrize("host", TRUSTED)
def test_a_browser_may_use_names_that_nobody_can_register(host: str) -> None:
    assert hosts().refused(BROWSER | {"Host": host}) is None


@pytest.mark.parametrize("host", REBOUND)
def test_a_browser_may_not_use_a_name_that_a_stranger_can_register(host: str) -> None:
    assert hosts().refused(BROWSER | {"Host": host}) == host


@pytest.mark.parametrize("client", OTHERS)
def test_what_is_no_browser_may_use_any_name(client: str) -> None:
    for host in [*TRUSTED, *REBOUND]:
        assert hosts().refused(OTHERS[client] | {"Host": host}) is None


@pytest.mark.parametrize("header", ["Accept-Language", "Origin", "Referer", "Sec-Fetch-Mode"])
def test_one_header_of_a_browser_is_enough(header: str) -> None:
    assert hosts().refused(OTHERS["curl"] | {"Host": "evil.example", header: ""}) == "evil.example"


def test_names_of_the_config_may_be_used() -> None:
    named = hosts(external_url="https://Goldwatch.example/fraud", allowed_hosts=["gpu17.corp.example", ".team.example"])
    for host in (
        "goldwatch.example",
        "gpu17.corp.example:9870",
        "GPU17.corp.example.",
        "a.team.example",
        "a.b.team.example",
    ):
        assert named.refused(BROWSER | {"Host": host}) is None, host
    for host in ("example", "corp.example", "x.gpu17.corp.example", "team.example", "ateam.example", "evil.example"):
        assert (named.refused(BROWSER | {"Host": host}) is None) == ("." not in host), host


@given(st.text("abz019.-", max_size=40))
def test_no_name_below_a_strangers_domain_is_trusted(label: str) -> None:
    assert hosts(allowed_hosts=[".corp.example"]).refused(BROWSER | {"Host": f"{label}.evil.test"}) is not None


Ask = Callable[..., Awaitable[tuple[int, str]]]


def serve(use: Callable[[Ask], Awaitable[None]], section: Prometheus) -> None:
    async def served() -> None:
        endpoints = Endpoints(lambda _: (b"up 1\n", "text/plain"), lambda: "why not", lambda: None)
        endpoints.access = Access.of(section)
        port = await endpoints.start("127.0.0.1", 0)

        async def ask(path: str, host: str, method: str = "GET", **more: str) -> tuple[int, str]:
            headers = BROWSER | {"Host": host} | more
            url = f"http://127.0.0.1:{port}{path}"
            async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
                return answer.status, await answer.text()

        try:
            await use(ask)
        finally:
            await endpoints.stop()

    asyncio.run(served())


def test_every_path_is_refused_under_a_strangers_name_and_the_text_names_the_keys() -> None:
    async def use(ask: Ask) -> None:
        for path in (
            "/",
            "/metrics",
            "/api/v1/watches",
            "/api/v1/watches/digits/history",
            "/watches/digits",
            "/alerts/1",
            "/readyz",
            "/healthz",
            "/runbooks/worse",
            "/nothing",
        ):
            status, text = await ask(path, "evil.example:9870")
            assert status == 403
            assert '"evil.example:9870"' in text
            assert "exporters.prometheus.allowed_hosts" in text
            assert "external_url" in text
        assert (await ask("/live/fraud", "evil.example", "POST"))[0] == 403
        assert await ask("/metrics", "localhost") == (200, "up 1\n")

    serve(use, Prometheus())


def test_a_token_proves_more_than_a_name() -> None:
    token = "reading-0123456789"

    async def use(ask: Ask) -> None:
        assert (await ask("/metrics", "evil.example"))[0] == 401
        assert (await ask("/metrics", "goldwatch.example", Authorization=f"Bearer {token}"))[0] == 200
        assert await ask("/readyz", "evil.example") == (503, "not ready; the reason needs the token\n")

    serve(use, Prometheus.model_validate({"authorization": {"credentials": token}}))


def test_where_only_posting_needs_a_token_reading_is_guarded() -> None:
    async def use(ask: Ask) -> None:
        assert (await ask("/metrics", "evil.example"))[0] == 403
        assert (await ask("/live/fraud", "evil.example", "POST"))[0] == 401

    serve(use, Prometheus.model_validate({"authorization": {"live_credentials": "posting-0123456789"}}))


def test_options_name_hosts_where_the_config_does_not() -> None:
    defaults = Defaults(allowed_hosts=("a.example",))
    assert defaults.fill(Prometheus()).allowed_hosts == ("a.example",)
    own = Prometheus.model_validate({"allowed_hosts": ["b.example"]})
    assert defaults.fill(own).allowed_hosts == ("b.example",)


@contextmanager
def in_a_thread() -> Iterator[int]:
    """Serve endpoints in a thread, and give the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[Endpoints, int]:
        endpoints = Endpoints(lambda _: (b"up 1\n", "text/plain"), lambda: None, lambda: None)
        return endpoints, await endpoints.start("127.0.0.1", 0)

    try:
        endpoints, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield port
        asyncio.run_coroutine_threadsafe(endpoints.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.slow
def test_a_real_browser_reads_nothing_through_a_rebound_name() -> None:
    read = """async headers => { const answer = await fetch('/metrics', {headers}); return answer.status }"""
    with in_a_thread() as port, browser("--host-resolver-rules=MAP *.example 127.0.0.1") as tab:
        page = tab().page
        assert page.goto(f"http://evil.example:{port}/metrics").status == 403
        for headers in ({}, {"Accept-Language": ""}, {"User-Agent": "Prometheus/3"}, {"Host": "localhost"}):
            assert page.evaluate(read, headers) == 403
        assert page.goto(f"http://localhost:{port}/metrics").status == 200
