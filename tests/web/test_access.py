"""Tokens and TLS of the agent's port, asked over real sockets."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldwatch import http_serving
from goldwatch.config import Prometheus
from goldwatch.daemon.access import Access
from goldwatch.daemon.endpoints import Endpoints
from goldwatch.errors import GoldwatchError
from goldwatch.http_serving import Tls

READING, POSTING = "reading-0123456789", "posting-0123456789"
PROTECTED = ["/", "/alerts/1", "/api/v1/watches", "/api/v1/alerts", "/api/v1/alerts/1", "/metrics", "/runbooks/worse"]
PROTECTED += ["/watches/digits", "/api/v1/watches/digits/history"]
PROTECTED += ["/nothing", "/%6cive", "/healthz/", "/live/../metrics", "//healthz"]
Ask = Callable[..., Awaitable[tuple[int, str, list[str]]]]


def access(**tokens: str) -> Access:
    return Access.of(Prometheus.model_validate({"authorization": tokens}) if tokens else Prometheus())


def serve(use: Callable[[Ask, Endpoints], Awaitable[None]], allowed: Access, tls: Tls | None = None) -> None:
    """Serve endpoints that are not ready, and let `use` ask them."""

    async def served() -> None:
        endpoints = Endpoints(lambda _: (b"up 1\n", "text/plain"), lambda: "fraud.yaml: secret reason", lambda: None)
        endpoints.access = allowed
        port = await endpoints.start("127.0.0.1", 0, tls)
        url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"

        async def ask(
            path: str, token: str | None = None, method: str = "GET", **more: str
        ) -> tuple[int, str, list[str]]:
            headers = more if token is None else {"Authorization": f"Bearer {token}", **more}
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, url + path, headers=headers, ssl=False) as answer,
            ):
                return answer.status, await answer.text(), answer.headers.getall("WWW-Authenticate", [])

        try:
            await use(ask, endpoints)
        finally:
            await endpoints.stop()

    asyncio.run(served())


def test_every_path_but_the_health_endpoints_needs_the_token() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        for path in PROTECTED:
            status, _text, challenges = await ask(path)
            assert status == 401, path
            assert [c.partition(" ")[0] for c in challenges] == ["Bearer", "Basic"]
            assert (await ask(path, READING))[0] != 401, path
        assert (await ask("/live/fraud", method="POST"))[0] == 401
        assert (await ask("/live/fraud", READING, "POST"))[0] == 404

    serve(use, access(credentials=READING))


def test_a_wrong_token_is_said_to_be_wrong() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        for wrong in (READING[:-1], READING + "x", "", POSTING, "\udcff\udcfe"):
            status, text, challenges = await ask("/metrics", wrong)
            assert (status, challenges[0]) == (401, 'Bearer realm="goldwatch", error="invalid_token"')
            assert READING not in text

    serve(use, access(credentials=READING))


def test_health_needs_no_token_and_the_reason_does() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        assert (await ask("/healthz"))[:2] == (200, "ok\n")
        assert (await ask("/readyz"))[:2] == (503, "not ready; the reason needs the token\n")
        assert (await ask("/readyz", READING))[:2] == (503, "fraud.yaml: secret reason\n")

    serve(use, access(credentials=READING))


def test_posting_has_a_token_of_its_own() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        assert (await ask("/live/fraud", READING, "POST"))[0] == 401
        assert (await ask("/live/fraud", POSTING, "POST"))[0] == 404
        assert (await ask("/%6cive/fraud", READING, "POST"))[0] == 401
        assert (await ask("/metrics", POSTING))[0] == 401

    serve(use, access(credentials=READING, live_credentials=POSTING))


def test_the_token_of_posting_alone_leaves_reading_open() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        assert (await ask("/metrics"))[0] == 200
        assert (await ask("/live/fraud", method="POST"))[0] == 401
        assert (await ask("/live/fraud", POSTING, "POST"))[0] == 404

    serve(use, access(live_credentials=POSTING))


def test_a_browser_sends_the_token_as_a_password() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        for user, password, status in (("", READING, 200), ("anna", READING, 200), (READING, "", 401)):
            sent = base64.b64encode(f"{user}:{password}".encode()).decode()
            assert (await ask("/metrics", Authorization=f"Basic {sent}"))[0] == status
        assert (await ask("/metrics", Authorization="Basic ?"))[0] == 401
        assert (await ask("/metrics", Authorization=f"Digest {READING}"))[0] == 401

    serve(use, access(credentials=READING))


def test_without_a_token_everything_is_open() -> None:
    async def use(ask: Ask, _: Endpoints) -> None:
        assert (await ask("/metrics"))[0] == 200
        assert (await ask("/readyz"))[1] == "fraud.yaml: secret reason\n"

    serve(use, access())


def test_a_token_that_is_replaced_holds_from_the_next_request_on() -> None:
    async def use(ask: Ask, endpoints: Endpoints) -> None:
        endpoints.access = access(credentials=POSTING)
        assert (await ask("/metrics", READING))[0] == 401
        assert (await ask("/metrics", POSTING))[0] == 200

    serve(use, access(credentials=READING))


@settings(max_examples=20, deadline=None)
@given(st.text("abcABC019-._~+/", min_size=16, max_size=40), st.text("abcABC019-._~+/", min_size=16, max_size=40))
def test_a_token_is_never_shown(token: str, other: str) -> None:
    section = Prometheus.model_validate({"authorization": {"credentials": token, "live_credentials": other}})
    for shown in (repr(section), repr(Access.of(section)), section.model_dump_json()):
        assert token not in shown
        assert other not in shown


def copied(certificate: Path, folder: Path) -> tuple[Path, Path]:
    files = folder / "tls.crt", folder / "tls.key"
    for source, file in zip((certificate, certificate.with_name("key.pem")), files, strict=True):
        shutil.copy(source, file)
    return files


def test_it_is_served_over_tls_and_nothing_else(certificate: Path, tmp_path: Path) -> None:
    tls = Tls(*copied(certificate, tmp_path))

    async def served() -> None:
        endpoints = Endpoints(lambda _: (b"up 1\n", "text/plain"), lambda: None, lambda: None)
        port = await endpoints.start("127.0.0.1", 0, tls)
        trust = ssl.create_default_context(cafile=certificate)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"https://127.0.0.1:{port}/metrics", ssl=trust) as answer:
                assert await answer.text() == "up 1\n"
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://127.0.0.1:{port}/metrics")
        await endpoints.stop()

    asyncio.run(served())


def test_a_certificate_that_is_renewed_is_served(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_certificate: Path
) -> None:
    monkeypatch.setattr(http_serving, "_RENEW_S", 0.02)
    files = copied(certificate, tmp_path)
    wanted = ssl.PEM_cert_to_DER_cert(another_certificate.read_text())

    async def shown(port: int) -> bytes | None:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    async def served() -> None:
        endpoints = Endpoints(lambda _: (b"", "text/plain"), lambda: None, lambda: None)
        port = await endpoints.start("127.0.0.1", 0, Tls(*files))
        before = await shown(port)
        copied(another_certificate, tmp_path)
        while (found := await shown(port)) == before:  # noqa: ASYNC110 - a client cannot be told of it
            await asyncio.sleep(0.02)
        assert found == wanted
        await endpoints.stop()

    asyncio.run(asyncio.wait_for(served(), 60))


def test_a_certificate_that_cannot_be_used_is_named(certificate: Path, tmp_path: Path) -> None:
    with pytest.raises(GoldwatchError, match=r"tls\.crt and .*tls\.key: not a certificate and its key in PEM"):
        Tls(tmp_path / "tls.crt", tmp_path / "tls.key")
    files = copied(certificate, tmp_path)
    files[1].write_text("half of a key")
    with pytest.raises(GoldwatchError):
        Tls(*files)
