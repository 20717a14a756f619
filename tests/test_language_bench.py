"""The servers of `benchmarks language`, what goldwatch reads of them, and how the CPU of a tool is counted."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest

from goldwatch_probes._http import Answer
from goldwatch_probes._openai_answers import completion

from benchmarks import language_servers, language_tools, tree_cpu, wire_servers
from benchmarks.language_servers import ANSWER, TOKENS, Schedule
from tests.programs import program


def _post(url: str) -> bytes:
    with urllib.request.urlopen(f"{url}/v1/chat/completions", data=b"{}", timeout=30) as answer:
        found: bytes = answer.read()
    return found


def _completion(body: bytes) -> tuple[str, str, object]:
    found = completion(Answer(200, {}, body, 0, 0))
    return found.text, found.finish, found.usage


def test_nginx_answers_whole_and_streamed_alike() -> None:
    with language_servers.at_once(wire_servers.nginx() or program("nginx")) as address:
        whole, streamed = (_post(f"{address}/{how}") for how in ("whole", "streamed"))
    assert whole == language_servers.whole()
    assert streamed == b"".join(language_servers.events())
    assert _completion(whole) == _completion(streamed)
    assert _completion(whole)[:2] == (ANSWER, "stop")


def test_a_paced_answer_is_not_sooner_than_its_schedule_and_the_server_says_what_it_did() -> None:
    with language_servers.paced(Schedule(first_ms=5, gap_ms=1)) as address:
        bodies = [_post(address) for _ in range(3)]
        true = language_servers.truth(address)
        again = language_servers.truth(address)
    assert bodies == [b"".join(language_servers.events())] * 3
    assert len(true.first_us) == len(true.gap_us) == 3
    assert min(true.first_us) >= 5000
    assert again.first_us == []


def test_a_bare_socket_sees_each_token_no_sooner_than_the_server_sends_it() -> None:
    with language_servers.paced(Schedule(first_ms=5, gap_ms=1)) as address:
        said = language_tools.bare_socket(address, 4, streamed=True)
        true = language_servers.truth(address)
    assert said.first_us >= min(true.first_us)
    assert said.latency_us >= 1e3 * (5 + TOKENS - 1)


def test_cpu_of_what_outlives_a_command_is_counted() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}]); print('started')"
    printed, cpu_s = tree_cpu.run([sys.executable, "-c", start])
    assert printed.split() == ["started"]
    assert cpu_s >= 0.3


def test_a_command_that_fails_is_an_error_that_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3: .*no such model"):
        tree_cpu.run([sys.executable, "-c", "import sys; print('no such model', file=sys.stderr); sys.exit(3)"])


def test_the_tokenizer_for_aiperf_knows_the_words_of_the_answer(tmp_path: Path) -> None:
    folder = language_tools.tokenizer(tmp_path)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert set(ANSWER.split()) < set(vocabulary)
