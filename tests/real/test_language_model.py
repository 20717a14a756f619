"""A real language model behind a real server: SmolLM2 behind llama.cpp, frozen, watched, and silently changed."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.probe import BadAnswer, Context, Tokens
from goldwatch_probes.openai_api import OpenAI

from .agent import ROOT, free_port, until
from examples import make_prompts

pytestmark = [pytest.mark.real, pytest.mark.servers]

ENVIRONMENTS = ROOT / "tests/environments"


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    subprocess.run([ENVIRONMENTS / "make", "llamacpp"], check=True)
    port = free_port()
    command = [str(ROOT / ".venv-llamacpp/bin/python"), str(ENVIRONMENTS / "llamacpp_server.py"), str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(f"{url}/health"), "the server answers", 60)
            yield f"{url}/v1"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as page:
            return bool(page.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def golden(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoldenSet]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(make_prompts, "QUESTIONS", make_prompts.QUESTIONS[7:15])  # it takes its time on two cores
        patched.setattr(make_prompts, "REPLAYS", 2)
        yield make_prompts.make(server, tmp_path_factory.mktemp("prompts") / "golden")


def check(golden: GoldenSet, folder: Path, url: str, **options: Any) -> tuple[int, Any]:
    """Run the gate as a user does; return its exit code and its result for the one watch."""
    config = {
        "targets": {"smol": {"probe": "openai", "url": url, "max_tokens": 32, **options}},
        "golden": {"prompts": str(golden.path)},
        "watches": {
            "prompts": {
                "load": {"time_limit": "60s", "warmup": 0},
                "objectives": {"accuracy": "no worse than 5 points"},
            }
        },
    }
    file = folder / "goldwatch.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-c", "from goldwatch.cli import main; main()", "check", str(file), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["watches"][0]


def test_the_validated_model_passes(golden: GoldenSet, server: str, tmp_path: Path) -> None:
    code, found = check(golden, tmp_path, server)
    assert code == 0, found
    scores = {score["name"]: score["value"] for score in found["scores"]}
    assert scores["agreement"] == 1
    assert scores["accuracy"] >= 0.5
    assert found["tokens"]["input"] > found["examples"]
    assert found["tokens"]["output"] >= found["examples"]
    assert len(found["tokens"]["first_s"]) + sum(found["tokens"]["first_unknown"].values()) == found["examples"]
    assert found["description"]["framework"] == "llamacpp"


def test_answers_cut_short_do_not_pass(golden: GoldenSet, server: str, tmp_path: Path) -> None:
    """Four of eight turned wrong: too few to separate a loss of accuracy from chance (p 0.125), and no pass either."""
    code, found = check(golden, tmp_path, server, more={"max_tokens": 1})
    assert (code, found["result"]) == (2, "could not measure"), found
    assert found["difference"]["harmful"] > 0
    assert found["difference"]["flips"][0]["now"]
    assert found["tokens"]["finish"] == {"length": found["examples"]}


def asked(url: str, inputs: dict[str, str], **options: Any) -> tuple[dict[str, Any], Tokens]:
    with closing(OpenAI(OpenAI.Options(url=url, **options), Context(time_limit_s=60))) as probe:
        probe.open()
        answer = probe.predict(probe.encode({name: np.array([text], dtype=object) for name, text in inputs.items()}))
        return {name: found.tolist() for name, found in probe.decode(answer).items()}, probe.tokens(answer)


def test_the_responses_api_says_what_chat_says(server: str) -> None:
    question = {"prompt": "What is 2+2? Answer with a number."}
    chat, _ = asked(server, question, max_tokens=16)
    for stream in (True, False):
        found, tokens = asked(server, question, api="responses", max_tokens=16, stream=stream)
        assert found == chat
        assert (tokens.finish, tokens.input is None, tokens.output is None) == ("stop", False, False)
        assert tokens.first_unknown in (("", "together") if stream else ("whole",))


def test_a_server_that_ignores_echo_is_told(server: str) -> None:
    question = {"prompt": "The capital of France is", "choices": '[" Paris", " Lima"]'}
    with pytest.raises(BadAnswer, match="the server does not echo the tokens of the prompt"):
        asked(server, question, api="choices")


def test_embeddings_agree_with_their_reference(tmp_path: Path) -> None:
    texts = ["a red apple", "a green apple", "the law of the sea"]
    with serving("embeddings") as url:
        options: dict[str, Any] = {"url": url, "api": "embeddings"}
        with closing(OpenAI(OpenAI.Options(**options), Context(time_limit_s=60))) as probe:
            probe.open()
            vectors = probe.decode(probe.predict(probe.encode({"text": np.array(texts, dtype=object)})))["embedding"]
        manifest = {
            "name": "texts",
            "version": "1",
            "task": "embedding",
            "examples": 3,
            "inputs": {"text": {"dtype": "text", "shape": []}},
            "outputs": {"embedding": {"dtype": "float32", "shape": [vectors.shape[1]], "tolerance": 0.001}},
            "reference": {"replays": [1, 1], "deterministic": True},
            "provenance": {"source": "written for goldwatch"},
            "licence": "Apache-2.0",
        }
        tensors = {"outputs.embedding": vectors, "reference.right": np.ones((2, 3), np.int64)}
        golden = freeze(tmp_path / "golden", manifest, tensors, [{"inputs": {"text": text}} for text in texts])
        code, found = check(golden, tmp_path, **options)
    assert code == 0, found
    assert {score["name"] for score in found["scores"]} == {"agreement", "cosine_similarity"}
    assert found["scores"][0]["value"] == 1
