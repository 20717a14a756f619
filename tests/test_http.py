"""The agent's endpoints, asked over a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import aiohttp
import pytest

from goldwatch.http import Endpoints

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def ready() -> None:
    return None


def ask(
    path: str,
    method: str = "GET",
    accept: str = "*/*",
    render: Callable[[str], tuple[bytes, str]] = lambda _: (b"up 1\n", TEXT),
    not_ready_because: Callable[[], str | None] = ready,
) -> tuple[int, str, str]:
    """Serve, ask once, and return the status, the content type and the body."""

    async def served() -> tuple[int, str, str]:
        endpoints = Endpoints(render, not_ready_because)
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


def test_metrics_are_as_they_were_rendered() -> None:
    assert ask("/metrics") == (200, TEXT, "up 1\n")


def test_metrics_are_rendered_as_the_scraper_wants_them() -> None:
    openmetrics = "application/openmetrics-text; version=1.0.0"
    found = ask("/metrics", accept=openmetrics, render=lambda accept: (accept.encode(), openmetrics))
    assert found == (200, openmetrics, openmetrics)


def test_it_is_alive_even_when_it_is_not_ready() -> None:
    status, _, body = ask("/healthz", not_ready_because=lambda: "no config is in force yet")
    assert (status, body) == (200, "ok\n")


def test_it_is_ready() -> None:
    status, _, body = ask("/readyz")
    assert (status, body) == (200, "ok\n")


def test_it_says_why_it_is_not_ready() -> None:
    status, _, body = ask("/readyz", not_ready_because=lambda: "no config is in force yet")
    assert (status, body) == (503, "no config is in force yet\n")


def test_the_index_names_the_endpoints() -> None:
    status, _, body = ask("/")
    assert status == 200
    assert [line.split()[0] for line in body.splitlines() if line.startswith("/")] == [
        "/metrics",
        "/healthz",
        "/readyz",
    ]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/admin", 404), ("POST", "/metrics", 405)])
def test_it_serves_nothing_else_and_changes_nothing(method: str, path: str, status: int) -> None:
    assert ask(path, method)[0] == status


def test_a_port_in_use_is_an_error_and_nothing_stays_open() -> None:
    async def start(port: int) -> None:
        endpoints = Endpoints(lambda _: (b"", TEXT), ready)
        with pytest.raises(OSError, match="address already in use"):
            await endpoints.start("127.0.0.1", port)
        await endpoints.stop()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(start(taken.getsockname()[1]))
