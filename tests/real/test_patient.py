"""An agent in a model server's pod, with a wrong config: its port shows it, and it starts once the config is right."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.real.agent import DIGITS, GOLDEN, ROOT, RUN, Agent, config
from tests.real.stack import prometheus

pytestmark = [pytest.mark.real, pytest.mark.slow]

TARGETS = {"digits": {"probe": "onnx-runtime", "file": str(DIGITS / "digits.onnx")}}
WATCHES = {"digits": {"every": "1h"}}
GOOD = config(TARGETS, WATCHES)


@contextlib.contextmanager
def patient(folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Iterator[Agent]:
    """An agent before its start, to run with --patient."""
    agent = Agent(folder)
    monkeypatch.setattr("tests.real.agent.RUN", [*RUN, "--patient", *options])
    try:
        yield agent
    finally:
        agent.clean_up()


def rejected(agent: Agent) -> str | None:
    """Return the exported reason why the agent's config is rejected; None if there is none so far."""
    with contextlib.suppress(OSError):
        said = agent.get("/metrics")[1]
        found = re.findall(r'^goldwatch_config_rejected{reason="(\w+)"} 1\.0$', said, re.MULTILINE)
        if found and "goldwatch_config_last_reload_successful 0.0" in said:
            assert "goldwatch_build_info{" in said
            assert "goldwatch_clock_timestamp_seconds" in said
            assert agent.value("goldwatch_config_rejected_timestamp_seconds")
            return str(found[0])
    return None


def bad_yaml(agent: Agent) -> None:
    agent.config_file.write_text("targets: {")


def bad_field(agent: Agent) -> None:
    agent.write(config(TARGETS, {"digits": {"evry": "1h"}}))


def bad_golden(agent: Agent) -> None:
    broken = Path(shutil.copytree(GOLDEN, agent.folder / "broken"))
    (broken / "golden.json").write_text("{")
    agent.write(GOOD | {"golden": {"digits": str(broken)}})


def bad_ledger(agent: Agent) -> None:
    agent.write(GOOD | {"ledger": str(agent.folder)})


@pytest.mark.parametrize(
    ("spoil", "reason", "why"),
    [
        (lambda _: None, "missing", "goldwatch.yaml  no such file"),
        (bad_yaml, "unreadable", "goldwatch.yaml:1:"),
        (bad_field, "invalid", 'unknown key "evry"'),
        (bad_golden, "golden", "golden.json is not usable JSON"),
        (bad_ledger, "ledger", "set `ledger:` to a file"),
    ],
)
def test_it_answers_while_its_config_cannot_be_used_and_starts_once_it_can(
    spoil: Callable[[Agent], None], reason: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with patient(tmp_path, monkeypatch) as agent:
        agent.start_options = [f"--listen=127.0.0.1:{agent.port}"]
        spoil(agent)
        agent.start()
        assert agent.until(lambda: rejected(agent), "it exports that its config is rejected") == reason
        assert agent.get("/healthz") == (200, "ok\n")
        status, said = agent.get("/readyz")
        assert (status, why in said) == (503, True), said
        assert agent.get("/api/v1/watches") == (503, said)
        assert said in agent.log
        agent.write(GOOD)
        agent.wait_ready()
        assert agent.values("goldwatch_config_rejected", reason=reason) == [0]
        assert agent.value("goldwatch_config_rejected_timestamp_seconds") == 0
        assert agent.value("goldwatch_config_last_reload_successful") == 1
        assert agent.value("goldwatch_watch_interval_seconds") == 3600
        assert agent.end() == 0


def test_no_scrape_fails_while_the_service_takes_the_port_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape sees the config as rejected, then as loaded, and in between nothing else."""
    with patient(tmp_path, monkeypatch) as agent:
        bad_field(agent)
        agent.start()
        agent.until(lambda: rejected(agent), "it exports that its config is rejected")
        seen: list[str] = []
        ready = threading.Event()

        def scrape() -> None:
            while not ready.is_set() or not seen:
                status, said = agent.get("/metrics")
                state = re.findall(r"^goldwatch_config_last_reload_successful (.+)$", said, re.MULTILINE)
                seen.append(f"{status} {state}")

        scraping = threading.Thread(target=scrape)
        scraping.start()
        try:
            agent.write(GOOD)
            agent.wait_ready()
        finally:
            ready.set()
            scraping.join()
    assert list(dict.fromkeys(seen))[:1] == ["200 ['0.0']"]
    assert set(seen) <= {"200 ['0.0']", "200 ['1.0']"}


def test_the_address_is_read_from_a_file_that_is_otherwise_bad_and_moves_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays there when the file becomes unreadable, and moves for a config that can be used."""
    with patient(tmp_path, monkeypatch) as agent:
        bad_field(agent)
        agent.start()
        agent.until(lambda: rejected(agent), "it listens where the bad file says")
        bad_yaml(agent)
        agent.until(lambda: rejected(agent) == "unreadable", "it stays where it is")
        before = agent.port
        agent.port = Agent(tmp_path).port
        agent.write(GOOD)
        agent.wait_ready()
        assert rejected(agent) is None
        agent.port = before
        with pytest.raises(OSError, match="refused"):
            agent.get("/healthz")


def test_the_same_port_on_another_address_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with patient(tmp_path, monkeypatch) as agent:
        everywhere = {"exporters": {"prometheus": {"listen": f":{agent.port}"}}}
        agent.config_file.write_text(yaml.safe_dump(everywhere))
        agent.start()
        agent.until(lambda: rejected(agent) == "invalid", "it listens everywhere")
        agent.write(GOOD)
        agent.wait_ready()
        assert agent.value("goldwatch_watch_interval_seconds") == 3600


def test_a_config_that_goes_away_ends_the_watches_and_not_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with patient(tmp_path, monkeypatch, "--follow") as agent:
        agent.write(GOOD)
        agent.start()
        agent.wait_ready()
        agent.config_file.unlink()
        assert agent.until(lambda: rejected(agent), "it exports that its config is gone") == "missing"
        assert agent.value("goldwatch_watch_interval_seconds") is None
        agent.write(GOOD)
        agent.wait_ready()
        assert agent.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_while_it_waits(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with patient(tmp_path, monkeypatch) as agent:
        bad_field(agent)
        agent.start()
        agent.until(lambda: rejected(agent), "it waits")
        agent.process.send_signal(number)
        assert agent.process.wait(30) == 0
        agent_log = agent.log
    assert "Traceback" not in agent_log
    assert agent_log.count("problem; nothing was started.") == 1


def test_an_address_that_cannot_be_read_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with patient(tmp_path, monkeypatch, "--listen=9870") as agent:
        agent.start()
        assert agent.process.wait(30) == 2
        assert agent.log == '--listen: "9870" is not an address to listen on; write 0.0.0.0:9870 or :9870\n'


def test_prometheus_finds_the_agent_and_the_alert_fires_until_its_config_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = (ROOT / "dashboards/rules/prometheus.yaml").read_text()
    head, found, tail = rules.partition("alert: GoldwatchConfigRejected\n")
    assert found
    assert "for: 600s" in tail
    (tmp_path / "rules.yaml").write_text(head + found + tail.replace("for: 600s", "for: 1s", 1))
    with patient(tmp_path, monkeypatch) as agent:
        bad_field(agent)
        agent.start()
        with prometheus(tmp_path, agent.port, [tmp_path / "rules.yaml"]) as ask:

            def firing() -> list[dict[str, str]]:
                asked = 'ALERTS{alertname="GoldwatchConfigRejected", alertstate="firing"}'
                return [each["metric"] for each in ask("query", query=asked)["result"]]

            agent.until(firing, "the alert fires", 60)
            assert ask("query", query="up")["result"][0]["value"][1] == "1"
            agent.write(GOOD)
            agent.wait_ready()
            agent.until(lambda: not firing(), "the alert ends", 60)
