"""Durations, percentages, rates and objectives as people write them, and back.

Each `parse_...` takes anything that YAML can hold, returns base units (seconds, ratios, events per year) and raises
QuantityError, and nothing else. `format_...` writes what the parser reads as the same value. Sums are made in decimals,
so that "0.1%" is 0.001 and not nearly so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from urllib.parse import urlsplit

from goldwatch.errors import GoldwatchError

NO_ADDRESS = "is not an address; write http://HOST:PORT or https://HOST:PORT, and secrets as headers"

_SECOND, _MINUTE, _HOUR, _DAY = Decimal(1), Decimal(60), Decimal(3600), Decimal(86400)
_SECONDS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    **dict.fromkeys(("s", "sec", "second", "seconds"), _SECOND),
    **dict.fromkeys(("m", "min", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hour", "hours"), _HOUR),
    **dict.fromkeys(("d", "day", "days"), _DAY),
}
_PER_YEAR = {
    "day": Decimal(365),
    "week": Decimal(365) / 7,
    "month": Decimal(12),
    "quarter": Decimal(4),
    "year": Decimal(1),
}

_BYTES = {
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", 1)},
}

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_UNIT = "|".join(sorted(_SECONDS, key=len, reverse=True))
_PERIOD = "|".join(_PER_YEAR)

DURATION_PATTERN = rf"^(?:{_NUMBER} *(?:{_UNIT}) *)+$"
SIZE_PATTERN = rf"^{_NUMBER} *(?:{'|'.join(_BYTES)})$"
PERCENTAGE_PATTERN = rf"^{_NUMBER} *%$"
POINTS_PATTERN = rf"^(?:no worse than +)?{_NUMBER} *points?$"
GAP_PATTERN = rf"^{_NUMBER} *points?$"
LATENCY_PATTERN = rf"^(?:{_NUMBER} *(?:{_UNIT}) *)+ at +p[0-9]{{2}}(?:\.[0-9]{{1,2}})?$"
RATE_PATTERN = rf"^{_NUMBER} +(?:per|an?) +(?:{_PERIOD})$"
REQUEST_RATE_PATTERN = rf"^{_NUMBER} *(?:/ *|per +)(?:s|sec|second|m|min|minute|h|hour)$"
LISTEN_PATTERN = r"^(?:[A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"
HOST_PATTERN = r"^\.?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$"
NAME_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$"
MOMENT_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"
CRON_PATTERN = r"^\S+( +\S+){4}$"

_DURATION_PART = re.compile(rf"({_NUMBER}) *({_UNIT}) *")


class QuantityError(GoldwatchError, ValueError):
    """A text that is not the quantity it should be.

    `complaint` is the message without the text it is about; `detail` may quote parts of that text.
    """

    def __init__(self, found: object, complaint: str, detail: str = "") -> None:
        self.complaint, self.detail = complaint, detail
        subject = f'"{found}"' if isinstance(found, str) and found else "an empty value"
        super().__init__(f"{subject} {complaint}{detail}")


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """At most `limit_s` at `quantile`: of all requests, the share 1 - quantile may take longer."""

    limit_s: float
    quantile: float


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to serve on, all addresses if `host` is empty; port 0 takes any that is free."""

    host: str
    port: int


def _match(pattern: str, value: object, complaint: str) -> str:
    """Return `value` without blanks around it if it is text of the pattern."""
    if isinstance(value, str) and re.match(pattern, value.strip()):
        return value.strip()
    raise QuantityError(value, complaint)


def _first_number(text: str) -> Decimal:
    found = re.search(_NUMBER, text)
    return Decimal(found[0]) if found else Decimal(0)


def _plain(number: Decimal) -> str:
    """Write a decimal without exponent and without insignificant zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_duration(value: object, low_s: float, high_s: float, complaint: str = "") -> float:
    """Return seconds, for `90s`, `1h 30m` or `5 minutes`, within [low_s, high_s]."""
    text = _match(DURATION_PATTERN, value, complaint or "is not a duration; write 250ms, 30s, 5m or 2h")
    parts = [(Decimal(number), _SECONDS[unit]) for number, unit in _DURATION_PART.findall(text)]
    if any(left <= right for (_, left), (_, right) in pairwise(parts)):
        raise QuantityError(value, "is not a duration; write its units from the largest to the smallest, as in 1h 30m")
    seconds = float(sum(number * unit for number, unit in parts))
    if not low_s <= seconds <= high_s:
        raise QuantityError(value, f"is out of range; write {format_duration(low_s)} to {format_duration(high_s)}")
    return seconds


def format_duration(seconds: float) -> str:
    """Write seconds as `1h30m`; what is smaller than a microsecond is lost."""
    rest = round(Decimal(repr(seconds)), 6)
    text = ""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        count, rest = divmod(rest, size)
        text += f"{_plain(count)}{unit}" if count else ""
    if rest >= 1:
        text += f"{_plain(rest)}s"
    elif rest:
        text += f"{_plain(rest * 1000)}ms"
    return text or "0s"


def format_span(seconds: float) -> str:
    """Write a time without what does not matter at its size."""
    unit = next((unit for unit in (86_400, 3_600, 60) if seconds >= 10 * unit), 1)
    return format_duration(round(seconds / unit) * unit if unit > 1 else round(seconds, 3))


def parse_size(value: object, low: int, high: int) -> int:
    """Return bytes, for `512MiB` or `2 GB`, within [low, high]."""
    text = _match(SIZE_PATTERN, value, "is not a size; write 512MiB or 2GiB")
    size = int(_first_number(text) * _BYTES[text.lstrip("0123456789. ")])
    if not low <= size <= high:
        raise QuantityError(value, f"is out of range; write {format_size(low)} to {format_size(high)}")
    return size


def format_size(size: int) -> str:
    """Write bytes as `512MiB`, in the largest unit that leaves a whole number."""
    unit = next((u for u, n in sorted(_BYTES.items(), key=lambda item: -item[1]) if size % n == 0), None)
    return f"{size // _BYTES[unit]}{unit}" if unit else f"{_plain(Decimal(size) / 1000)}kB"


def parse_percentage(value: object) -> float:
    """Return the ratio of a percentage, in (0, 1)."""
    complaint = "is not a percentage; write 0.1% or 5%"
    percent = _first_number(_match(PERCENTAGE_PATTERN, value, complaint))
    if not 0 < percent < 100:
        raise QuantityError(value, "is out of range; write more than 0% and less than 100%")
    return float(percent / 100)


def format_percentage(ratio: float) -> str:
    """Write a ratio as a percentage."""
    return f"{_plain(Decimal(repr(ratio)) * 100)}%"


def parse_points(value: object) -> float:
    """Return the loss of accuracy that is tolerated as a ratio: 1 point is 0.01."""
    complaint = 'is not a loss of accuracy; write "no worse than 1 point", which is 0.01 of accuracy'
    return _points(POINTS_PATTERN, value, complaint)


def parse_gap(value: object) -> float:
    """Return the difference of two values of a score as a ratio of its scale: 5 points are 0.05."""
    return _points(GAP_PATTERN, value, "is not a difference of a score; write 5 points")


def _points(pattern: str, value: object, complaint: str) -> float:
    points = _first_number(_match(pattern, value, complaint))
    if not 0 < points < 100:
        raise QuantityError(value, "is out of range; write more than 0 and less than 100 points")
    return float(points / 100)


def format_points(ratio: float) -> str:
    """Write a tolerated loss as `no worse than 1 point`."""
    points = _plain(Decimal(repr(ratio)) * 100)
    return f"no worse than {points} point{'' if points == '1' else 's'}"


def parse_latency(value: object) -> LatencyObjective:
    """Return the objective for `50ms at p99`."""
    text = _match(LATENCY_PATTERN, value, "is not a latency objective; write 50ms at p99")
    duration, quantile = re.split(r" at +p", text)
    if Decimal(quantile) < 50:
        raise QuantityError(value, "is out of range; write a quantile from p50 to p99.99")
    limit_s = parse_duration(duration, 1e-6, 600)
    return LatencyObjective(limit_s, float(Decimal(quantile) / 100))


def format_latency(objective: LatencyObjective) -> str:
    """Write an objective as `50ms at p99`."""
    return f"{format_duration(objective.limit_s)} at p{_plain(Decimal(repr(objective.quantile)) * 100)}"


def format_seconds(seconds: float) -> str:
    """Write a measured time with three significant digits, in the unit that fits: 12.3 ms."""
    if seconds >= 0.9995:
        return f"{format_figure(seconds)} s"
    return f"{seconds * 1e6:.3g} µs" if seconds < 0.9995e-3 else f"{seconds * 1e3:.3g} ms"


def format_figure(value: float) -> str:
    """Write a measured figure with three significant digits, or all those before the point: 0.28, 12.3, 1,234."""
    return f"{value:,.0f}" if 99.95 <= abs(value) < 1e15 else f"{value:.3g}"


def parse_rate(value: object) -> float:
    """Return events per year (of 365 days), for `1 per year` or `2 a quarter`."""
    text = _match(RATE_PATTERN, value, "is not a rate; write 1 per year, 2 per quarter or 1 per month")
    per_year = float(_first_number(text) * _PER_YEAR[text.split()[-1]])
    if not 0.001 <= per_year <= 3650:
        raise QuantityError(value, "is out of range; write 0.001 per year to 10 per day")
    return per_year


def format_rate(per_year: float) -> str:
    """Write events per year, to a billionth."""
    return f"{_plain(round(Decimal(repr(per_year)), 9))} per year"


def parse_moment(value: object) -> float:
    """Return Unix seconds for `2026-12-01 22:00`, in UTC unless it ends with an offset such as `+02:00`."""
    complaint = "is not a time; write 2026-12-01 22:00, which is UTC, or 2026-12-01 22:00+01:00"
    text = _match(MOMENT_PATTERN, value, complaint)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise QuantityError(value, complaint) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def format_moment(at: float) -> str:
    """Write Unix seconds as a time in UTC; what is smaller than a second is lost."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def parse_request_rate(value: object, of: str = "requests") -> float:
    """Return how many `of` it are a second, for `100 per second`, `100/s` or `30 per minute`; up to 100,000."""
    text = _match(REQUEST_RATE_PATTERN, value, f"is not a rate of {of}; write 100 per second or 30 per minute")
    unit = re.split(r"[/ ]", text)[-1]
    rate = float(_first_number(text) / _SECONDS[unit])
    if not 0 < rate <= 100_000:
        raise QuantityError(value, "is out of range; write more than 0 and up to 100000 per second")
    return rate


def format_request_rate(rate_per_s: float) -> str:
    """Write requests a second; a rate of less than one by the minute or hour where that is exact."""
    for unit, size in (("second", 1), ("minute", 60), ("hour", 3600)):
        number = round(Decimal(repr(rate_per_s * size)), 9)
        if number >= 1 or unit == "hour":
            break
    return f"{_plain(number)} per {unit}"


def parse_listen(value: object) -> Listen:
    """Return the address for `0.0.0.0:9870` (IPv4), `[::]:9870` (IPv6) or `:9870` (both)."""
    complaint = "is not an address to listen on; write 0.0.0.0:9870 or :9870"
    host, _, port = _match(LISTEN_PATTERN, value, complaint).rpartition(":")
    if int(port) > 65535:
        raise QuantityError(value, "is not an address to listen on; the last port is 65535")
    return Listen(host.strip("[]"), int(port))


def format_listen(listen: Listen) -> str:
    """Write an address as `0.0.0.0:9870`."""
    return f"[{listen.host}]:{listen.port}" if ":" in listen.host else f"{listen.host}:{listen.port}"


def parse_host(value: object) -> str:
    """Return a host name without a port, or one with a dot before it for all names below it."""
    complaint = "is not a host name; write goldwatch.example, without a port, or .corp.example for all names below it"
    return _match(HOST_PATTERN, value, complaint)


def parse_name(value: object) -> str:
    """Return a name that can be the value of a label."""
    complaint = "is not a name; write up to 63 letters, digits, dots, dashes and underscores, a letter or digit first"
    return _match(NAME_PATTERN, value, complaint)


def is_address(url: str) -> bool:
    """Return whether `url` is an address of HTTP without user or query, since it is logged if nothing answers there."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False
    return bool(usable) and not (parts.query or parts.username)
