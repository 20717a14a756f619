"""Structured logs: each record is an event with fields, written for people or as one JSON object a line.

Secrets of the config are redacted in all of it, whichever library logs.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from goldwatch.redaction import redact_all, redact_known

_ADDED_BY_LOGGING = frozenset({"message", "asctime", "taskName"})


def set_up(style: Literal["human", "json"], level: str) -> None:
    """Send all records of the process to stderr. Fields are what callers give as `extra`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Human())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # the service logs skipped runs itself


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = _time(record).strftime("%Y-%m-%d %H:%M:%S")
        fields = "".join(f"  {key}={_shown(value)}" for key, value in redact_all(_fields(record)).items())
        return redact_known(f"{at} {record.levelname.lower():<7} {record.getMessage()}{fields}{self._trace(record)}")

    def _trace(self, record: logging.LogRecord) -> str:
        return "\n" + self.formatException(record.exc_info) if record.exc_info else ""


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        values |= _fields(record)
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return json.dumps(redact_all(values), default=lambda value: redact_known(str(value)))


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _shown(value: object) -> str:
    """Return a field as text of one line: a server's text may hold line breaks, or move the cursor."""
    text = str(value)
    return text if text.isprintable() else json.dumps(text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the caller gave as `extra`. Libraries may add attributes to every record, as Ray does."""
    of_all = vars(logging.makeLogRecord({})).keys() | _ADDED_BY_LOGGING
    return {key: value for key, value in vars(record).items() if key not in of_all}
