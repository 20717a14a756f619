"""Replays as OpenTelemetry traces: a span for each, and one below it for each request that `daemon.traced` chose.

They are made when the replay has ended, with the times and ids that it had: the server's own spans have joined before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from goldwatch import __version__
from goldwatch.core.judgement import Validity
from goldwatch.core.outcome import Outcome
from goldwatch.core.trace import Asked
from goldwatch.export import gen_ai
from goldwatch.export.exporter import Replayed
from goldwatch.export.metric import attribute
from goldwatch.export.push import Backlog, Batches, Failures

QUEUE = 2048
"""So many spans wait at most; more are given up."""


class OtlpTraces:
    """Turns replays into spans, which a thread of its own pushes. A collector that is down costs spans and no time."""

    def __init__(
        self, inner: SpanExporter, failures: Failures, backlog: Backlog, resource: Resource, every_s: float
    ) -> None:
        """Push through the SDK's exporter `inner` every `every_s` seconds."""
        self._ids = _Ids()
        self._lock = threading.Lock()
        self._batches = Batches(failures, backlog)
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        batches = BatchSpanProcessor(_Push(inner, self._batches), QUEUE, every_s * 1000)
        self._provider.add_span_processor(_Bounded(batches, backlog))
        self._tracer = self._provider.get_tracer("goldwatch", __version__)

    def follow(self, replayed: Replayed) -> None:
        """Make the spans of a replay and queue them."""
        with self._lock:  # the ids of a replay are given out by one thread at a time
            root = self._root(replayed)
            within = set_span_in_context(root, Context())
            common = of_server(replayed)
            model = gen_ai.attributes(replayed) if gen_ai.is_generative(replayed) else None
            for asked in replayed.traced.asked:
                if asked.spanned:
                    self._request(asked, within, common, model, _name(replayed, model))
            root.end(replayed.traced.ended_ns)

    def close(self) -> None:
        """Push once more if the collector takes it at once, and end."""
        self._batches.end()
        with contextlib.suppress(Exception):  # whatever a collector does, the agent ends
            self._provider.shutdown()

    def _root(self, replayed: Replayed) -> Span:
        traced, judgement = replayed.traced, replayed.judgement
        self._ids.trace_id, self._ids.span_id = int(traced.trace.trace_id, 16), traced.trace.root
        root = self._tracer.start_span(f"replay {judgement.subject.watch}", Context(), start_time=traced.started_ns)
        root.set_attributes(
            {
                **of_pair(replayed),
                "goldwatch.golden": judgement.subject.golden,
                "goldwatch.probe": judgement.subject.probe,
                "goldwatch.scenario": judgement.run.scenario,
                "goldwatch.validity": str(judgement.findings.validity),
                "goldwatch.requests": sum(judgement.findings.outcomes.values()),
                **of_server(replayed),
            }
        )
        if judgement.findings.validity is not Validity.VALID:
            root.set_attribute("error.type", str(judgement.findings.validity))
            root.set_status(Status(StatusCode.ERROR, "; ".join(judgement.findings.reasons)))
        return root

    def _request(
        self, asked: Asked, within: Context, common: Mapping[str, str | int], model: gen_ai.Attributes | None, name: str
    ) -> None:
        self._ids.span_id = asked.span_id
        span = self._tracer.start_span(name, within, SpanKind.CLIENT, start_time=asked.started_ns)
        span.set_attributes({**common, "goldwatch.example": asked.example, "goldwatch.sampled": asked.sampled})
        if model is not None:
            span.set_attributes(model | gen_ai.of_answer(asked))
        if asked.outcome is not Outcome.OK:
            span.set_attribute("error.type", asked.outcome.label)
            span.set_status(Status(StatusCode.ERROR))
        span.end(asked.started_ns + asked.duration_ns)


def of_pair(replayed: Replayed) -> dict[str, str | int]:
    """Return the attributes of the watch and the target."""
    return {
        attribute("watch"): replayed.judgement.subject.watch,
        attribute("target"): replayed.judgement.subject.target,
    }


def of_server(replayed: Replayed) -> dict[str, str | int]:
    """Return the attributes of the server of a target, none for a model in process."""
    if replayed.server is None:
        return {}
    return {"server.address": replayed.server[0], "server.port": replayed.server[1]}


def _name(replayed: Replayed, model: gen_ai.Attributes | None) -> str:
    if model is not None:
        return f"{model['gen_ai.operation.name']} {model['gen_ai.request.model']}"
    return f"predict {replayed.judgement.subject.target}"


class _Ids(IdGenerator):
    """Returns the ids set beforehand."""

    trace_id = 0
    span_id = 0

    def generate_span_id(self) -> int:
        return self.span_id

    def generate_trace_id(self) -> int:
        return self.trace_id


class _Bounded(SpanProcessor):
    """Hands on a span while there is room for it."""

    def __init__(self, inner: SpanProcessor, backlog: Backlog) -> None:
        self._inner = inner
        self._backlog = backlog

    def on_end(self, span: ReadableSpan) -> None:
        if self._backlog.admit():
            self._inner.on_end(span)

    def shutdown(self) -> None:
        self._inner.shutdown()


class _Push(SpanExporter):
    """The SDK's exporter, which fails quietly."""

    def __init__(self, inner: SpanExporter, batches: Batches) -> None:
        self._inner = inner
        self._batches = batches

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._batches.push(self._inner.export, spans, SpanExportResult.SUCCESS, SpanExportResult.FAILURE)

    def shutdown(self) -> None:
        self._batches.quietly(self._inner.shutdown)
