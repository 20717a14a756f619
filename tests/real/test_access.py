"""An agent with TLS and tokens, scraped by a real Prometheus, while its token is replaced."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .agent import DIGITS, Agent, config, until
from .stack import prometheus

pytestmark = pytest.mark.real

TARGETS = {"digits": {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx")}}
OLD, NEW = "first-0123456789", "second-0123456789"


@pytest.fixture
def agent(tmp_path: Path, certificate: Path) -> Iterator[Agent]:
    found = Agent(tmp_path, trust=ssl.create_default_context(cafile=certificate))
    try:
        yield found
    finally:
        found.clean_up()


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_prometheus_scrapes_with_a_token_over_tls_and_goes_on_when_the_token_is_replaced(
    agent: Agent, certificate: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{OLD}\n")
    tls = {"cert_file": str(certificate), "key_file": str(certificate.with_name("key.pem"))}
    section = {"tls_server_config": tls, "authorization": {"credentials": "${file:token}"}}
    agent.write(config(TARGETS, {"digits": {"every": "1h"}}, exporters={"prometheus": section}))
    agent.start_options = ["--follow"]
    agent.start()
    agent.wait_ready()
    assert agent.get("/api/v1/watches")[0] == 401
    assert agent.get("/api/v1/watches", Authorization=bearer(OLD))[0] == 200
    scrape = {
        "scheme": "https",
        "authorization": {"credentials_file": str(token)},
        "tls_config": {"ca_file": str(certificate)},
    }
    with prometheus(tmp_path, agent.port, scrape=scrape) as ask:
        until(lambda: ask.result("up == 1"), "it is scraped")
        token.with_suffix(".new").write_text(NEW)
        token.with_suffix(".new").rename(token)
        agent.until(lambda: agent.get("/metrics", Authorization=bearer(NEW))[0] == 200, "it takes the new token")
        assert agent.get("/metrics", Authorization=bearer(OLD))[0] == 401
        replaced_at = time.time()
        until(lambda: ask.result(f"up == 1 and timestamp(up) > {replaced_at}"), "it is scraped again")
    token.write_text("short")
    agent.until(lambda: "a token has at least 16 characters" in agent.log, "it says that the token is bad")
    assert agent.get("/metrics", Authorization=bearer(NEW))[0] == 200
    assert agent.end() == 0
    assert OLD not in agent.log
    assert NEW not in agent.log


def test_options_protect_the_port_before_there_is_a_config(agent: Agent, certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(OLD)
    agent.start_options = [
        "--patient",
        "--follow",
        f"--listen=127.0.0.1:{agent.port}",
        f"--cert-file={certificate}",
        f"--key-file={certificate.with_name('key.pem')}",
        f"--credentials-file={tmp_path / 'token'}",
    ]
    agent.start()

    def answers() -> tuple[int, str] | None:
        try:
            return agent.get("/readyz")
        except OSError:
            return None

    assert agent.until(answers, "it answers") == (503, "not ready; the reason needs the token\n")
    assert agent.get("/metrics")[0] == 401
    assert agent.get("/metrics", Authorization=bearer(OLD))[0] == 200
    agent.write(config(TARGETS, {"digits": {"every": "1h"}}))
    agent.wait_ready()
    assert agent.get("/api/v1/watches")[0] == 401
    assert agent.get("/api/v1/watches", Authorization=bearer(OLD))[0] == 200
