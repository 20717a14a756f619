"""Freeze a golden set of prompts: questions, their answers, and the outputs of a validated language model.

`python examples/make_prompts.py URL FOLDER`, with the model behind a server that speaks OpenAI's API, such as
`http://localhost:8000/v1`. The reference is taken through the same probe that will watch the model.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.probe import Context
from goldwatch.worker.evaluators.text import matches
from goldwatch_probes.openai_api import OpenAI

REPLAYS = 4
QUESTIONS: tuple[tuple[str, str, list[str]], ...] = (
    ("geography", "What is the capital of France?", ["Paris"]),
    ("geography", "What is the capital of Japan?", ["Tokyo"]),
    ("geography", "What is the capital of Italy?", ["Rome"]),
    ("geography", "On which continent is Egypt?", ["Africa"]),
    ("geography", "Which ocean is between Europe and America?", ["Atlantic"]),
    ("geography", "What is the longest river of Egypt?", ["Nile"]),
    ("nature", "What colour is a clear sky by day?", ["blue"]),
    ("nature", "What colour is fresh grass?", ["green"]),
    ("nature", "How many legs does a spider have?", ["8", "eight"]),
    ("nature", "What is frozen water called?", ["ice"]),
    ("nature", "Which star gives light to the Earth?", ["Sun"]),
    ("nature", "What do bees make?", ["honey"]),
    ("number", "What is 2 + 2?", ["4", "four"]),
    ("number", "What is 10 minus 3?", ["7", "seven"]),
    ("number", "How many days are in a week?", ["7", "seven"]),
    ("number", "How many months are in a year?", ["12", "twelve"]),
    ("number", "What is half of 100?", ["50", "fifty"]),
    ("number", "How many sides does a triangle have?", ["3", "three"]),
    ("words", "What is the opposite of hot?", ["cold"]),
    ("words", "What is the opposite of up?", ["down"]),
    ("words", "What is the plural of mouse?", ["mice"]),
    ("words", "What is the past tense of go?", ["went"]),
    ("words", "Which language is spoken in Brazil?", ["Portuguese"]),
    ("words", "Who wrote Romeo and Juliet?", ["Shakespeare"]),
)
SLICES = ["geography", "nature", "number", "words"]


def ask(url: str) -> tuple[list[list[str]], str]:
    """Return the model's answer to each question in each reference replay, and the identity that it reports."""
    prompts = {"prompt": np.array([question for _, question, _ in QUESTIONS], dtype=object)}
    with closing(OpenAI(OpenAI.Options(url=url, max_tokens=32), Context(time_limit_s=120))) as probe:
        probe.open()
        request = probe.encode(prompts)
        replays = [probe.decode(probe.predict(request))["text"].tolist() for _ in range(REPLAYS)]
        return replays, probe.describe().model


def make(url: str, folder: Path) -> GoldenSet:
    """Ask, and freeze the set."""
    replays, model = ask(url)
    right = np.array([[matches(t, a, within=True) for t, (_, _, a) in zip(r, QUESTIONS, strict=True)] for r in replays])
    half = REPLAYS // 2
    manifest = {
        "name": "prompts",
        "version": "1",
        "task": "generation",
        "examples": len(QUESTIONS),
        "inputs": {"prompt": {"dtype": "text", "shape": []}},
        "labels": {"match": "contains"},
        "outputs": {"text": {"dtype": "text", "shape": [], "tolerance": 0, "max_bytes": 1024}},
        "slices": {"subject": {"values": SLICES}},
        "reference": {
            "replays": [half, half],
            "deterministic": all(replay == replays[0] for replay in replays),
            "made_with": {"model": model},
        },
        "provenance": {"source": "written for goldwatch"},
        "licence": "Apache-2.0",
    }
    lines = [
        {"inputs": {"prompt": question}, "outputs": {"text": text}, "answers": answers}
        for text, (_, question, answers) in zip(replays[0], QUESTIONS, strict=True)
    ]
    tensors = {
        "reference.right": np.stack([right[:half].sum(axis=0), right[half:].sum(axis=0)]),
        "slices.subject": np.array([SLICES.index(subject) for subject, _, _ in QUESTIONS]),
    }
    return freeze(folder, manifest, tensors, lines)


if __name__ == "__main__":
    print("froze", make(sys.argv[1], Path(sys.argv[2])))
