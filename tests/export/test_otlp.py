"""Pushed data, as a real receiver of OTLP over HTTP and gRPC gets it."""

import logging
import math
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from goldwatch import __version__
from goldwatch.core.judgement import Judgement
from goldwatch.energy.rapl import Rapl
from goldwatch.export import measurement as m
from goldwatch.export import otlp, push
from goldwatch.export.catalogue import (
    CATALOGUE,
    DISPATCH_LATENESS,
    ENERGY_READINGS_DROPPED,
    OBJECTIVE_LATENCY,
    REQUEST_LATENCY,
)
from goldwatch.export.collector import Collector, Protocol
from goldwatch.export.metric import Kind
from goldwatch.export.otlp import OtlpExporter, Pushing, identity, kubernetes
from goldwatch.export.otlp_logs import QUEUE, OtlpLogs
from goldwatch.installation import install_command
from goldwatch.probe import Description

from tests.export.watches import of_watch
from tests.otlp import Received, attributes, receiver, until
from tests.powercap import Processor

Make = Callable[..., Judgement]
EVERY_S = 0.5  # which is also how long a push may take


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def received(protocol: Protocol) -> Iterator[Received]:
    with receiver(protocol) as found:
        yield found


@pytest.fixture
def exporter(received: Received, protocol: Protocol) -> Iterator[OtlpExporter]:
    made = OtlpExporter(
        Collector(received.url, protocol, {"X-Token": "s3cret"}), Pushing(EVERY_S, {"k8s.pod.name": "fraud-0"})
    )
    yield made
    made.close()


def test_everything_of_the_catalogue_arrives(exporter: OtlpExporter, received: Received, judgement: Make) -> None:
    for found in (
        m.of_build("1.2.3"),
        m.of_external_url("https://gw.example/"),
        m.of_accepted_config(1.79e9),
        m.of_pusher(["metrics", "logs"]),
        m.of_lease("l", leads=True),
        m.of_slots(4, 1.5, 2),
        [m.Measurement(ENERGY_READINGS_DROPPED, {}, 0)],
        of_watch(),
    ):
        exporter.publish(found)
    exporter.publish(m.of_judgement(judgement()))
    exporter.publish(m.of_judgement(judgement()))
    exporter.publish(m.of_alert("fraud", "fraud-eu", "page", ("worse",)))
    received.next()

    assert received.headers["metrics"]["x-token"] == "s3cret"
    assert received.resource["metrics"]["service.name"] == "goldwatch"
    assert received.resource["metrics"]["service.version"] == __version__
    assert received.resource["metrics"]["k8s.pod.name"] == "fraud-0"
    expected = {
        x.otel_name: (x.unit, {Kind.COUNTER: "sum", Kind.HISTOGRAM: "exponential_histogram"}.get(x.kind, "gauge"))
        for x in CATALOGUE
    }
    assert {name: (x.unit, x.WhichOneof("data")) for name, x in received.metrics.items()} == expected
    for x in CATALOGUE:
        points = getattr(received.metrics[x.otel_name], received.metrics[x.otel_name].WhichOneof("data")).data_points
        assert all(set(attributes(p)) == {f"goldwatch.{label}" for label in x.labels} for p in points), x.otel_name
    (clock,) = received.points("goldwatch.clock.timestamp").values()
    received.next()
    (later,) = received.points("goldwatch.clock.timestamp").values()
    assert clock.as_double < later.as_double, "each push is a sign of life"

    assert received.points("goldwatch.score")["accuracy",].as_double == 0.75
    assert received.points("goldwatch.requests")["ok",].as_double == 16
    assert received.metrics["goldwatch.requests"].sum.is_monotonic
    (latency,) = received.points("goldwatch.request.latency").values()
    assert latency.count == 16 == latency.zero_count + sum(latency.positive.bucket_counts)
    assert latency.sum == pytest.approx(2 * 80.8173)
    assert (latency.min, latency.max) == (0.0001, 80.0)
    assert latency.scale > 2  # at most 9 % from bound to bound, over six decades


def rejecting(received: Received, protocol: Protocol) -> list[tuple[str, int]]:
    """Push metrics, a log record and a span once each, and return the records that are counted as lost."""
    lost: list[tuple[str, int]] = []
    collector = Collector(received.url, protocol)
    exporter = OtlpExporter(collector, Pushing(3600, traces=True, lost=lambda *each: lost.append(each)))
    exporter.publish(m.of_build("1.2.3"))
    logging.getLogger("goldwatch").error("alert 7", extra={"watch": "fraud"})
    with exporter._traces._tracer.start_as_current_span("replay"):  # type: ignore[union-attr] # as a replay does
        pass
    exporter.close()
    assert all([received.metrics, received.logs, received.spans])
    return sorted(lost)


def test_records_that_a_collector_rejects_are_counted_and_told(
    received: Received, protocol: Protocol, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    received.rejected, received.why = 7, "out of order"
    assert rejecting(received, protocol) == [("logs", 7), ("metrics", 7), ("traces", 7)]
    warnings = sorted(r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    where = received.url.removeprefix("http://")
    assert warnings == [
        f"the OpenTelemetry collector at {where} took a push of {signal} but rejected 7 records; "
        "goldwatch goes on: out of order"
        for signal in ("logs", "metrics", "traces")
    ]


def test_a_warning_of_a_collector_loses_nothing(
    received: Received, protocol: Protocol, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    received.why = "names will change"
    assert rejecting(received, protocol) == []
    assert sum("gave a warning; goldwatch goes on: names will change" in r.getMessage() for r in caplog.records) == 3


def test_an_answer_that_is_not_one_of_otlp_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    with receiver("http") as received:
        received.body = b"<html>please log in</html>"
        assert rejecting(received, "http") == []
    assert sum("its answer is not one of OTLP" in r.getMessage() for r in caplog.records) == 3


def test_an_answer_in_json_is_read(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
    with receiver("http") as received:
        received.body = b'{"partialSuccess": {"errorMessage": "names will change"}}'
        received.content_type = "application/json"
        assert rejecting(received, "http") == []
    assert sum("goes on: names will change" in r.getMessage() for r in caplog.records) == 3


def test_a_limit_that_is_none_is_left_out_without_a_word(
    received: Received, protocol: Protocol, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    exporter = OtlpExporter(Collector(received.url, protocol), Pushing(3600))
    where = {"watch": "fraud", "target": "fraud-eu"}
    exporter.publish([m.Measurement(OBJECTIVE_LATENCY, where, math.inf)])
    exporter.publish(m.of_alert("fraud", "fraud-eu", "page", ("worse",)))
    exporter.close()
    assert "goldwatch.alert.active" in received.metrics
    assert "goldwatch.objective.latency" not in received.metrics
    assert not caplog.records


@pytest.mark.slow
def test_the_energy_of_the_hardware_arrives_where_a_meter_counts_it(
    received: Received, protocol: Protocol, tmp_path: Path
) -> None:
    processor = Processor(tmp_path, watts=200.0, range_uj=10**12)
    collector = Collector(received.url, protocol, {"X-Token": "s3cret"})
    exporter = OtlpExporter(collector, Pushing(EVERY_S, meters=[Rapl(processor.tree)]))
    try:
        deadline = time.monotonic() + 60
        while not ((found := received.points("hw.energy")) and min(p.as_double for p in found.values()) > 0):
            assert time.monotonic() < deadline, "no energy came"
            received.next()
    finally:
        exporter.close()
        processor.end()
    assert list(found) == [("intel-rapl:0", "cpu", "package-0")]
    energy = received.metrics["hw.energy"]
    assert (energy.unit, energy.sum.is_monotonic) == ("J", True)


@pytest.mark.slow
def test_series_end_when_they_should(exporter: OtlpExporter, received: Received, judgement: Make) -> None:
    exporter.publish(m.of_judgement(judgement(target="fraud-us")))
    exporter.publish(m.of_judgement(judgement()))
    exporter.publish(m.of_judgement(judgement(description=Description("fraud", "v18"))))
    received.next()
    versions = {labels[2] for labels in received.points("goldwatch.target.info")}
    assert versions == {"v17", "v18"}  # one of each target

    exporter.retire("fraud", "fraud-eu")
    received.next()
    targets = {
        attribute.value.string_value
        for metric in received.metrics.values()
        for point in getattr(metric, metric.WhichOneof("data")).data_points
        for attribute in point.attributes
        if attribute.key == "goldwatch.target"
    }
    assert targets == {"fraud-us"}

    exporter.publish(m.of_judgement(judgement()))
    received.next()
    assert len(received.metrics["goldwatch.request.latency"].exponential_histogram.data_points) == 2


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an exporter that ends wait for a machine that stalls."""
    monkeypatch.setattr(otlp, "_CLOSE_LIMIT_MS", 60_000.0)
    monkeypatch.setattr(push, "_CLOSE_LIMIT_MS", 60_000.0)


def test_closing_hands_over_what_is_left(
    received: Received, protocol: Protocol, judgement: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    exporter = OtlpExporter(Collector(received.url, protocol), Pushing(3600))
    exporter.publish(m.of_judgement(judgement()))
    assert received.pushes == 0
    exporter.close()
    assert received.points("goldwatch.replays")["valid",].as_double == 1
    exporter.close()


def test_only_what_is_essential_is_pushed_at_that_level(
    received: Received, protocol: Protocol, judgement: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    exporter = OtlpExporter(Collector(received.url, protocol), Pushing(3600, level="essential"))
    exporter.publish(m.of_judgement(judgement(outcomes={"ok": 5, "timeout": 2, "crashed": 1}, latencies_s=[0.1] * 5)))
    exporter.publish([m.Measurement(DISPATCH_LATENESS, {"watch": "w", "target": "t"}, [0.1])])
    exporter.close()
    assert received.points("goldwatch.requests")["failed",].as_double == 3
    assert "goldwatch.request.latency" in received.metrics
    assert not {"goldwatch.dispatch.lateness", "goldwatch.replay.last_duration"} & received.metrics.keys()


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which connections are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def silence() -> Iterator[str]:
    """An address at which connections are taken and never answered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["nobody", "silence"])
def test_a_collector_that_is_down_holds_nobody_up(
    kind: str,
    protocol: Protocol,
    judgement: Make,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    every_s = 0.3  # which is also how long a push may take
    exporter = OtlpExporter(Collector(request.getfixturevalue(kind), protocol), Pushing(every_s))
    publishing_s = []
    for _ in range(9):
        began = time.monotonic()
        exporter.publish(m.of_judgement(judgement()))
        publishing_s.append(time.monotonic() - began)
        time.sleep(every_s / 2)
    began = time.monotonic()
    exporter.close()
    closing_s = time.monotonic() - began
    assert sorted(publishing_s)[4] < every_s / 2, "it waits for a push"
    assert closing_s < 30, "it waits for all that is left"
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1, warnings
    assert warnings[0].startswith("metrics do not reach the OpenTelemetry collector at 127.0.0.1:")


@pytest.mark.slow
def test_what_is_said_of_a_watch_arrives_as_log_records(
    received: Received, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(received.url, protocol, {"X-Token": "s3cret"})
    with closing(OtlpExporter(collector, Pushing(10.0, {"k8s.pod.name": "fraud-0"}))):  # records are pushed once
        log = logging.getLogger("goldwatch")
        caplog.set_level(logging.INFO, "goldwatch")
        where = {"watch": "fraud", "target": "eu"}
        log.info(
            "replayed",
            extra=where
            | {"validity": "valid", "accuracy": 0.9, "worse": "alerting", "reasons": ["a", "b"]}
            | {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"},
        )
        log.error("alert 7\n[page] eu is worse", extra=where | {"severity": "page"})
        log.warning("not about any watch")
        until(lambda: len(received.logs) >= 2, "no log record came")
    replay, alert = received.logs
    assert (replay.event_name, replay.body.string_value, replay.severity_text) == (
        "goldwatch.replay",
        "replayed",
        "INFO",
    )
    told = {a.key: a.value for a in replay.attributes}
    assert all(name.startswith("goldwatch.") for name in told)
    assert told["goldwatch.watch"].string_value == "fraud"
    assert "goldwatch.trace_id" not in told
    assert (replay.trace_id.hex(), replay.span_id.hex(), replay.flags) == (
        "0af7651916cd43dd8448eb211c80319c",
        "b7ad6b7169203331",
        1,
    )
    assert not any([*alert.trace_id, *alert.span_id, alert.flags]), "it belongs to no replay"
    assert told["goldwatch.accuracy"].double_value == 0.9
    assert [v.string_value for v in told["goldwatch.reasons"].array_value.values] == ["a", "b"]
    assert (alert.event_name, alert.body.string_value) == ("goldwatch.alert", "alert 7\n[page] eu is worse")
    assert alert.severity_number == 17  # ERROR in OpenTelemetry
    assert received.headers["logs"]["x-token"] == "s3cret"
    assert received.resource["logs"]["service.name"] == "goldwatch"
    assert received.resource["logs"]["k8s.pod.name"] == "fraud-0"


def test_logging_waits_for_no_collector_and_the_queue_is_bounded(
    silence: str, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    exporter = OtlpExporter(Collector(silence, protocol), Pushing(0.3, failed=told.append))
    log = logging.getLogger("goldwatch")
    caplog.set_level(logging.INFO, "goldwatch")
    began = time.monotonic()
    for n in range(5 * QUEUE):
        log.info("replayed", extra={"watch": "fraud", "target": "eu", "n": n})
    assert time.monotonic() - began < 30
    until(lambda: "logs" in told, "no failed push of logs was told")
    exporter.close()
    assert not [handler for handler in log.handlers if isinstance(handler, OtlpLogs)], "a closed one hears nothing"


def test_a_pod_is_known_by_the_downward_api() -> None:
    environ = {"POD_NAME": "fraud-0", "POD_NAMESPACE": "ml", "NODE_NAME": "n7", "POD_UID": "", "HOME": "/root"}
    known = {"k8s.pod.name": "fraud-0", "k8s.namespace.name": "ml", "k8s.node.name": "n7"}
    assert kubernetes(environ) == known
    where = {"NODE_ZONE": "eu-west-1a", "NODE_REGION": "eu-west-1"}
    placed = {"cloud.availability_zone": "eu-west-1a", "cloud.region": "eu-west-1"}
    assert kubernetes(environ | where) == known | placed


def test_an_instance_keeps_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    pod = {"POD_NAME": "fraud-0", "POD_NAMESPACE": "ml"}
    ledger = Path("/var/lib/goldwatch/goldwatch.db")
    known = {"service.namespace": "ml", "service.instance.id": "ml.fraud-0.goldwatch"}
    assert identity(pod, "fraud-0", ledger) == known
    other = identity(pod | {"POD_CONTAINER": "canary"}, "fraud-0", ledger)
    assert other["service.instance.id"] == "ml.fraud-0.canary"
    alone = identity({}, "host", ledger)
    assert alone == identity({}, "host", ledger)
    assert alone.keys() == {"service.instance.id"}
    others = [identity({}, "host", Path("/other.db")), identity({}, "other", ledger)]
    ids = {uuid.UUID(each["service.instance.id"]) for each in (alone, *others)}
    assert (len(ids), {each.version for each in ids}) == (3, {5})


def test_what_the_environment_says_of_the_instance_goes_first(
    received: Received, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine,deployment.environment.name=lab")
    about = identity({"POD_NAME": "fraud-0", "POD_NAMESPACE": "ml"}, "", Path("x"))
    exporter = OtlpExporter(Collector(received.url, protocol), Pushing(3600, about))
    exporter.publish(m.of_build("1.2.3"))
    exporter.close()
    found = received.resource["metrics"]
    assert (found["service.instance.id"], found["service.namespace"]) == ("mine", "ml")
    assert found["deployment.environment.name"] == "lab"


def test_closing_does_not_wait_for_a_collector_that_hangs(
    silence: str, protocol: Protocol, judgement: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "_PUSH_LIMIT_S", 120.0)  # the push itself would wait that long
    exporter = OtlpExporter(Collector(silence, protocol), Pushing(3600))
    exporter.publish(m.of_judgement(judgement()))
    began = time.monotonic()
    exporter.close()
    assert time.monotonic() - began < 60


def test_a_large_replay_is_taken_in_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
    with receiver("http") as received:
        exporter = OtlpExporter(Collector(received.url, "http"), Pushing(3600))
        latencies = [0.001 + i * 1e-6 for i in range(10_000)]
        began = time.monotonic()
        exporter.publish([m.Measurement(REQUEST_LATENCY, {"watch": "w", "target": "t"}, latencies)])
        assert time.monotonic() - began < 30
        exporter.close()
    (point,) = received.points("goldwatch.request.latency").values()
    assert point.count == 10_000


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match='"collector:4317" is no address of a collector; write http://HOST:PORT'):
        Collector("collector:4317", "grpc")


def test_a_missing_extra_is_named(protocol: Protocol) -> None:
    script = (
        f"import sys; sys.modules['opentelemetry.exporter.otlp.proto.{protocol}.metric_exporter'] = None\n"
        "from goldwatch.errors import GoldwatchError\n"
        "from goldwatch.export.collector import Collector\n"
        "from goldwatch.export.otlp import OtlpExporter, Pushing\n"
        f"try: OtlpExporter(Collector('http://localhost:1', {protocol!r}), Pushing(60))\n"
        "except GoldwatchError as error: print(error)"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    command = install_command(f"opentelemetry-exporter-otlp-proto-{protocol}")
    assert "[otlp]" in command
    assert found.stdout == f"OTLP over {protocol} needs more packages: {command}\n"
