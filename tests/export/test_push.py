import logging
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from goldwatch.export.push import Failures, Push

NOTHING = MetricsData(resource_metrics=[])


class Collector(MetricExporter):
    """Fails as told, with a line in its log for each try."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: Exception | bool = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 1, **kwargs: Any) -> MetricExportResult:
        if isinstance(self.failing, Exception):
            raise self.failing
        if self.failing:
            logging.getLogger("collector").warning("connection %s", "refused")
            logging.getLogger("collector").error("giving up")
        return MetricExportResult.FAILURE if self.failing else MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 1) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 1, **kwargs: Any) -> None:
        logging.getLogger("collector").warning("shutting down")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def collector() -> Collector:
    return Collector()


def test_each_failure_is_told(collector: Collector) -> None:
    told: list[str] = []
    failures = Failures("metrics", "http://collector:4318", ["collector"], failed=lambda: told.append("failed"))
    push = Push(collector, failures)
    push.export(NOTHING)
    collector.failing = True
    push.export(NOTHING)
    collector.failing = OSError("gone")
    push.export(NOTHING)
    assert told == ["failed", "failed"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failures(clock: Clock) -> Failures:
    return Failures("metrics", "https://agent:secret@collector.example:4318/v1/metrics", ["collector"], clock)


@pytest.fixture
def push(collector: Collector, clock: Clock) -> Push:
    return Push(collector, failures(clock))


def said(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_collector_that_is_down_is_said_once_an_hour(
    push: Push, collector: Collector, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    collector.failing = True
    for _ in range(61):
        assert push.export(NOTHING) is MetricExportResult.FAILURE
        clock.now += 60
    template = "metrics do not reach the OpenTelemetry collector at collector.example:4318 ({} failed in a row)"
    rest = "; goldwatch goes on: connection refused"
    assert said(caplog) == [template.format(1) + rest, template.format(61) + rest]
    collector.failing = False
    push.export(NOTHING)
    push.export(NOTHING)
    assert said(caplog)[2:] == ["metrics reach the OpenTelemetry collector at collector.example:4318 again"]
    collector.failing = True
    push.export(NOTHING)
    assert len(said(caplog)) == 4


def test_rejections_are_said_once_an_hour(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    taken = failures(clock)
    for _ in range(61):
        taken.reject(7, "out\nof order")
        clock.now += 60
    clock.now += 3600
    taken.reject(0, "")
    begin = "the OpenTelemetry collector at collector.example:4318 took a push of metrics but "
    template = begin + "{}; goldwatch goes on: {}"
    assert said(caplog) == [
        template.format("rejected 7 records", "out of order"),
        template.format("rejected 420 records", "out of order"),
        template.format("gave a warning", "no reason was given"),
    ]


def test_whatever_is_raised_is_a_failure(push: Push, collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.failing = RuntimeError("no such codec")
    assert push.export(NOTHING) is MetricExportResult.FAILURE
    assert said(caplog)[0].endswith("no such codec")


def test_it_closes_in_silence(push: Push, collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    push.shutdown()
    collector.failing = True
    push.export(NOTHING)
    assert said(caplog) == []


def test_others_are_still_heard(push: Push, collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.failing = True
    push.export(NOTHING)
    logging.getLogger("collector").warning("someone else")
    assert said(caplog)[1:] == ["someone else"]
    assert logging.getLogger("collector").filters == []
