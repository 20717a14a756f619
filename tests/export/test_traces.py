"""A replay as a trace, at real receivers over both protocols; the model server is real and has the same trace."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldwatch.core.judgement import Judgement, Validity
from goldwatch.core.outcome import Outcome
from goldwatch.core.trace import Asked, Trace, Traced
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.pipeline import Judged, run
from goldwatch.export import measurement as m
from goldwatch.export.catalogue import REQUEST_LATENCY
from goldwatch.export.collector import Collector, Protocol
from goldwatch.export.exporter import Replayed
from goldwatch.export.otlp import OtlpExporter, Pushing
from goldwatch.export.otlp_traces import QUEUE
from goldwatch.ipc.workers import Workers

from tests.language_server import (
    CAPITALS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    LanguageServer,
    golden_capitals,
    language_server,
)
from tests.otlp import Received, attributes, receiver, until

Make = Callable[..., Judgement]
CLIENT = 3
ERROR = 2


EVERY_S = 6.0  # which is also how long a push may take, and spans are pushed once


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def spans(protocol: Protocol) -> Iterator[Received]:
    with receiver(protocol) as found:
        yield found


@pytest.fixture
def server() -> Iterator[LanguageServer]:
    with language_server() as found:
        yield found


@pytest.fixture
def exporter(spans: Received, protocol: Protocol) -> Iterator[OtlpExporter]:
    made = OtlpExporter(Collector(spans.url, protocol), Pushing(EVERY_S, {"k8s.pod.name": "atlas-0"}, traces=True))
    yield made
    made.close()


def replayed(folder: Path, server: LanguageServer, share: float) -> tuple[Replayed, Judged]:
    """Replay a language model under a trace that samples a share of the requests."""
    golden_capitals(folder / "golden")
    config = folder / "goldwatch.yaml"
    target = f"{{probe: openai, url: '{server.url}', stream: false}}"
    config.write_text(
        f"targets: {{atlas: {target}}}\ngolden: {{atlas: ./golden}}\n"
        "watches: {atlas: {load: {warmup: 1, repeats: 0}}}\n"
    )
    workers = Workers()
    try:
        (assignment,) = prepare(config, workers).assignments
        trace = Trace.new(share, 100, len(CAPITALS))
        judged = run(dataclasses.replace(assignment, trace=trace), workers, {})
    finally:
        workers.close()
    assert judged.traced is not None
    address = assignment.target.address
    return Replayed(judged.judgement, judged.traced, address, "chat"), judged


@pytest.mark.slow
def test_a_request_and_the_servers_own_spans_are_in_one_trace(
    exporter: OtlpExporter, spans: Received, server: LanguageServer, tmp_path: Path
) -> None:
    found, judged = replayed(tmp_path, server, 1.0)
    exporter.follow(found)
    until(lambda: len(spans.spans) == 1 + len(CAPITALS), "the spans arrive")
    (root,) = spans.named("replay atlas")
    requests = spans.named("chat atlas")
    trace_id = root.trace_id.hex()
    warm, *sent = (headers["traceparent"].split("-") for headers in server.asked)
    assert {each[1] for each in sent} == {trace_id} == {span.trace_id.hex() for span in requests}
    assert {each[2] for each in sent} == {span.span_id.hex() for span in requests}, "so the server's spans join below"
    assert {each[3] for each in sent} == {"01"}
    assert warm[1] != trace_id, "what warms up is no part of the replay"
    assert {span.parent_span_id for span in requests} == {root.span_id}
    assert all(span.kind == CLIENT for span in requests)
    assert all(root.start_time_unix_nano <= s.start_time_unix_nano < s.end_time_unix_nano for s in requests)
    assert all(span.end_time_unix_nano <= root.end_time_unix_nano for span in requests)
    assert root.start_time_unix_nano == round(judged.judgement.run.started_at * 1e9)
    durations = sorted((s.end_time_unix_nano - s.start_time_unix_nano) / 1e9 for s in requests)
    assert durations == pytest.approx(sorted(judged.judgement.run.latencies_s))
    assert spans.resource["traces"]["k8s.pod.name"] == "atlas-0"
    assert spans.resource["traces"]["service.name"] == "goldwatch"


@pytest.mark.slow
def test_what_the_semantic_conventions_want_is_there(
    exporter: OtlpExporter, spans: Received, server: LanguageServer, tmp_path: Path
) -> None:
    found, _ = replayed(tmp_path, server, 1.0)
    exporter.follow(found)
    until(lambda: len(spans.spans) == 1 + len(CAPITALS), "the spans arrive")
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "test",
        "gen_ai.request.model": "atlas",
        "gen_ai.response.model": "atlas",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    of_answer = {
        "gen_ai.usage.input_tokens": INPUT_TOKENS,
        "gen_ai.usage.output_tokens": OUTPUT_TOKENS,
        "gen_ai.response.finish_reasons": ["stop"],
    }
    request = attributes(spans.named("chat atlas")[0])
    assert request.items() >= (common | {"goldwatch.sampled": True}).items()
    assert {name: request[name] for name in of_answer} == of_answer
    root = attributes(spans.named("replay")[0])
    assert (root["goldwatch.watch"], root["goldwatch.target"], root["goldwatch.validity"]) == (
        "atlas",
        "atlas",
        "valid",
    )
    until(lambda: "gen_ai.client.token.usage" in spans.metrics, "the metrics arrive")
    where = common | {"goldwatch.watch": "atlas", "goldwatch.target": "atlas"}
    (duration,) = spans.metrics["gen_ai.client.operation.duration"].exponential_histogram.data_points
    assert (attributes(duration), duration.count) == (where, len(CAPITALS))
    usage = spans.metrics["gen_ai.client.token.usage"]
    assert usage.unit == "{token}"
    of_type = {
        attributes(p).pop("gen_ai.token.type"): (p.count, p.sum) for p in usage.exponential_histogram.data_points
    }
    n = len(CAPITALS)
    assert of_type == {"input": (n, n * INPUT_TOKENS), "output": (n, n * OUTPUT_TOKENS)}
    assert "gen_ai.client.operation.time_to_first_chunk" not in spans.metrics, "nothing was streamed"


@pytest.mark.slow
def test_a_failed_request_says_so(
    exporter: OtlpExporter, spans: Received, server: LanguageServer, tmp_path: Path
) -> None:
    server.status = 503
    found, judged = replayed(tmp_path, server, 0.01)
    assert judged.judgement.findings.validity is not Validity.VALID
    exporter.follow(found)
    until(lambda: spans.named("replay"), "the spans arrive")
    (root,) = spans.named("replay")
    assert root.status.code == ERROR
    assert root.status.message
    assert attributes(root)["error.type"] == "insufficient"
    requests = spans.named("chat")
    assert len(requests) == len(CAPITALS), "all of them, though one in a hundred is sampled"
    assert {attributes(span)["error.type"] for span in requests} == {"rejected"}
    assert {span.status.code for span in requests} == {ERROR}
    assert [attributes(span)["goldwatch.sampled"] for span in requests].count(True) == 1
    assert [headers["traceparent"][-2:] for headers in server.asked[-len(CAPITALS) :]].count("01") == 1
    until(lambda: "gen_ai.client.operation.duration" in spans.metrics, "the metrics arrive")
    (duration,) = spans.metrics["gen_ai.client.operation.duration"].exponential_histogram.data_points
    assert (attributes(duration)["error.type"], duration.count) == ("rejected", len(CAPITALS))


def many(judgement: Judgement, count: int) -> Replayed:
    """Make a replay with `count` requests that have a span."""
    trace = Trace("ab" * 16, 1000, 1, 0)
    asked = [
        Asked(trace.span_id(i), i, 10**18 + i, 5_000_000, 0.005 + i * 1e-6, Outcome.OK, sampled=True, spanned=True)
        for i in range(count)
    ]
    return Replayed(judgement, Traced(trace, 10**18, 10**18 + 10**9, tuple(asked)))


@pytest.mark.slow
def test_a_slow_request_leads_from_the_histogram_to_its_trace(
    exporter: OtlpExporter, spans: Received, judgement: Make
) -> None:
    found = many(judgement(latencies_s=(0.001, 0.005, 0.001)), 1)
    exporter.publish(m.of_judgement(found.judgement, None, m.exemplars(found.traced)))
    until(lambda: REQUEST_LATENCY.otel_name in spans.metrics, "the metrics arrive")
    exemplars: list[Any] = []

    def arrived() -> bool:
        points = spans.metrics[REQUEST_LATENCY.otel_name].exponential_histogram.data_points
        exemplars.extend(e for point in points for e in point.exemplars)
        return bool(exemplars)

    until(arrived, "an exemplar arrives")
    (exemplar,) = exemplars[:1]
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == ("ab" * 16, f"{1001:016x}")
    assert exemplar.as_double == 0.005


@pytest.mark.slow
def test_without_traces_there_are_no_spans_and_no_exemplars(
    spans: Received, protocol: Protocol, judgement: Make
) -> None:
    exporter = OtlpExporter(Collector(spans.url, protocol), Pushing(EVERY_S))
    found = many(judgement(latencies_s=(0.005,)), 1)
    exporter.follow(found)
    exporter.publish(m.of_judgement(found.judgement, None, m.exemplars(found.traced)))
    until(lambda: REQUEST_LATENCY.otel_name in spans.metrics, "the metrics arrive")
    exporter.close()
    assert spans.spans == []
    points = spans.metrics[REQUEST_LATENCY.otel_name].exponential_histogram.data_points
    assert not any(point.exemplars for point in points)


@pytest.mark.slow
def test_a_collector_that_is_down_costs_spans_and_nobodys_time(judgement: Make) -> None:
    lost: list[tuple[str, int]] = []
    collector = Collector("http://127.0.0.1:9")  # a closed port
    exporter = OtlpExporter(collector, Pushing(3600, traces=True, lost=lambda *what: lost.append(what)))
    began = time.monotonic()
    for _ in range(3):
        exporter.follow(many(judgement(), QUEUE))
    assert time.monotonic() - began < 30, "it waits for nobody"
    exporter.close()
    until(lambda: sum(n for signal, n in lost if signal == "traces") >= 2 * QUEUE, "what is lost is counted")
    assert sum(n for signal, n in lost if signal == "traces") <= 3 * (QUEUE + 1)
