"""HTTP clients with one request at a time, to one minimal keep-alive server on loopback: the figures of decision 0004.

The server answers each POST with the same 200 bytes at once. The clients take turns in batches, whose medians count.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import aiohttp

from benchmarks.figures import Figure

with contextlib.suppress(ImportError):
    import urllib3

ROUNDS = 15
BATCH = 200
_BODY = b'{"inputs": [' + b"0" * 500 + b"]}"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n" + b" " * 198 + b"{}"

Batch = Callable[[], list[int]]
"""Sends a batch of requests and returns the nanoseconds that each took."""


def measure() -> list[Figure]:
    """Alternate batches of the clients, and return the median round trip of each."""
    taken: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(_server())
        clients = {name: stack.enter_context(make(port)) for name, make in _CLIENTS.items()}
        for client in clients.values():
            client()
        for _ in range(ROUNDS):
            for name, client in clients.items():
                taken.setdefault(name, []).append(statistics.median(client()))
    found = {name: [n / 1e3 for n in rounds] for name, rounds in taken.items()}
    added = [ours - theirs for ours, theirs in zip(found["goldwatch"], found["bare socket"], strict=True)]
    figures = [Figure(name, statistics.median(us), "µs", raw=us) for name, us in found.items()]
    return [*figures, Figure("added by goldwatch to a bare socket", statistics.median(added), "µs", 50, added)]


def _timed(send: Callable[[], object]) -> list[int]:
    taken = []
    for _ in range(BATCH):
        began = time.perf_counter_ns()
        send()
        taken.append(time.perf_counter_ns() - began)
    return taken


@contextlib.contextmanager
def _bare_socket(port: int) -> Iterator[Batch]:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send() -> None:
            sock.sendall(request)
            left = len(_ANSWER)
            while left:
                left -= len(sock.recv(left))

        yield lambda: _timed(send)


@contextlib.contextmanager
def _http_client(port: int) -> Iterator[Batch]:
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def send() -> bytes:
        connection.request("POST", "/", _BODY)
        return connection.getresponse().read()

    with contextlib.closing(connection):
        yield lambda: _timed(send)


@contextlib.contextmanager
def _goldwatch(port: int) -> Iterator[Batch]:
    from goldwatch_probes._http import Connection  # noqa: PLC0415

    url = f"http://127.0.0.1:{port}"
    with contextlib.closing(Connection(url, time_limit_s=2, max_bytes=2**20)) as connection:
        request = connection.written("POST", "", _BODY)
        yield lambda: _timed(lambda: connection.send(request).body)


@contextlib.contextmanager
def _aiohttp(port: int) -> Iterator[Batch]:
    async def batch(session: aiohttp.ClientSession) -> list[int]:
        taken = []
        for _ in range(BATCH):
            began = time.perf_counter_ns()
            async with session.post(f"http://127.0.0.1:{port}/", data=_BODY) as answer:
                await answer.read()
            taken.append(time.perf_counter_ns() - began)
        return taken

    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    with asyncio.Runner() as runner:
        opened = runner.run(session())
        yield lambda: runner.run(batch(opened))
        runner.run(opened.close())


@contextlib.contextmanager
def _urllib3(port: int) -> Iterator[Batch]:
    with urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1) as pool:
        yield lambda: _timed(lambda: pool.request("POST", "/", body=_BODY).data)


_CLIENTS: dict[str, Callable[[int], contextlib.AbstractContextManager[Batch]]] = {
    "bare socket": _bare_socket,
    "http.client": _http_client,
    "goldwatch": _goldwatch,
    "aiohttp": _aiohttp,
}
if "urllib3" in sys.modules:
    _CLIENTS["urllib3"] = _urllib3


@contextlib.contextmanager
def _server() -> Iterator[int]:
    """Run the server in a process of its own and give its port."""
    command = [sys.executable, "-m", "benchmarks.http_clients"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answerer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class _Answerer(asyncio.Protocol):
    """Answers as soon as a whole request is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._got = transport, b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        _, _, body = self._got.partition(b"\r\n\r\n")
        if len(body) == len(_BODY):
            self._got = b""
            self._transport.write(_ANSWER)


if __name__ == "__main__":
    asyncio.run(_serve())
