"""Credentials that do not last, against real servers on loopback: OAuth 2.0, a command, AWS signatures."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from typer.testing import CliRunner

from goldwatch import redaction
from goldwatch.cli.app import app
from goldwatch.golden.freeze import freeze
from goldwatch.probe import CannotLoad, Context, Rejected
from goldwatch_probes import _credentials
from goldwatch_probes._credentials import _lifetime_s
from goldwatch_probes._remote import split_target
from goldwatch_probes.open_inference_grpc import OpenInferenceGrpc
from goldwatch_probes.openai_api import OpenAI

from tests.probes.model_servers import OnnxModel, V2Grpc, grpc_server
from tests.probes.test_open_inference_grpc import PROTO

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PROMPT = {"prompt": np.array(["hello"], dtype=object)}


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep botocore from files, roles and the metadata address of the machine that runs the tests."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")  # the example of AWS's documentation
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")


class Model(ThreadingHTTPServer):
    """A model and a token endpoint; it takes the tokens in `good`, or whatever `allows` allows."""

    def __init__(self) -> None:
        self.good: list[str] = []
        self.issued: list[dict[str, list[str]]] = []
        self.basic: list[str] = []
        self.lifetime: object = 3600
        self.issues_at = "/token"
        self.refuses: tuple[int, dict[str, str]] | None = None
        self.allows: Callable[[Any, bytes], bool] = lambda handler, _: handler.token in self.good
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == self.server.issues_at:
            self._issue(body)
        else:
            self._answer(body)

    def log_message(self, *_: object) -> None:
        pass

    def _issue(self, body: bytes) -> None:
        server = self.server
        if server.refuses is not None:
            self._say(*server.refuses)
            return
        server.issued.append(parse_qs(body.decode()))
        server.basic.append(self.headers["Authorization"])
        server.good = [f"token-{len(server.issued):04}"]
        self._say(200, {"access_token": server.good[0], "token_type": "Bearer", "expires_in": server.lifetime})

    def _answer(self, body: bytes) -> None:
        if not self.server.allows(self, body):
            self._say(401, {"error": f"no such token {self.token}"})
        elif self.path.startswith("/v1/models"):
            self._say(200, {"data": [{"id": "m"}]})
        else:
            self._say(200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})

    def _say(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def probe_of(model: Model, **options: Any) -> OpenAI:
    return OpenAI(OpenAI.Options(url=f"{model.url}/v1", api="embeddings", **options), Context(5.0))


def ask(probe: OpenAI) -> None:
    assert probe.decode(probe.predict(probe.encode(PROMPT)))["embedding"].tolist() == [[1.0, 2.0]]


def oauth(model: Model, **more: Any) -> dict[str, Any]:
    return {"oauth_url": f"{model.url}/token", "oauth_client": "me:1", "oauth_secret": "s3cret/of=mine"} | more


def test_oauth_asks_once_and_again_after_a_401(model: Model) -> None:
    probe = probe_of(model, **oauth(model, oauth_scope="a b", oauth_parameters={"audience": "https://m"}))
    probe.open()
    ask(probe)
    ask(probe)
    assert model.issued == [{"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["https://m"]}]
    assert base64.b64decode(model.basic[0].removeprefix("Basic ")) == b"me%3A1:s3cret%2Fof%3Dmine"  # RFC 6749, 2.3.1
    request = probe.encode(PROMPT)
    model.good = []  # revoked
    with pytest.raises(Rejected) as refused:
        probe.predict(request)
    assert redaction.redact_known(str(refused.value)) == "answered 401: no such token ***"
    ask(probe)
    assert len(model.issued) == 2
    probe.close()


@pytest.mark.parametrize("written", ["/token", "/token/", "/token?tenant=a/", "/", "/?a"])
def test_a_token_is_asked_for_at_the_path_that_is_written(model: Model, written: str) -> None:
    """RFC 6749, 3.2: servers tell `/token` from `/token/`, and answer 404 to one of them."""
    model.issues_at = written
    probe = probe_of(model, **oauth(model, oauth_url=f"{model.url}{written}"))
    probe.open()
    ask(probe)
    assert len(model.issued) == 1
    probe.close()


@pytest.mark.parametrize(
    ("written", "split"),
    [
        ("http://h", ("http://h", "")),
        ("http://h?a", ("http://h", "?a")),
        ("http://h//a", ("http://h", "/a")),
        ("HTTPS://[::1]:8/a/?b=/", ("https://[::1]:8", "a/?b=/")),
        ("unix:/m.sock", ("unix:/m.sock", "")),
        ("unix:/m.sock:", ("unix:/m.sock:", "")),
        ("unix:///m.sock:/a/?b:c", ("unix:///m.sock:", "a/?b:c")),
    ],
)
def test_a_target_is_as_written(written: str, split: tuple[str, str]) -> None:
    assert split_target(written, "oauth_url") == split


def test_the_trust_of_a_token_endpoint(tmp_path: Path) -> None:
    """What is wrong with the file is said before anything is asked."""
    (tmp_path / "empty.pem").write_text("")
    for name, why in (("none.pem", "No such file or directory"), ("empty.pem", "")):
        options = OpenAI.Options(
            url="https://localhost:1", oauth_url="https://localhost:1/t", oauth_client="a", oauth_secret="b3cret",
            ca_file=tmp_path / name,
        )  # fmt: skip
        with pytest.raises(CannotLoad, match=rf"`ca_file` .*{name}: {why}"):
            OpenAI(options, Context(1.0)).open()


def test_a_token_is_renewed_before_it_expires(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(_credentials, "_now_s", lambda: now_s[0])
    probe = probe_of(model, **oauth(model))
    probe.open()
    for elapsed_s, issued in ((3569.0, 1), (2.0, 2)):
        now_s[0] += elapsed_s
        ask(probe)
        assert len(model.issued) == issued
    probe.close()


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (
            400,
            {"error": "invalid_client", "error_description": "who?"},
            "answered 400: invalid_client who?",
        ),
        (503, {}, "gives no token: answered 503"),
        (200, {"token": "x"}, "gives no token: answered 200"),
        (200, {"access_token": "a b"}, "not allowed in a header"),
    ],
)
def test_a_token_endpoint_that_gives_none(model: Model, status: int, said: dict[str, str], message: str) -> None:
    model.refuses = (status, said)
    model.issues_at = "/token?key=a-query-is-not-shown"
    with pytest.raises(CannotLoad, match=message) as found:
        probe_of(model, **oauth(model, oauth_url=f"{model.url}{model.issues_at}")).open()
    assert "not-shown" not in str(found.value)


def test_a_source_that_cannot_be_reached_says_nothing_of_the_model(model: Model, tmp_path: Path) -> None:
    """`Unreachable` is a failed request, which pages the owner of the model."""
    for oauth_url in ("http://127.0.0.1:1/token?key=not-shown", f"unix:{tmp_path}/none.sock:/token?key=not-shown"):
        with pytest.raises(CannotLoad, match=r"`oauth_url`: .*/token: (Connection refused|No such file)") as found:
            probe_of(model, **oauth(model, oauth_url=oauth_url)).open()
        assert "not-shown" not in str(found.value)


def test_a_server_that_refuses_every_token_costs_few(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(_credentials, "_now_s", lambda: now_s[0])
    probe = probe_of(model, **oauth(model))
    probe.open()
    model.allows = lambda *_: False
    for _ in range(60):
        with pytest.raises(Rejected, match="401"):
            probe.predict(probe.encode(PROMPT))
        now_s[0] += 1.0
    assert len(model.issued) == 3  # the first, and one in 30 s
    probe.close()


def command(*code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "\n".join(code))


def test_a_command_prints_the_token(model: Model, tmp_path: Path) -> None:
    model.good = ["token-of-a-file"]
    (tmp_path / "token").write_text("token-of-a-file\n")
    probe = probe_of(model, token_command=("cat", str(tmp_path / "token")))
    probe.open()
    (tmp_path / "token").write_text("another-token\n")
    ask(probe)  # with the token that it has
    request = probe.encode(PROMPT)
    model.good = ["another-token"]
    with pytest.raises(Rejected, match="401"):
        probe.predict(request)
    ask(probe)
    probe.close()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (("no-such-program",), "no-such-program: No such file or directory"),
        (("false",), "false ended with exit code 1; run it by hand"),
        (("true",), "the token is empty"),
        (("yes",), "prints more than 64 KiB"),
        (("sleep", "60"), "sleep did not end within 0.3 s"),
    ],
)
def test_a_command_that_prints_none(model: Model, written: tuple[str, ...], message: str) -> None:
    options = OpenAI.Options(url=model.url, api="embeddings", token_command=written)
    time_limit_s = 0.3 if written[0] == "sleep" else 30.0  # starting a program takes long on a busy machine
    with pytest.raises(CannotLoad, match=message):
        OpenAI(options, Context(time_limit_s)).open()


def test_the_lifetime_of_a_json_web_token() -> None:
    def jwt(claims: object) -> str:
        return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"

    assert 3500 < _lifetime_s(jwt({"exp": time.time() + 3600})) <= 3600
    assert _lifetime_s(jwt({"exp": 1})) == 1
    for token in (jwt({}), jwt([1]), jwt({"exp": "soon"}), "a.b.c", "opaque", "..", "a.é.c"):
        assert _lifetime_s(token) == 300


def test_requests_are_signed_for_aws(model: Model) -> None:
    """The server verifies each signature by botocore, from what it received."""
    auth = pytest.importorskip("botocore.auth")
    awsrequest, keeping = pytest.importorskip("botocore.awsrequest"), pytest.importorskip("botocore.credentials")
    seen = []

    def verified(handler: Any, body: bytes) -> bool:
        headers = {name: handler.headers[name] for name in ("Content-Type",) if name in handler.headers}
        host = handler.headers["Host"]
        request = awsrequest.AWSRequest(handler.command, f"http://{host}{handler.path}", headers, body)
        request.context["timestamp"] = handler.headers["X-Amz-Date"]
        request.headers["X-Amz-Date"] = handler.headers["X-Amz-Date"]
        request.headers["X-Amz-Security-Token"] = handler.headers["X-Amz-Security-Token"]
        keys = keeping.ReadOnlyCredentials("AKIDEXAMPLE", SECRET, None)
        signer = auth.SigV4Auth(keys, "sagemaker", "eu-west-1")
        expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        seen.append(handler.path)
        return bool(handler.headers["Authorization"].endswith(f"Signature={expected}"))

    model.allows = verified
    options = {"aws_service": "sagemaker", "aws_region": "eu-west-1"}
    probe = OpenAI(OpenAI.Options(url=f"{model.url}/v1?version=2", api="embeddings", **options), Context(5.0))  # type: ignore[arg-type]
    probe.open()
    ask(probe)
    assert seen == ["/v1/models?version=2", "/v1/embeddings?version=2"]
    assert redaction.redact_known(SECRET) == "***"
    probe.close()


def test_grpc_sends_a_token_and_no_signature(model: Model, model_file: Path) -> None:
    service = V2Grpc({"tiny": OnnxModel(model_file)}, PROTO)
    with grpc_server(service) as url:
        probe = OpenInferenceGrpc(OpenInferenceGrpc.Options(url=url, model="tiny", **oauth(model)), Context(10.0))
        probe.open()
        probe.predict(probe.encode({"x": np.ones((1, 2), np.float32)}))
        probe.close()
    assert {each["authorization"] for each in service.metadata} == {"Bearer token-0001"}
    with pytest.raises(CannotLoad, match="signs requests over HTTP; leave it out with gRPC"):
        OpenInferenceGrpc(OpenInferenceGrpc.Options(url="http://h:1", model="m", aws_service="s", aws_region="r"),
                          Context(1.0)).open()  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": "t", "token_command": ("true",)}, "`token` and `token_command` are both given"),
        ({"oauth_url": "http://h"}, "`oauth_url` is given without `oauth_client` or `oauth_secret`"),
        ({"oauth_scope": "a"}, "`oauth_scope` is given without `oauth_url`"),
        ({"aws_region": "a"}, "`aws_region` is given without `aws_service`"),
        (
            {"token_command": ("true",), "headers": {"authorization": "x"}},
            "header 'authorization' and `token_command` are both given",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        OpenAI(OpenAI.Options(url="http://h:1", **options), Context(1.0)).open()


@pytest.mark.slow
def test_no_message_shows_a_token(model: Model, tmp_path: Path) -> None:
    """The agent does not know the token, and the server sends it back."""
    model.allows = lambda handler, _: handler.path == "/v1/models"
    config = tmp_path / "goldwatch.yaml"
    config.write_text(
        f"targets: {{m: {{probe: openai, url: '{model.url}/v1', api: embeddings,"
        " token_command: [echo, a-token-of-a-command]}}\ngolden: {m: ./g}\n"
        "watches: {m: {every: 5m, load: {warmup: 0, repeats: 0}}}\n"
    )
    manifest = {
        "name": "g", "version": "1", "task": "embedding", "examples": 2,
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "outputs": {"embedding": {"dtype": "float64", "shape": [2], "tolerance": 0.1}},
        "reference": {"replays": [1, 1], "deterministic": True}, "provenance": {"source": "x"}, "licence": "CC0-1.0",
    }  # fmt: skip
    tensors = {"outputs.embedding": np.ones((2, 2)), "reference.right": np.ones((2, 2), np.int64)}
    freeze(tmp_path / "g", manifest, tensors, [{"inputs": {"prompt": text}} for text in ("a", "b")])
    done = CliRunner().invoke(app, ["check", str(config)])
    assert "answered 401: no such token ***" in done.output
    assert "a-token" not in done.output
