"""A replica exports watches only while it holds the lease: a real agent, and a small API server."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from goldwatch.config import load
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.service import Service
from goldwatch.export import measurement

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits"
CONFIG = f"""\
targets: {{digits: {{probe: onnx-runtime, file: {DIGITS}/digits.onnx}}}}
golden: {{digits: {DIGITS}/golden}}
watches: {{a: {{every: 1h, jitter: 0s, target: digits, golden: digits}}}}
cluster: {{lease: {{name: l, duration: 3s, renew_deadline: 2s, retry_period: 500ms}}}}
exporters: {{prometheus: {{listen: "127.0.0.1:0"}}}}
"""
KEY = ("a", "digits")
LEADS, STANDS_BY = 'goldwatch_leader{lease="l"} 1.0', 'goldwatch_leader{lease="l"} 0.0'
PROMISED = (
    "goldwatch_watch_interval_seconds{",
    "goldwatch_replay_next_timestamp_seconds{",
    "goldwatch_objective_ratio{",
)


class Leases:
    """The API of one lease. `forbidden` is for all that ask."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] = {}
        self.forbidden = False
        self._version = 0

    def hold(self, holder: str) -> None:
        """Give the lease to another; "" is no holder."""
        self.keep(self.lease | {"spec": self.lease["spec"] | {"holderIdentity": holder, "leaseDurationSeconds": 60}})

    def keep(self, lease: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        self.lease = lease | {"metadata": lease["metadata"] | {"resourceVersion": str(self._version)}}
        return self.lease

    async def answer(self, request: web.Request) -> web.Response:
        if self.forbidden:
            return web.json_response({"message": "forbidden"}, status=403)
        if request.method == "GET":
            return web.json_response(self.lease, status=200 if self.lease else 404)
        body = json.loads(await request.read())
        if self.lease and body["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            return web.json_response({"message": "conflict"}, status=409)
        return web.json_response(self.keep(body))


@asynccontextmanager
async def serving(certificate: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Leases]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    shutil.copy(certificate, folder / "ca.crt")
    (folder / "token").write_text("t")
    (folder / "namespace").write_text("models")
    leases, app = Leases(), web.Application()
    app.router.add_route("*", "/{path:.*}", leases.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(runner.addresses[0][1]))
    monkeypatch.setenv("GOLDWATCH_SERVICE_ACCOUNT", str(folder))
    try:
        yield leases
    finally:
        await runner.cleanup()


def page(service: Service) -> str:
    return service._exports.page.render()[0].decode()


async def until(condition: Callable[[], bool], message: str) -> None:
    for _ in range(2400):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail(message)


@pytest.mark.slow
def test_a_replica_exports_watches_only_while_it_holds_the_lease(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "goldwatch.yaml").write_text(CONFIG)

    def replayed(service: Service) -> bool:
        found = page(service)
        return 'goldwatch_verdict{watch="a"' in found and LEADS in found and all(name in found for name in PROMISED)

    def stands_by(service: Service) -> bool:
        return STANDS_BY in page(service) and 'watch="' not in page(service)

    async def drive() -> None:
        async with serving(certificate, tmp_path, monkeypatch) as leases:
            leases.forbidden = True
            service = Service(tmp_path / "goldwatch.yaml")
            await service.start()
            try:
                await until(
                    lambda: any("forbidden" in getattr(r, "error", "") for r in caplog.records),
                    "a standby logs that it cannot read the lease",
                )
                assert stands_by(service)
                assert 'goldwatch_lease_errors_total{lease="l"} 0.0' not in page(service)
                leases.forbidden = False
                await until(lambda: replayed(service), "it leads and replays")
                leases.hold("another")
                await until(lambda: stands_by(service), "a lease that another took ends all series of watches")
                await service.reload()
                assert stands_by(service)
                leases.hold("")
                await until(lambda: replayed(service), "it leads again, and exports all again")
                leases.forbidden = True
                await until(lambda: stands_by(service), "a lease that cannot be renewed ends them too")
            finally:
                await service.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(drive())
    errors = [record for record in caplog.records if "could not be read or written" in record.message]
    assert errors
    assert all(record.levelno == logging.WARNING for record in errors)


@pytest.mark.slow
def test_a_lease_that_comes_back_brings_no_alert_of_before(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tmp_path / "digits.onnx"
    about = CONFIG.replace(f"{DIGITS}/digits.onnx", str(model)).replace("1h", "2s")
    about = about.replace("duration: 3s, renew_deadline: 2s", "duration: 10s, renew_deadline: 8s")  # it is busy
    (tmp_path / "goldwatch.yaml").write_text(about)
    model.write_bytes((DIGITS / "digits-quantised.onnx").read_bytes())
    paged = 'goldwatch_alert_active{watch="a",target="digits",severity="page",monitor="worse"} 1.0'
    ended = 'goldwatch_alert_active{watch="a",target="digits",severity="page",monitor=""} 0.0'

    def closed() -> bool:
        return any(getattr(r, "reason", "") == "another replica may have replayed since" for r in caplog.records)

    async def drive() -> None:
        async with serving(certificate, tmp_path, monkeypatch) as leases:
            service = Service(tmp_path / "goldwatch.yaml")
            await service.start()
            try:
                await until(lambda: paged in page(service), "it pages")
                leases.forbidden = True
                await until(lambda: STANDS_BY in page(service), "the API server is away")
                leases.forbidden = False
                await until(lambda: paged in page(service), "it leads again, and nobody else did: its page is open")
                assert not closed()

                leases.hold("another")
                await until(lambda: STANDS_BY in page(service), "another replica leads")
                copy = model.with_suffix(".next")
                copy.write_bytes((DIGITS / "digits.onnx").read_bytes())
                copy.replace(model)
                leases.hold("")
                await until(lambda: LEADS in page(service), "it leads again")
                found = page(service)
                while ended not in found:
                    assert paged not in found, "a page of before comes back"
                    await asyncio.sleep(0.05)
                    found = page(service)
                assert closed()
            finally:
                await service.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(drive())


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[Exports]:
    (tmp_path / "goldwatch.yaml").write_text(CONFIG)
    made = Exports()
    made.put_in_force(load(tmp_path / "goldwatch.yaml"))
    yield made
    made.close()


def rendered(exports: Exports) -> str:
    return exports.page.render()[0].decode()


def test_a_replica_stands_by_at_first(exports: Exports) -> None:
    exports.publish([*measurement.of_watch(*KEY), *measurement.of_accepted_config(1.0)])
    found = rendered(exports)
    assert 'watch="' not in found
    assert STANDS_BY in found
    assert 'goldwatch_lease_errors_total{lease="l"} 0.0' in found
    assert "goldwatch_config_last_reload_successful 1.0" in found
    exports.lead()
    exports.publish(measurement.of_watch(*KEY))
    assert 'watch="a"' in rendered(exports)
    assert LEADS in rendered(exports)


def test_a_replay_that_ends_while_the_lease_is_lost_leaves_nothing(exports: Exports) -> None:
    exports.lead()

    def late() -> Iterator[measurement.Measurement]:
        yield from measurement.of_alert(*KEY, "page", ["worse"])
        exports.stand_by([KEY])  # after the first of them was let through

    exports.publish(late())
    assert 'watch="' not in rendered(exports)


def test_errors_of_the_lease_are_counted(exports: Exports) -> None:
    for _ in range(3):
        exports.count_lease_error()
    assert 'goldwatch_lease_errors_total{lease="l"} 3.0' in rendered(exports)


def test_without_a_lease_nothing_is_exported_about_one(tmp_path: Path) -> None:
    (tmp_path / "goldwatch.yaml").write_text("\n".join(x for x in CONFIG.splitlines() if "cluster" not in x))
    exports = Exports()
    exports.put_in_force(load(tmp_path / "goldwatch.yaml"))
    exports.publish(measurement.of_watch(*KEY))
    found = rendered(exports)
    exports.close()
    assert 'watch="a"' in found
    assert "leader" not in found
    assert "goldwatch_lease" not in found
