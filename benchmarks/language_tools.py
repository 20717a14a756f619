"""The tools that `benchmarks language` compares: each asks a language model's server for answers and times them."""

from __future__ import annotations

import contextlib
import functools
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from goldwatch.core.judgement import Validity
from goldwatch.daemon import pipeline
from goldwatch.daemon.in_force import prepare
from goldwatch.golden.freeze import freeze
from goldwatch.ipc.workers import Workers

from benchmarks import language_servers, tree_cpu, wire

AIPERF = Path(".venv-aiperf/bin/aiperf")
CLIENTS = Path(".venv-clients/bin/python")
_CLIENTS_PROGRAM = "benchmarks/language_clients.py"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a tool: the CPU seconds of all its processes, and the medians that it told, in µs.

    `first_us` and `gap_us` are the time to the first token and between tokens, which only a streamed answer has.
    """

    cpu_s: float
    latency_us: float
    first_us: float = 0.0
    gap_us: float = 0.0


Ask = Callable[[str, int, bool], Ran]
"""Asks the server at a URL, which /v1 would follow, for so many answers, streamed or not."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, and the lengths of its two runs, which separate its start from its requests: as long as it is quick.

    The shorter is 0 if the CPU time that it reports excludes its start.
    """

    ask: Ask
    whole: tuple[int, int]
    streamed: tuple[int, int]


def tools(folder: Path) -> dict[str, Tool]:
    """Return those that are installed, by name. Writes the files that they need into `folder`."""
    found = {"goldwatch": Tool(functools.partial(_goldwatch, folder), (0, 4000), (0, 500))}
    if CLIENTS.exists():
        found["openai"] = Tool(_client(str(CLIENTS), "openai"), (50, 550), (20, 170))
        found["locust"] = Tool(_client(str(CLIENTS), "locust"), (500, 4000), (100, 600))
    if AIPERF.exists():
        found["AIPerf"] = Tool(functools.partial(_aiperf, folder, tokenizer(folder)), (50, 550), (50, 350))
    return found


def bare_socket(url: str, count: int, streamed: bool) -> Ran:
    """Ask from a bare socket: what the wire and the machine take by themselves."""
    return _client(sys.executable, "socket")(url, count, streamed)


def _client(python: str, name: str) -> Ask:
    def ask(url: str, count: int, streamed: bool) -> Ran:
        kind = f"{name}-stream" if streamed else name
        command = [python, _CLIENTS_PROGRAM, kind, url, str(count), language_servers.PROMPT]
        printed, cpu_s = tree_cpu.run(command)
        return Ran(cpu_s, **json.loads(printed))

    return ask


def replay_alone(folder: Path, url: str, count: int, streamed: bool) -> wire.Taken:
    """Replay and do not judge. The CPU is that of the worker while it sends, as in `benchmarks wire`."""
    workers = Workers()
    try:
        [assignment] = prepare(_config(folder, url, count, streamed), workers).assignments
        found = pipeline.replay(assignment, workers)
        with contextlib.closing(found.columns):
            if found.outcomes() != {"ok": count}:
                raise RuntimeError(f"the replay failed: {found.failure or found.errors}")
            p50_us = statistics.median(found.columns.latency_ns) / 1e3
            return wire.Taken(p50_us, count / found.disturbances.cpu_s)
    finally:
        workers.close()


def _config(folder: Path, url: str, count: int, streamed: bool) -> Path:
    golden = folder / f"golden-{count}"
    if not golden.exists():
        _freeze(golden, count)
    config = folder / "goldwatch.yaml"
    target = {"probe": "openai", "url": f"{url}/v1", "model": language_servers.MODEL, "stream": streamed}
    watch = {"every": "2h", "objectives": {"latency": "1s at p50"}}
    contents = {"targets": {"model": target}, "golden": {"model": str(golden)}, "watches": {"model": watch}}
    config.write_text(yaml.safe_dump(contents))
    return config


def _goldwatch(folder: Path, url: str, count: int, streamed: bool) -> Ran:
    """Replay and judge as the agent does, twice; the CPU is that of the second time, when the workers have started."""
    workers = Workers()
    try:
        [assignment] = prepare(_config(folder, url, count, streamed), workers).assignments
        pipeline.run(assignment, workers, {})
        before_s = _cpu_s()
        judgement = pipeline.run(assignment, workers, {}).judgement
        after_s = _cpu_s()
    finally:
        workers.close()
    tokens = judgement.findings.tokens
    if judgement.findings.validity is not Validity.VALID or tokens is None or before_s.keys() != after_s.keys():
        raise RuntimeError(
            f"the replay is {judgement.findings.validity}, or a worker died: {judgement.findings.reasons}"
        )
    told = {"latency_us": judgement.run.latencies_s, "first_us": tokens.first_s, "gap_us": tokens.per_token_s}
    medians_us = {name: 1e6 * statistics.median(values) for name, values in told.items() if len(values)}
    return Ran(sum(after_s.values()) - sum(before_s.values()), **medians_us)


def _cpu_s() -> dict[int, float]:
    """Return the CPU seconds so far of this process, which is the agent here, and of each of its workers."""
    this = psutil.Process()
    ours = [this, *(child for child in this.children() if "goldwatch.worker" in child.cmdline())]
    return {process.pid: sum(process.cpu_times()[:2]) for process in ours}


def _freeze(folder: Path, count: int) -> None:
    """Freeze a golden set that the server answers rightly."""
    manifest = {
        "name": "capitals",
        "version": "1",
        "task": "generation",
        "examples": count,
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "labels": {"match": "contains"},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0, "max_bytes": 400}},
        "reference": {"replays": [1, 1], "deterministic": True},
        "provenance": {"source": "made up"},
        "licence": "CC0-1.0",
    }
    answer = language_servers.ANSWER
    line = {"inputs": {"prompt": language_servers.PROMPT}, "outputs": {"text": answer}, "answers": [answer]}
    freeze(folder, manifest, {"reference.right": np.ones((2, count), np.int64)}, [line] * count)


def _aiperf(folder: Path, words: Path, url: str, count: int, streamed: bool) -> Ran:
    """Run it as lightly as it can be: one worker, no looking at the server's metrics or at GPUs, no file of records.

    Tokens are counted by the server, as for goldwatch.
    """
    prompts, results = folder / "prompts.jsonl", folder / "aiperf"
    prompts.write_text(json.dumps({"text": language_servers.PROMPT}) + "\n")
    options = {
        "--model": language_servers.MODEL,
        "--url": url,
        "--endpoint-type": "chat",
        "--tokenizer": str(words),
        "--input-file": str(prompts),
        "--custom-dataset-type": "single_turn",
        "--extra-inputs": "max_tokens:64",
        "--concurrency": "1",
        "--request-count": str(count),
        "--workers-max": "1",
        "--record-processors": "1",
        "--ui": "none",
        "--export-level": "summary",
        "--artifact-dir": str(results),
    }
    flags = ["--use-server-token-count", "--no-server-metrics", "--no-gpu-telemetry", *["--streaming"] * streamed]
    command = [str(AIPERF), "profile", *(part for option in options.items() for part in option), *flags]
    _, cpu_s = tree_cpu.run(command)
    found = json.loads((results / "profile_export_aiperf.json").read_text())
    if found["request_count"]["avg"] != count:
        raise RuntimeError(f"AIPerf counts {found['request_count']['avg']:g} answers of {count}")
    names = ["request_latency", *["time_to_first_token", "inter_token_latency"] * streamed]
    return Ran(cpu_s, *(1e3 * found[name]["p50"] for name in names))


def tokenizer(folder: Path) -> Path:
    """Write a tokenizer of a few words. AIPerf wants one even where the server counts, and would look for it online."""
    words = {word: i for i, word in enumerate(["<unk>", "<eos>", *sorted(set(language_servers.ANSWER.split()))])}
    found: Mapping[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"},
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "eos_token": "<eos>"}
    written = folder / "tokenizer"
    written.mkdir()
    (written / "tokenizer.json").write_text(json.dumps(found))
    (written / "tokenizer_config.json").write_text(json.dumps(config))
    return written
