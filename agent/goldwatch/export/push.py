"""Wraps the SDK's exporter to a collector: failures are logged once, and ended series are left out."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from goldwatch.export.metric import attribute

log = logging.getLogger("goldwatch")

Record = TypeVar("Record")
Result = TypeVar("Result")

_SAY_AGAIN_AFTER_S = 3600.0
_CLOSE_LIMIT_MS = 500.0
_MAX_REASON = 300


class Push(MetricExporter):
    """Hands metrics to `inner`, and its failures to `failures`."""

    def __init__(self, inner: MetricExporter, failures: Failures) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner = inner
        self._failures = failures
        self._retired: frozenset[tuple[str, str]] = frozenset()
        self._closed = False

    def leave_out(self, retired: frozenset[tuple[str, str]]) -> None:
        """Leave out the points of these watches and targets, which the SDK itself cannot forget."""
        self._retired = retired

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: Any,  # noqa: ANN401 - as the SDK declares it
    ) -> MetricExportResult:
        """Push once. Raises nothing."""
        data = _without(metrics_data, self._retired)
        with self._failures.overheard() as said:
            try:
                result = self._inner.export(data, timeout_millis, **kwargs)
            except Exception as error:  # noqa: BLE001, RUF100 - whatever a collector does, the agent goes on
                said.append(str(error))
                result = MetricExportResult.FAILURE
        if not self._closed:
            self._failures.note(ok=result is MetricExportResult.SUCCESS, said=said)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - as the SDK declares it
        """Do nothing: nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - as the SDK
        """Abort the current push and close the connection."""
        self._closed = True
        with self._failures.overheard():
            self._inner.shutdown(timeout_millis=min(timeout_millis, _CLOSE_LIMIT_MS))


class Backlog:
    """Counts the records that wait for a push, refuses more than `most`, and reports each that is given up to `lost`.

    Thread-safe.
    """

    def __init__(self, most: int, lost: Callable[[int], None] = lambda _: None) -> None:
        self._most = most
        self._lost = lost
        self._lock = threading.Lock()
        self._waiting = 0

    def admit(self) -> bool:
        """Say whether there is room for one more, which then waits."""
        with self._lock:
            room = self._waiting < self._most
            self._waiting += room
        if not room:
            self.lose(1)
        return room

    def take(self, count: int) -> None:
        """Note that `count` records wait no more: they are being pushed."""
        with self._lock:
            self._waiting -= count

    def lose(self, count: int) -> None:
        """Note that `count` records were given up."""
        self._lost(count)


class Failures:
    """Warns of the pushes of one signal that fail, and of rejected records: at first, and then once an hour each."""

    def __init__(
        self,
        signal: str,
        endpoint: str,
        loggers: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        failed: Callable[[], None] = lambda: None,
        lost: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Call `failed` after each push that fails, and `lost` with the number of records that are rejected.

        `loggers` are those of the SDK's exporter, whose own words (a line for each try) go into the warning instead of
        the log.
        """
        self._signal = signal
        parts = urlsplit(endpoint)
        self._where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)  # without a password
        self._loggers = [logging.getLogger(name) for name in loggers]
        self._clock = clock
        self._failed = failed
        self._lost = lost
        self._count = 0
        self._said_at: float | None = None
        self._rejected = 0
        self._rejected_at: float | None = None

    def overheard(self) -> AbstractContextManager[list[str]]:
        """Keep the messages of the SDK's exporter in this thread out of the log, and collect them."""
        return _overheard(self._loggers)

    def note(self, *, ok: bool, said: Sequence[str]) -> None:
        """Record the result of a push, and log it if due."""
        if ok and self._count:
            log.info("%s reach the OpenTelemetry collector at %s again", self._signal, self._where)
            self._said_at = None
        self._count = 0 if ok else self._count + 1
        if not ok:
            self._failed()
        now = self._clock()
        if ok or (self._said_at is not None and now - self._said_at < _SAY_AGAIN_AFTER_S):
            return
        self._said_at = now
        why = said[0] if said else "no reason was given"
        message = "%s do not reach the OpenTelemetry collector at %s (%d failed in a row); goldwatch goes on: %s"
        log.warning(message, self._signal, self._where, self._count, why)

    def reject(self, count: int, why: str) -> None:
        """Count records that the collector rejected of a push that it took, and warn if it is time to.

        With a `count` of 0, `why` is only a warning of the collector.
        """
        if count:
            self._lost(count)
        self._rejected += count
        now = self._clock()
        if self._rejected_at is not None and now - self._rejected_at < _SAY_AGAIN_AFTER_S:
            return
        self._rejected_at = now
        outcome = f"rejected {self._rejected} records" if self._rejected else "gave a warning"
        self._rejected = 0
        message = "the OpenTelemetry collector at %s took a push of %s but %s; goldwatch goes on: %s"
        # A line break could forge a line of the log.
        reason = "".join(c if c.isprintable() else " " for c in why[:_MAX_REASON])
        log.warning(message, self._where, self._signal, outcome, reason or "no reason was given")


class Batches:
    """The pushes of one signal whose records wait in a backlog: they fail quietly, and what is lost is counted."""

    def __init__(self, failures: Failures, backlog: Backlog) -> None:
        self._failures = failures
        self._backlog = backlog
        self._ending = False

    def push(
        self, export: Callable[[Sequence[Record]], Result], batch: Sequence[Record], ok: Result, bad: Result
    ) -> Result:
        """Push a batch by the SDK's own `export`, which returns `ok` if it arrived; `bad` is returned if it raises."""
        self._backlog.take(len(batch))
        with self._failures.overheard() as said:
            try:
                result = export(batch)
            except Exception as error:  # noqa: BLE001, RUF100 - as for metrics
                said.append(str(error))
                result = bad
        if result is not ok:
            self._backlog.lose(len(batch))
        if not self._ending:
            self._failures.note(ok=result is ok, said=said)
        return result

    def end(self) -> None:
        """Note that the agent ends: later failures are expected."""
        self._ending = True

    def quietly(self, shutdown: Callable[[], object]) -> None:
        """End the SDK's exporter without a word of it in the log."""
        with self._failures.overheard():
            shutdown()


@contextmanager
def _overheard(loggers: Sequence[logging.Logger]) -> Iterator[list[str]]:
    """Keep this thread's messages to `loggers` out of the log, and yield them."""
    said: list[str] = []
    thread = threading.get_ident()

    def hear(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        said.append(record.getMessage())
        return False

    for logger in loggers:
        logger.addFilter(hear)
        logger.filters.insert(0, logger.filters.pop())  # before the SDK's own, which drops repeated messages
    try:
        yield said
    finally:
        for logger in loggers:
            logger.removeFilter(hear)


def _without(data: MetricsData, retired: frozenset[tuple[str, str]]) -> MetricsData:
    if not retired:
        return data
    resources = []
    for resource in data.resource_metrics:
        scopes = [
            replace(s, metrics=[kept for m in s.metrics if (kept := _kept(m, retired)).data.data_points])
            for s in resource.scope_metrics
        ]
        resources.append(replace(resource, scope_metrics=scopes))
    return replace(data, resource_metrics=resources)


def _kept(metric: SdkMetric, retired: frozenset[tuple[str, str]]) -> SdkMetric:
    points = [p for p in metric.data.data_points if not _is_of(p.attributes, retired)]
    return replace(metric, data=replace(metric.data, data_points=points))  # type: ignore[arg-type] # any kind of points


def _is_of(attributes: Any, retired: frozenset[tuple[str, str]]) -> bool:  # noqa: ANN401 - the SDK's mapping or None
    attributes = attributes or {}
    return (attributes.get(attribute("watch")), attributes.get(attribute("target"))) in retired
