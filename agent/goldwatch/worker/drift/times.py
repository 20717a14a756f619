"""When the rows of a reference are from: the time of an event, or of a line of a log, as the number of its hour.

A time is a text as in RFC 3339, with its offset from UTC, or seconds or milliseconds since 1970. Runs in a worker.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

HOUR_S = 3600
_MOST_SECONDS = 1e11  # in the year 5138; more are milliseconds


def hours_of(lines: Sequence[bytes], key: str) -> list[int] | None:
    """Return the hour of each line, numbered from 1970 on, by its `key`, or without one by the `time` of CloudEvents.

    Dots in a key lead into a mapping. None if there is no key, and a line is no event with a time. Raises ValueError
    for a line whose time is missing or cannot be read: "NUMBER: why".
    """
    found = []
    for number, line in enumerate(lines, 1):
        value = _value(line)
        written = _under(value, key.split(".")) if key else _of_event(value)
        if written is None and not key:
            return None
        try:
            found.append(int(_seconds(written) // HOUR_S))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{number}: {key or 'time'}: {error}") from None
    return found


def _value(line: bytes) -> Any:  # noqa: ANN401 - whatever the line holds
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _of_event(value: Any) -> Any:  # noqa: ANN401 - as above
    return value.get("time") if isinstance(value, Mapping) and "specversion" in value else None


def _under(value: Any, path: Sequence[str]) -> Any:  # noqa: ANN401 - as above
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _seconds(written: Any) -> float:  # noqa: ANN401 - as above
    if isinstance(written, int | float) and not isinstance(written, bool) and math.isfinite(written):
        return written / 1000 if abs(written) > _MOST_SECONDS else float(written)
    if not isinstance(written, str):
        raise ValueError(  # noqa: TRY004 - what a file holds, as all that is wrong with it
            f"found {json.dumps(written)}, expected a time such as 2026-11-30T09:00:00Z"
        )
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f'"{written}" is no time; expected one such as 2026-11-30T09:00:00Z') from None
    if time.tzinfo is None:
        raise ValueError(f'"{written}" has no offset from UTC; expected a time such as 2026-11-30T09:00:00Z')
    return time.timestamp()
