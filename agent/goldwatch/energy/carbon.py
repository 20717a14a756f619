"""The carbon intensity of the grid, in grams of CO2e per kWh: fixed, by the hour from a file, or from an API."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from goldwatch.http_reading import Unreadable, fetch_json

J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same grams per kilowatt-hour."""

    grams_per_kwh: float

    def at(self, unix_s: float) -> float:  # noqa: ARG002 - the same at any time
        """Return grams per kilowatt-hour."""
        return self.grams_per_kwh


@dataclass(frozen=True, slots=True)
class ByHour:
    """From a CSV file with the columns `hour` and `gCO2e_per_kWh`.

    `hour` is 0 to 23 (UTC, every day), or the beginning of an hour such as 2026-11-25T14:00Z.
    """

    grams_per_kwh: Mapping[str, float]
    path: Path

    @classmethod
    def read(cls, path: Path) -> ByHour:
        """Read the file. Raises ValueError with the line that is wrong."""
        found: dict[str, float] = {}
        try:
            with path.open(newline="") as file:
                rows = csv.DictReader(file)
                if not {"hour", "gCO2e_per_kWh"} <= set(rows.fieldnames or ()):
                    raise ValueError(f"{path}:1: the columns are {rows.fieldnames}; hour and gCO2e_per_kWh are needed")
                for row in rows:
                    hour, grams = _row(row, f"{path}:{rows.line_num}")
                    found[hour] = grams
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if not found:
            raise ValueError(f"{path} has no row below its heading")
        return cls(found, path)

    def at(self, unix_s: float) -> float:
        """Return grams per kilowatt-hour in the hour of a Unix time. Raises Unreadable if the file has none for it."""
        moment = datetime.fromtimestamp(unix_s, UTC)
        for key in (_key(moment), str(moment.hour)):
            if key in self.grams_per_kwh:
                return self.grams_per_kwh[key]
        raise Unreadable(f"{self.path} has no row for {_key(moment)}, nor for the hour {moment.hour}")


def _row(row: Mapping[str, str | None], where: str) -> tuple[str, float]:
    hour, grams = (row["hour"] or "").strip(), (row["gCO2e_per_kWh"] or "").strip()
    try:
        if hour.isdigit() and int(hour) <= 23:
            key = str(int(hour))
        else:
            key = _key(_with_zone(datetime.fromisoformat(hour)).astimezone(UTC))
    except ValueError:
        raise ValueError(f'{where}: "{hour}" is no hour; write 0 to 23, or 2026-11-25T14:00Z') from None
    try:
        value = float(grams)
    except ValueError:
        value = -1.0
    if not 0 <= value < 5000:
        raise ValueError(f'{where}: "{grams}" is no intensity; write grams of CO2e per kWh, 0 to 5000')
    return key, value


def _with_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment


def _key(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:00Z}"


@dataclass(frozen=True, slots=True)
class FromApi:
    """From an HTTP API that answers with JSON; `key` leads to the number, as in `carbonIntensity` or `data.0.value`."""

    url: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def at(self, unix_s: float) -> float:  # noqa: ARG002 - the API says what is true now
        """Ask for grams per kilowatt-hour. Raises Unreadable."""
        found: Any = fetch_json(self.url, self.headers)
        for part in self.key.split("."):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, ValueError, TypeError):
                raise Unreadable(f"the answer of {self.url.partition('?')[0]} has no {self.key}") from None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 5000:
            raise Unreadable(f"{self.key} of {self.url.partition('?')[0]} is {found!r}, no grams of CO2e per kWh")
        return float(found)


Intensity = Fixed | ByHour | FromApi
