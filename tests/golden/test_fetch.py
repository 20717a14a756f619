"""Golden sets fetched from a real server over TLS, in the way that a config has them fetched."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from goldwatch.golden import fetch
from goldwatch.golden.error import GoldenError
from goldwatch.golden.fetch import fetch_set
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.judging_jobs import FetchRequest
from goldwatch.worker.jobs.fetch import fetch as fetch_job

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
TOKEN = "Bearer s3cret"


@dataclass
class Server:
    """Serves a folder; `asked` has the path and token of each request. Paths under /to/ redirect to `elsewhere`."""

    folder: Path
    url: str = ""
    elsewhere: str = ""
    needs_token: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)


def serving(server: Server, certificate: Path) -> ThreadingHTTPServer:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(server.folder))

        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "")
            server.asked.append((self.path, token))
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", server.elsewhere + self.path.removeprefix("/to"))
                self.end_headers()
            elif server.needs_token and token != TOKEN:
                self.send_error(401, "who are you")
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that does not trust us ends the handshake

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    listening = Quiet(("127.0.0.1", 0), Handler)
    listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    server.url = f"https://127.0.0.1:{listening.server_address[1]}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    return listening


@pytest.fixture
def server(golden: GoldenSet, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server(golden.path.parent)
    listening = serving(made, certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    yield made
    listening.shutdown()
    listening.server_close()


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def test_it_comes_whole_and_is_the_same(server: Server, golden: GoldenSet, tmp_path: Path) -> None:
    to = tmp_path / "state/golden/fruit"
    fetch_set(f"{server.url}/fruit/", to, golden.digest, {})
    found = GoldenSet.open(to)
    found.check_values()
    assert found.digest == golden.digest
    assert left_in(to.parent) == [".fruit.fetched", "fruit"]


def test_it_is_fetched_once(server: Server, golden: GoldenSet, tmp_path: Path) -> None:
    asked = FetchRequest(f"{server.url}/fruit", str(tmp_path / "to"), golden.digest, {})
    fetch_job(asked, [], lambda _: None)
    before, mark = len(server.asked), tmp_path / ".to.fetched"
    os.utime(mark, (0, 0))
    fetch_job(asked, [], lambda _: None)
    assert len(server.asked) == before > 0
    assert mark.stat().st_mtime > 0, "it is named yet: no agent that shares the volume may sweep it"


def test_the_token_is_sent_and_not_shown(server: Server, golden: GoldenSet, tmp_path: Path) -> None:
    server.needs_token = True
    with pytest.raises(GoldenError, match=r"/fruit/golden.json: HTTP 401") as refused:
        fetch_set(f"{server.url}/fruit", tmp_path / "to", golden.digest, {"Authorization": "Bearer wr0ng"})
    assert "wr0ng" not in str(refused.value)
    fetch_set(f"{server.url}/fruit", tmp_path / "to", golden.digest, {"Authorization": TOKEN})


def test_another_host_is_not_told_the_token(
    server: Server, golden: GoldenSet, certificate: Path, tmp_path: Path
) -> None:
    other = Server(server.folder)
    listening = serving(other, certificate)
    server.elsewhere = other.url
    try:
        fetch_set(f"{server.url}/to/fruit", tmp_path / "to", golden.digest, {"Authorization": TOKEN})
    finally:
        listening.shutdown()
        listening.server_close()
    assert {token for _, token in server.asked} == {TOKEN}
    assert {token for _, token in other.asked} == {""}
    assert urlsplit(server.url).port != urlsplit(other.url).port


def refused(server: Server, digest: str, to: Path) -> str:
    with pytest.raises(GoldenError) as caught:
        fetch_set(f"{server.url}/fruit", to / "kept", digest, {})
    assert left_in(to) == [], "what is not the set leaves nothing"
    return str(caught.value)


def test_another_set_is_refused_before_its_files_are_asked_for(server: Server, tmp_path: Path) -> None:
    said = refused(server, "sha256:" + "0" * 64, tmp_path / "to")
    assert f"expected sha256:{'0' * 64}; put that set there, or pin the one that you mean" in said
    assert [path for path, _ in server.asked] == ["/fruit/golden.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "tensors.safetensors has sha256"),
        (lambda raw: raw[:-1], "the manifest says"),
        (lambda raw: raw + b"x", "answers with more than"),
    ],
)
def test_a_file_that_is_not_what_the_manifest_says_is_refused(
    server: Server, golden: GoldenSet, tmp_path: Path, content: Any, says: str
) -> None:
    file = golden.path / "tensors.safetensors"
    file.write_bytes(content(file.read_bytes()))
    assert says in refused(server, golden.digest, tmp_path / "to")


def test_a_missing_file_and_a_missing_set_are_named(server: Server, golden: GoldenSet, tmp_path: Path) -> None:
    (golden.path / "tensors.safetensors").unlink()
    assert "/fruit/tensors.safetensors: HTTP 404" in refused(server, golden.digest, tmp_path / "to")
    shutil.rmtree(golden.path)
    assert "/fruit/golden.json: HTTP 404" in refused(server, golden.digest, tmp_path / "to")


def test_one_that_is_too_large_is_not_fetched(
    server: Server, golden: GoldenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 100)
    assert "at most 100 are fetched; mount it, and write its `path`" in refused(server, golden.digest, tmp_path / "to")
    assert len(server.asked) == 1


def test_a_server_whose_certificate_is_not_known_is_not_asked(
    server: Server, golden: GoldenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "CERTIFICATE_VERIFY_FAILED" in refused(server, golden.digest, tmp_path / "to")
    assert server.asked == []


def test_a_config_has_it_fetched(
    server: Server, golden: GoldenSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a worker, as every command does that opens golden sets."""
    from goldwatch.daemon.in_force import CannotStart, prepare
    from goldwatch.ipc.workers import Workers

    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    server.needs_token = True
    entry = {"url": f"{server.url}/fruit", "digest": golden.digest, "headers": {"Authorization": "${TOKEN}"}}
    target = {"probe": "open-inference", "url": "http://127.0.0.1:1", "model": "fruit"}
    config = {"targets": {"fruit": target}, "golden": {"fruit": entry}, "watches": {"fruit": {}}}
    file = tmp_path / "goldwatch.yaml"
    file.write_text(json.dumps(config))
    workers = Workers()
    try:
        (assignment,) = prepare(file, workers).assignments
        assert assignment.golden.digest == golden.digest
        assert Path(assignment.golden.path).parent == tmp_path / "state/golden"
        entry["digest"] = "sha256:" + "1" * 64
        file.write_text(json.dumps(config))
        with pytest.raises(CannotStart, match="put that set there, or pin the one that you mean"):
            prepare(file, workers)
    finally:
        workers.close()
