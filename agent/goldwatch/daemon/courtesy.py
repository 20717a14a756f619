"""Do no harm: how busy a target is, by its own account, and stepping back from one that has no room.

Before a replay and within it the number that the target's section `busy` names is read, in the agent. Above the limit a
replay waits, is held between two requests, or is given up. If the number cannot be read, the replay goes on
as if there were room, and the error is counted, because a server that is down must be found failing.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from goldwatch.cgroups import pressure
from goldwatch.config.busy import LABEL, SELECTOR, Busy
from goldwatch.core.judgement import ServerLoad
from goldwatch.http_reading import Unreadable, fetch, prometheus_value

LOOK_EVERY_S = 1.0
"""A target that is waited for, or replayed, is looked at so often."""

_MOST_BYTES = 16 * 2**20
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)")


def read(busy: Busy) -> float:
    """Return how busy a target is now. Raises Unreadable."""
    if busy.pressure:
        return _pressure(Path(busy.pressure))
    headers = {name: value.get_secret_value() for name, value in busy.headers.items()}
    if busy.query:
        return prometheus_value(busy.prometheus, busy.query, headers)
    page = fetch(busy.metrics, headers, _MOST_BYTES).decode(errors="replace")
    found = total(page, busy.metric)
    if found is None:
        raise Unreadable(f"{busy.metrics} has no {busy.metric}")
    return found


def _pressure(file: Path) -> float:
    try:
        return pressure(file, "some", "avg10") / 100
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise Unreadable(f"{file} is no file of pressure stall information: {error}") from None


def total(page: str, selector: str) -> float | None:
    """Add up the series of a metric on a page in Prometheus's format; None if there is none of them."""
    parts = re.fullmatch(SELECTOR, selector)
    if parts is None:
        return None
    wanted = _labels(parts[2])
    found = None
    for line in page.splitlines():
        if not line.startswith(parts[1]) or (sample := _SAMPLE.match(line)) is None or sample[1] != parts[1]:
            continue
        if wanted.items() <= _labels(sample[2]).items():
            try:
                value = float(sample[3])
            except ValueError:
                continue
            if not math.isnan(value):  # some servers send it for no value
                found = value + (found or 0.0)
    return found


def _labels(written: str | None) -> Mapping[str, str]:
    return dict(re.findall(LABEL, written or ""))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the value, and why no request is to be sent, or why the value is not known."""

    value: float | None = None
    why_not: str | None = None
    unreadable: str = ""

    @classmethod
    def of(cls, busy: Busy) -> Seen:
        """Look. Never raises."""
        try:
            value = read(busy)
        except Unreadable as error:
            return cls(unreadable=str(error))
        why = f"{busy.what} is {value:.4g}, above {busy.above:g}" if value > busy.above else None
        return cls(value, why)


@dataclass(slots=True)
class Courtesy:
    """Looks at a target before a replay, and in a thread of its own within it: the guard of an engine's replay."""

    busy: Busy
    waited_s: float = 0.0
    clock_s: Callable[[], float] = time.monotonic
    _before: Seen = field(default_factory=Seen)
    _last: Seen = field(default_factory=Seen)
    _most: float | None = None
    _thread: threading.Thread | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def patience_s(self) -> float:
        """How long a replay waits, and is held, at most."""
        return self.busy.wait_s

    def look(self) -> Seen:
        """Look once, and remember it."""
        self._last = seen = Seen.of(self.busy)
        if seen.value is not None:
            self._most = seen.value if self._most is None else max(self._most, seen.value)
        return seen

    def wait(self, stop: threading.Event) -> str | None:
        """Wait for room before a replay; return why there was none, at the end of patience or at `stop`."""
        began_s = self.clock_s() - self.waited_s
        self._before = seen = self.look()
        while seen.why_not is not None and self.waited_s < self.patience_s and not stop.wait(LOOK_EVERY_S):
            self.waited_s = self.clock_s() - began_s
            self._before = seen = self.look()
        return seen.why_not

    def __enter__(self) -> Courtesy:
        self._thread = threading.Thread(target=self._watch, name="courtesy", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def why_not(self) -> str | None:
        """Return the reason of the last look; None if there was room."""
        return self._last.why_not

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            self.look()

    def found(self, held_s: float = 0.0) -> ServerLoad:
        """Return what was seen, for the judgement."""
        return ServerLoad(
            what=self.busy.what,
            limit=self.busy.above,
            before=self._before.value,
            most=self._most,
            waited_s=self.waited_s,
            held_s=held_s,
            unreadable=self._before.unreadable or self._last.unreadable,
        )
