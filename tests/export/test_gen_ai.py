"""The conventions for clients of generative models: what kind of operation each API is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from goldwatch.core.judgement import Judgement
from goldwatch.core.trace import Trace, Traced
from goldwatch.export import gen_ai
from goldwatch.export.exporter import Replayed


@pytest.mark.parametrize(
    ("probe", "api", "operation"),
    [
        ("openai", "chat", "chat"),
        ("openai", "responses", "chat"),
        ("openai", "choices", "text_completion"),
        ("openai", "rerank", "rerank"),
        ("openai", "rerank-tei", "rerank"),
        ("openai", "transcriptions", "transcription"),
        ("triton-generate", "", "text_completion"),
    ],
)
def test_each_api_has_its_operation(judgement: Callable[..., Judgement], probe: str, api: str, operation: str) -> None:
    made = judgement()
    made = replace(made, subject=replace(made.subject, probe=probe, task="generation"))
    replayed = Replayed(made, Traced(Trace("0" * 32, 1, 0, 0), 0, 1, ()), api=api)
    assert gen_ai.is_generative(replayed)
    assert gen_ai.attributes(replayed)["gen_ai.operation.name"] == operation
