"""Energy that Prometheus already has: Kepler's share of a pod, DCGM, Triton's counter, a smart plug or a PDU.

The query is an instant query whose result is one number, in the unit that the config says. A sample is as old as its
scrape, so the meter's resolution in time is the scrape interval and the delay after it, which the config states.
"""

from __future__ import annotations

import http.client
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from goldwatch.energy.meter import Resolution, Unreadable, least_window_s

COUNTERS = {"joules": 1.0, "millijoules": 1e-3, "watthours": 3600.0, "kilowatthours": 3.6e6}
"""Joules in one unit of a counter of energy. Watts are integrated instead."""

_LEAST_S = 5.0
_TIME_LIMIT_S = 5.0
_MOST_BYTES = 2**20


class PrometheusQuery:
    """One query at one Prometheus server, of a counter of energy or of power in watts.

    `scrape_s` is the longest time for which a sample stands. `step` is the counter's smallest step in its own unit.
    """

    source = "prometheus"
    estimated = False

    def __init__(  # noqa: PLR0913 - a query is this many settings
        self,
        url: str,
        query: str,
        *,
        unit: str = "joules",
        scrape_s: float = 15.0,
        headers: Mapping[str, str] | None = None,
        accuracy: float = 0.0,
        step: float = 0.0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if unit != "watts" and unit not in COUNTERS:
            raise ValueError(f"{unit!r} is no unit of energy or power; there are watts, {', '.join(COUNTERS)}")
        self.accuracy = accuracy
        self._url = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        self._server = url
        self._query = query
        self._unit = unit
        self._scrape_s = scrape_s
        self._headers = dict(headers or {})
        self._step = step
        self._clock_s = clock_s
        self._last = 0.0
        self._last_s = 0.0
        self._total_j: float | None = None

    def open(self) -> None:
        """Ask once. Raises Unreadable if there is no server, no series or more than one."""
        self._last, self._last_s = self._value(), self._clock_s()
        self._total_j = 0.0

    def read(self) -> float:
        """Return the joules since `open`. Raises Unreadable, also if the counter began anew: then some is lost."""
        if self._total_j is None:
            raise Unreadable("the meter is not open")
        value, now_s = self._value(), self._clock_s()
        if self._unit == "watts":
            self._total_j += (value + self._last) / 2 * (now_s - self._last_s)
        elif value < self._last:
            raise Unreadable(f"the counter of {self._query} went back from {self._last:g} to {value:g}")
        else:
            self._total_j += (value - self._last) * COUNTERS[self._unit]
        self._last, self._last_s = value, now_s
        return self._total_j

    def close(self) -> None:
        """Forget what was read."""
        self._total_j = None

    @property
    def detail(self) -> str:
        """Name the query, the server and how late its samples are."""
        return f"{self._query} in {self._unit} at {self._server}, up to {self._scrape_s:g} s late"

    @property
    def resolution(self) -> Resolution:
        """The counter's step, and the age of a sample."""
        return Resolution(self._step * COUNTERS.get(self._unit, 0.0), self._scrape_s)

    @property
    def poll_s(self) -> float:
        """Several times in a scrape."""
        return max(0.1, min(self._scrape_s / 4, 5.0))

    @property
    def least_window_s(self) -> float:
        """Many scrapes."""
        return least_window_s(self.resolution, _LEAST_S)

    def shared_with(self) -> str:
        """Whose energy a series holds only its owner knows."""
        return f"whatever {self._query} covers"

    def _value(self) -> float:
        answer = fetch_json(self._url, self._headers)
        try:
            if answer["status"] != "success":
                raise Unreadable(f"{self._server} refuses {self._query}: {answer.get('error', answer['status'])}")
            result = answer["data"]["result"]
            if answer["data"]["resultType"] == "scalar":
                return _finite(float(result[1]), self._query)
            if len(result) != 1:
                what = "no series" if not result else f"{len(result)} series; put sum() around it"
                raise Unreadable(f"{self._query} gives {what}")
            return _finite(float(result[0]["value"][1]), self._query)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise Unreadable(f"{self._server} did not answer as Prometheus does: {error!r}") from None


def _finite(value: float, query: str) -> float:
    if not math.isfinite(value):
        raise Unreadable(f"{query} is {value}")
    return value


def fetch_json(url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever the server says
    """Return what a server answers with, bounded in size and time. Raises Unreadable.

    Only http and https are followed. The text of an error shows neither the headers nor the query.
    """
    shown = url.partition("?")[0]
    if not url.startswith(("http://", "https://")):
        raise Unreadable(f"{shown} is no address of HTTP")
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=_TIME_LIMIT_S) as answer:  # noqa: S310
            content = answer.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(300).decode(errors="replace").strip()
        raise Unreadable(f"{shown}: HTTP {error.code}: {text[:200]}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise Unreadable(f"{shown}: {reason}") from None
    if len(content) > _MOST_BYTES:
        raise Unreadable(f"{shown} answers with more than {_MOST_BYTES} bytes")
    try:
        return json.loads(content)
    except ValueError:
        raise Unreadable(f"{shown} does not answer with JSON") from None
