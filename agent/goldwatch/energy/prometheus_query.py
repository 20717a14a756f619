"""Energy that Prometheus already has: Kepler's share of a pod, DCGM, Triton's counter, a smart plug or a PDU.

The query is an instant query whose result is one number, in the configured unit. A sample is as old as its
scrape, so the meter's resolution in time is the scrape interval and the delay after it, which the config states.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from goldwatch.energy.meter import Resolution, least_window_s
from goldwatch.http_reading import Unreadable, prometheus_value

COUNTERS = {"joules": 1.0, "millijoules": 1e-3, "watthours": 3600.0, "kilowatthours": 3.6e6}
"""Joules in one unit of a counter of energy. Watts are integrated instead."""

_LEAST_S = 5.0


class PrometheusQuery:
    """One query at one Prometheus server, of a counter of energy or of power in watts.

    `scrape_s` is the longest age of a sample. `step` is the counter's smallest step in its own unit.
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
        """Return the joules since `open`. Raises Unreadable, also after a counter reset: then some is lost."""
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
        return prometheus_value(self._server, self._query, self._headers)
