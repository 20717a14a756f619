"""A server among clients that mean no good: real connections over loopback."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from goldwatch.http_serving import HttpServer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def size(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


def served(use: Callable[[int], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        app = web.Application()
        app.router.add_get("/", ok)
        app.router.add_post("/", size)
        server = HttpServer(app, **options)
        port = await server.start("127.0.0.1", 0)
        try:
            await asyncio.wait_for(use(port), 60)
        finally:
            await server.stop()

    asyncio.run(run())


async def ask(port: int, request: bytes = GET) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.readuntil(b"\r\n")
    finally:
        writer.close()


def test_a_compressed_body_is_refused_and_never_unpacked() -> None:
    async def use(port: int) -> None:
        body = gzip.compress(bytes(100 << 20))
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        assert await ask(port, head.encode() + body) == b"HTTP/1.1 415 Unsupported Media Type\r\n"

    served(use)


def test_a_body_that_is_not_compressed_is_read() -> None:
    async def use(port: int) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"
        assert await ask(port, head) == b"HTTP/1.1 200 OK\r\n"

    served(use)


def test_idle_connections_keep_nobody_out() -> None:
    """Each beyond the limit closes the one that was idle longest."""

    async def use(port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        assert await ask(port) == b"HTTP/1.1 200 OK\r\n"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await idle[0][0].readexactly(1)
        for _, writer in idle:
            writer.close()

    served(use, max_connections=8)


@pytest.mark.parametrize("sent", [b"", GET[:20], b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_client_that_sends_no_whole_request_is_closed(sent: bytes) -> None:
    async def use(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()

    served(use, limit_s=0.5)


def test_a_connection_that_completes_requests_stays() -> None:
    async def use(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(8):
            writer.write(GET)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
            await asyncio.sleep(0.5)
        writer.close()

    served(use, limit_s=2.0)


def test_a_malformed_request_is_one_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for each in logging.getLogger("goldwatch.http").filters:
        monkeypatch.setattr(each, "_next", 0.0)

    async def use(port: int) -> None:
        assert await ask(port, b"GET / HTTP/1.1\r\nHost x\r\n\r\n") == b"HTTP/1.0 400 Bad Request\r\n"

    served(use)
    (record,) = [record for record in caplog.records if record.name == "goldwatch.http"]
    assert record.getMessage() == "malformed request from 127.0.0.1"
    assert (record.levelname, record.exc_info) == ("WARNING", None)


def test_errors_that_clients_cause_are_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    async def use(port: int) -> None:
        for _ in range(20):
            assert (await ask(port, b"nonsense\r\n\r\n")).endswith(b" 400 Bad Request\r\n")

    with caplog.at_level(logging.DEBUG, "goldwatch.http"):
        served(use)
    assert len([record for record in caplog.records if record.name == "goldwatch.http"]) <= 1
