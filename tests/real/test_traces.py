"""From a slow request to its trace: a real agent, a model server, a real Prometheus, and a collector of spans."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from .agent import running, until
from .stack import prometheus
from tests.language_server import CAPITALS, golden_capitals, language_server
from tests.otlp import attributes, receiver

pytestmark = pytest.mark.real


def test_an_exemplar_in_prometheus_names_a_trace_that_model_server_and_collector_know(tmp_path: Path) -> None:
    golden = golden_capitals(tmp_path / "golden")
    with language_server() as server, receiver("http") as collector:
        otlp = {"endpoint": collector.url, "every": "10s", "traces": {"requests": "50%"}}
        contents = {
            "targets": {"atlas": {"probe": "openai", "url": server.url, "stream": False}},
            "golden": {"atlas": str(golden.path)},
            "watches": {"atlas": {"every": "2s", "jitter": "0s", "load": {"warmup": 0}}},
            "exporters": {"otlp": otlp},
        }
        (tmp_path / "prometheus").mkdir()
        storage = ["--enable-feature=exemplar-storage"]
        with (
            running(tmp_path, contents) as agent,
            prometheus(tmp_path / "prometheus", agent.port, options=storage) as ask,
        ):
            window = {"start": str(time.time() - 60), "end": str(time.time() + 600)}
            name = "goldwatch_request_latency_seconds_bucket"
            found = until(lambda: ask("query_exemplars", query=name, **window), "Prometheus has an exemplar")
            exemplar = found[0]["exemplars"][0]
            trace_id, span_id = exemplar["labels"]["trace_id"], exemplar["labels"]["span_id"]

            def whole() -> list[Any]:
                """Return the spans of the trace; the root is pushed last."""
                spans = [s for s in collector.spans if s.trace_id.hex() == trace_id]
                return spans if any(s.name.startswith("replay ") for s in spans) else []

            spans = until(whole, "the collector has the trace")
            assert span_id in {span.span_id.hex() for span in spans}
            (span,) = [span for span in spans if span.span_id.hex() == span_id]
            seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
            assert float(exemplar["value"]) == pytest.approx(seconds)
            sampled = {s.span_id.hex() for s in spans if attributes(s).get("goldwatch.sampled")}
            asked = [headers["traceparent"].split("-") for headers in server.asked]
            assert {each[2] for each in asked if each[1] == trace_id and each[3] == "01"} == sampled
            assert len([each for each in asked if each[1] == trace_id]) == len(CAPITALS)
            root = next(s.span_id.hex() for s in spans if s.name.startswith("replay "))
            replays = [line for line in agent.log.splitlines() if " replayed " in line]
            assert any(f"trace_id={trace_id}  span_id={root}" in line for line in replays), "the log names its trace"
            assert agent.value("goldwatch_pushes_records_lost_total", signal="traces") == 0
