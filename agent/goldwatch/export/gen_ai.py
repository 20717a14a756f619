"""OpenTelemetry's semantic conventions for clients of generative models: attributes of spans, and metrics over OTLP.

They are in development, and may change: open-telemetry/semantic-conventions-genai. The names that goldwatch itself
promises are those of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from opentelemetry.metrics import Meter

from goldwatch.core.outcome import Outcome
from goldwatch.core.trace import Asked
from goldwatch.export.exporter import Replayed

Attributes: TypeAlias = dict[str, str | int | float | bool | list[str]]

DURATION = "gen_ai.client.operation.duration"
TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - of a language model
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
METRICS: Mapping[str, tuple[str, str]] = {
    DURATION: ("s", "Duration of requests to generative models, in replays."),
    TOKEN_USAGE: ("{token}", "Tokens of the answers of a replay, as the server counts them."),
    FIRST_CHUNK: ("s", "Time from sending a request to the first text of its answer; only where it is known."),
}
"""Unit and description of each."""

_OPERATIONS = {
    "chat": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "choices": "text_completion",
    "embeddings": "embeddings",
    "rerank": "rerank",
    "rerank-tei": "rerank",
    "transcriptions": "transcription",
}


def is_generative(replayed: Replayed) -> bool:
    """Say whether a replay was of a generative model."""
    return replayed.judgement.subject.task == "generation" or replayed.api in _OPERATIONS


def _operation(replayed: Replayed) -> str:
    if replayed.judgement.subject.probe == "triton-generate":
        return "text_completion"
    return _OPERATIONS.get(replayed.api, "chat")


def attributes(replayed: Replayed) -> Attributes:
    """Return what spans and metrics of a replay of a generative model have in common."""
    model = replayed.judgement.run.description
    name = model.model if model is not None else replayed.judgement.subject.target
    return {
        "gen_ai.operation.name": _operation(replayed),
        "gen_ai.provider.name": (model.framework if model is not None else "") or replayed.judgement.subject.probe,
        "gen_ai.request.model": name,
        "gen_ai.response.model": name,
    }


def of_answer(asked: Asked) -> Attributes:
    """Return the attributes of a span for one answer."""
    found: Attributes = {}
    if asked.input_tokens is not None:
        found["gen_ai.usage.input_tokens"] = asked.input_tokens
    if asked.output_tokens is not None:
        found["gen_ai.usage.output_tokens"] = asked.output_tokens
    if asked.first_token_ns is not None:
        found["gen_ai.response.time_to_first_chunk"] = asked.first_token_ns / 1e9
    if asked.finish:
        found["gen_ai.response.finish_reasons"] = [asked.finish]
    return found


class ClientMetrics:
    """The metrics of a client, which the SDK keeps."""

    def __init__(self, meter: Meter) -> None:
        self._instruments = {name: meter.create_histogram(name, *METRICS[name]) for name in METRICS}

    def follow(self, replayed: Replayed, common: Mapping[str, str | int]) -> None:
        """Record a replay; `common` are attributes besides those of the conventions."""
        if is_generative(replayed):
            for name, value, more in _recorded(replayed):
                self._instruments[name].record(value, {**attributes(replayed), **common, **more})


def _recorded(replayed: Replayed) -> Iterator[tuple[str, float, dict[str, str]]]:
    """Yield the name, value and further attributes of each recording."""
    for asked in replayed.traced.asked:
        ok = asked.outcome is Outcome.OK
        yield DURATION, asked.duration_ns / 1e9, {} if ok else {"error.type": asked.outcome.label}
        for kind, count in (("input", asked.input_tokens), ("output", asked.output_tokens)):
            if ok and count is not None:
                yield TOKEN_USAGE, count, {"gen_ai.token.type": kind}
        if ok and asked.first_token_ns is not None:
            yield FIRST_CHUNK, asked.first_token_ns / 1e9, {}
