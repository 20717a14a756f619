"""Events of a watch as OpenTelemetry log records: replays with their verdicts, alerts, changed targets.

Records wait in a bounded queue for a thread that pushes them: logging never waits, and a collector that is down
costs records and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from goldwatch import __version__
from goldwatch.export.metric import attribute
from goldwatch.export.push import Backlog, Batches, Failures
from goldwatch.redaction import redact_all, redact_known

QUEUE = 512
"""So many records wait at most; more are given up."""

_EVENTS = {"replayed": "goldwatch.replay", "target changed": "goldwatch.target.changed", "alert": "goldwatch.alert"}
_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class OtlpLogs(logging.Handler):
    """A handler of the logger `goldwatch` that pushes what is about a watch. Of anything else it takes no notice."""

    def __init__(
        self, inner: LogRecordExporter, failures: Failures, backlog: Backlog, resource: Resource, every_s: float
    ) -> None:
        """Push through the SDK's exporter `inner` every `every_s` seconds."""
        super().__init__(logging.INFO)
        self._provider = LoggerProvider(resource, shutdown_on_exit=False)
        self._backlog = backlog
        self._batches = Batches(failures, backlog)
        processor = BatchLogRecordProcessor(_Push(inner, self._batches), every_s * 1000, max_queue_size=QUEUE)
        self._provider.add_log_record_processor(processor)
        self._logger = self._provider.get_logger("goldwatch", __version__)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        fields = redact_all({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if "watch" not in fields or not self._backlog.admit():
            return
        within = _context(fields.pop("trace_id", ""), fields.pop("span_id", ""))
        message = redact_known(record.getMessage())
        at_ns = int(record.created * 1e9)
        self._logger.emit(
            LogRecord(
                timestamp=at_ns,
                observed_timestamp=at_ns,
                context=within,
                severity_text=record.levelname,
                severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.INFO),
                body=message,
                attributes=_attributes(fields),
                event_name=_event(message),
            )
        )

    def close(self) -> None:
        """Push once more if the collector takes it at once, and end."""
        self._batches.end()
        with contextlib.suppress(Exception):  # whatever a collector does, the agent ends
            self._provider.shutdown()
        super().close()


class _Push(LogRecordExporter):
    """The SDK's exporter, which fails quietly."""

    def __init__(self, inner: LogRecordExporter, batches: Batches) -> None:
        self._inner = inner
        self._batches = batches

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        ends = LogRecordExportResult.SUCCESS, LogRecordExportResult.FAILURE
        return self._batches.push(self._inner.export, batch, *ends)

    def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002 - as the SDK declares it
        return True

    def shutdown(self) -> None:
        self._batches.quietly(self._inner.shutdown)


def _context(trace_id: str, span_id: str) -> Context:
    """Return the context that links a record to a span, by its ids in hexadecimal digits; to none if they are empty."""
    if not trace_id:
        return Context()
    ids = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(ids), Context())


def _event(message: str) -> str:
    return next((name for begin, name in _EVENTS.items() if message.startswith(begin)), "goldwatch.log")


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as attributes: plain values unchanged, lists as lists of text, anything else as text."""
    fields = {attribute(k): v for k, v in fields.items()}
    plain = {k: v if isinstance(v, bool | int | float | str) else None for k, v in fields.items()}
    lists = {k: [str(x) for x in v] for k, v in fields.items() if isinstance(v, list | tuple)}
    return {k: lists.get(k, str(fields[k]) if v is None else v) for k, v in plain.items()}
