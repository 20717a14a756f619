"""Attacks on the real parts of goldwatch, each carried out in a process of its own, which states what it took.

`python -m tests.security.attacks NAME FOLDER` prints CPU seconds and MiB above what the process had before. Attackers
run in the same process, so that what they take is counted too: the figures are upper limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import os
import re
import resource
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MIB = 2**20


@contextlib.contextmanager
def measured() -> Iterator[None]:
    """Print what is taken inside: CPU of all threads, and the peak of resident memory."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of before
    before, started_s = _peak_kib(), time.process_time()
    yield
    cpu_s = time.process_time() - started_s
    print(json.dumps({"cpu_s": cpu_s, "mib": (_peak_kib() - before) / 1024}))


def _peak_kib() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def served(app_of: Callable[[], Any], use: Callable[[int], Awaitable[None]]) -> None:
    """Serve what `app_of` returns, a server with `start` and `stop`, while it is used."""

    async def run() -> None:
        server = app_of()
        port = await server.start("127.0.0.1", 0)
        try:
            await use(port)
        finally:
            await server.stop()

    asyncio.run(run())


def agent() -> Any:
    from goldwatch.daemon.endpoints import Endpoints

    return Endpoints(lambda _: (b"up 1\n", "text/plain"), lambda: None, lambda: None)


def webhook() -> Any:
    from goldwatch.cluster.controllers import WebhookMetrics
    from goldwatch.cluster.injection import Sidecar
    from goldwatch.cluster.webhook import Webhook
    from goldwatch.http_serving import HttpServer

    return HttpServer(Webhook(Sidecar({"name": "goldwatch"}, False, ()), None, WebhookMetrics()).app())


async def post(port: int, path: str, body: bytes, headers: str = "") -> bytes:
    """Return the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode())
    with contextlib.suppress(ConnectionError):  # it does not wait for a body that it refuses
        writer.write(body)
        await writer.drain()
    line = await reader.readline()
    writer.close()
    return line


def compressed_bodies(_: Path) -> None:
    body = gzip.compress(bytes(300 * MIB))

    async def use(port: int) -> None:
        with measured():
            for _ in range(30):
                line = await post(port, "/live/digits", body, "Content-Encoding: gzip\r\n")
                assert b" 415 " in line, line

    served(agent, use)


def idle_connections(_: Path) -> None:
    async def use(port: int) -> None:
        with measured():
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()
            writer.close()
        for _, writer in idle:
            writer.close()

    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    served(agent, use)


def rebound_name(_: Path) -> None:
    head = b"GET /api/v1/watches HTTP/1.1\r\nHost: evil.example\r\nAccept-Language: en\r\n\r\n"

    async def use(port: int) -> None:
        with measured():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(300):
                writer.write(head)
                answer = await reader.readuntil(b"\r\n\r\n")
                assert b" 403 " in answer.partition(b"\r\n")[0], answer
                length = re.search(rb"Content-Length: (\d+)", answer)
                assert length is not None
                assert b"allowed_hosts" in await reader.readexactly(int(length[1]))
            writer.close()

    served(agent, use)


def deep_json(_: Path) -> None:
    body = b"[" * (2 * MIB)

    async def use(port: int) -> None:
        with measured():
            for _ in range(30):
                assert b" 400 " in await post(port, "/inject", body)

    served(webhook, use)


def large_answers(_: Path) -> None:
    from goldwatch_probes._http import Connection

    from tests.probes.http2_peer import Peer, serving

    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (MIB, bytes(MIB))

    def run(peer: Peer) -> None:
        while peer.sock.recv(2**16):
            peer.sock.sendall(answer)

    with serving(run) as url:
        connection = Connection(url, time_limit_s=30, max_bytes=2 * MIB)
        request = connection.written("POST", "model", b"{}")
        gc.disable()  # as it is while requests are timed
        with measured():
            for _answer in range(600):
                connection.send(request)
        connection.close()


def metadata(_: Path) -> None:
    from goldwatch.probe import CannotLoad, Context
    from goldwatch.worker.load.described import described
    from goldwatch_probes.open_inference import OpenInference

    from tests.probes.http2_peer import Peer, serving

    tensors = [{"name": f"input{i}", "datatype": "FP32", "shape": [-1, 4]} for i in range(100_000)]
    body = json.dumps({"name": "m", "platform": "p", "inputs": tensors, "outputs": []}).encode()

    def run(peer: Peer) -> None:
        while request := peer.sock.recv(2**16):
            answer = body if request.startswith(b"GET /v2/models/m HTTP") else b"{}"
            peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    with serving(run) as url:
        probe = OpenInference(OpenInference.Options(url=url, model="m"), Context(60.0))
        with measured():
            probe.open()
            with pytest.raises(CannotLoad, match="100,000 inputs and outputs; 1,000 are allowed"):
                described(probe)
        probe.close()


def continuations(_: Path) -> None:
    from hyperframe.frame import ContinuationFrame

    from goldwatch.probe import BadAnswer
    from goldwatch_probes._http2 import Connection, encoded

    from tests.probes.http2_peer import Peer, serving

    def run(peer: Peer) -> None:
        peer.greet()
        number, _, _ = peer.request()
        peer.send(peer.headers(number, (":status", "200")))
        peer.sock.sendall(ContinuationFrame(number, b"", flags=["END_HEADERS"]).serialize() * 100_000)

    head = encoded([(":method", "POST"), (":scheme", "http"), (":path", "/m"), (":authority", "here")])
    with serving(run) as url:
        connection = Connection(url, time_limit_s=10, max_bytes=MIB)
        with measured(), pytest.raises(BadAnswer):
            connection.send(head, b"question", "here")
        connection.close()


CONFIG = """\
targets: {{fraud: {{probe: open-inference, url: "http://127.0.0.1", model: [{models}]}}}}
golden: {{fraud: ./golden}}
watches: {{fraud: {{every: 5m}}}}
"""


def _refused(folder: Path, models: str, why: str) -> None:
    from goldwatch.config import ConfigError, load

    file = folder / "goldwatch.yaml"
    file.write_text(CONFIG.format(models=models))
    with measured(), pytest.raises(ConfigError, match=why):
        load(file, environ={})


def references(folder: Path) -> None:
    (folder / "x").write_text("x" * 60_000)
    _refused(folder, ",".join(["'${file:x}'"] * 60_000), "stand for more than 4 MiB")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    _refused(folder, "'${file:pipe}'", "is not a regular file")


def manifest(_: Path) -> None:
    from goldwatch.golden.error import GoldenError
    from goldwatch.golden.manifest import parse

    raw = b'{"files": {' + b",".join(b'"f%d": {}' % i for i in range(900_000)) + b"}}"
    with measured(), pytest.raises(GoldenError, match="objects and lists"):
        parse(Path("set"), raw)


def huge_pod(_: Path) -> None:
    import aiohttp
    from aiohttp import web

    from goldwatch.cluster.fleet import Agent, ask
    from goldwatch.http_serving import HttpServer

    body = b'{"watches": [' + b"{}," * (5 * MIB) + b"{}]}"

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    def pod() -> HttpServer:
        app = web.Application()
        app.router.add_get("/api/v1/watches", answer)
        return HttpServer(app)

    async def use(port: int) -> None:
        async with aiohttp.ClientSession() as session:
            with measured():
                assert await ask(session, [Agent(f"http://127.0.0.1:{port}", "fraud")] * 8) == {}

    served(pod, use)


def _ledger(folder: Path) -> Any:
    from goldwatch.daemon.ledger import Ledger

    return Ledger(folder / "goldwatch.db")


def damaged_row(folder: Path) -> None:
    from tests.builders import judgement

    key = ("digits", "served")
    with _ledger(folder) as ledger:
        for second in range(20):
            ledger.record(judgement(started_at=float(second)), {"worse": {"n": 1}})
    with contextlib.closing(sqlite3.connect(folder / "goldwatch.db")) as db, db:
        db.execute("UPDATE replays SET judgement = ? WHERE started_at < 10", ("[" * (4 * MIB),))
        db.execute("UPDATE monitors SET state = '{'")
    with measured(), _ledger(folder) as ledger:
        assert len(list(ledger.replays(*key))) == 10
        assert ledger.states(*key, judgement().subject.golden_digest) == {}


def clock_jump(folder: Path) -> None:
    from tests.builders import judgement

    at = 1_800_000_000.0
    times = [at, at + 100 * 86_400, at - 3650 * 86_400, at + 600]
    with measured():
        for started_at in times:  # each in a run of the agent of its own
            with _ledger(folder) as ledger:
                ledger.record(judgement(started_at=started_at), {})
        with _ledger(folder) as ledger:
            assert [found.run.started_at for found, _ in ledger.replays("digits", "served")] == times


@dataclass(frozen=True)
class Attack:
    """An attack, its part, its expected result, and the bounds of CPU seconds and of MiB."""

    run: Callable[[Path], None]
    text: str
    part: str
    outcome: str
    cpu_s: float
    mib: float


ATTACKS = {
    each.run.__name__: each
    for each in [
        Attack(compressed_bodies, "30 bodies that unpack to 300 MiB each", "agent", "status 415", 5, 64),
        Attack(idle_connections, "1,000 idle connections", "agent", "the oldest are closed; health is served", 10, 64),
        Attack(rebound_name, "300 requests of a page whose name is rebound (DNS)", "agent", "status 403", 5, 32),
        Attack(large_answers, "600 answers of 1 MiB", "worker", "freed one by one", 30, 64),
        Attack(metadata, "metadata of 100,000 inputs", "worker", "one error", 30, 256),
        Attack(continuations, "100,000 continuation frames over HTTP/2", "worker", "one error", 5, 32),
        Attack(references, "60,000 references to 60 kB each", "config", "one error", 45, 256),
        Attack(pipe, "a reference to a named pipe", "config", "one error", 5, 64),
        Attack(manifest, "a manifest with 900,000 wrong entries", "golden sets", "one error", 5, 64),
        Attack(damaged_row, "half of a ledger's rows damaged", "agent", "left out and reported", 5, 128),
        Attack(clock_jump, "a clock that jumps by 100 days and by 10 years", "agent", "nothing is deleted", 5, 32),
        Attack(huge_pod, "8 pods that answer with 15 MiB of small objects", "operator", "they say nothing", 20, 256),
        Attack(deep_json, "30 bodies nested 2 million deep", "webhook", "status 400", 10, 64),
    ]
}

if __name__ == "__main__":
    ATTACKS[sys.argv[1]].run(Path(sys.argv[2]))
