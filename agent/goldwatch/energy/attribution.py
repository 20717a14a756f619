"""Attributes metered energy to inferences: gross, idle and net, each with its uncertainty.

Uncertainties are combined as in the GUM (JCGM 100:2008): components as standard deviations, added in squares,
expanded by Student's t for the effective degrees of freedom. docs/energy.md states each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from goldwatch.energy.meter import Meter, Resolution
from goldwatch.energy.sampling import Trace
from goldwatch.errors import GoldwatchError

COARSEST = 0.2
"""With an expanded uncertainty of the gross energy beyond this ratio there is no figure."""

_T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10)
_T_975_TABLE = dict(enumerate(_T_975, 1)) | {19: 2.09, 20: 2.09, 25: 2.06, 30: 2.04, 40: 2.02, 50: 2.01, 100: 1.98}
"""Student's t for 95 % by degrees of freedom; JCGM 100:2008, table G.2, has the same to two decimals."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the bounds of its 95 % coverage interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Interval:
        """Return it in another unit. Raises ValueError for a factor that is negative."""
        if factor < 0:
            raise ValueError(f"a unit is not turned round: {factor}")
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, slots=True)
class Window:
    """An interval of the monotonic clock in nanoseconds, and the inferences answered in it.

    `output_tokens` counts their tokens, None if an answer has no count.
    """

    start_ns: int
    end_ns: int
    inferences: int = 0
    output_tokens: int | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter's readings around a load: before, in windows of the same work one after the other, and after."""

    trace: Trace
    quiet: Window
    load: tuple[Window, ...]
    after: Window


@dataclass(frozen=True, slots=True)
class Components:
    """The standard uncertainties of the net energy of all windows, in joules.

    `repetition` is the scatter of the windows, `resolution` that of the counter at the edges of the load, `idle` that
    of the idle energy with its drift, `accuracy` the source's own, where it is stated.
    """

    repetition: float
    resolution: float
    idle: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Energy:
    """The measured energy of a load.

    `gross_j` is all that the meter counted in `seconds` of load, `idle_j` what it would have counted at the idle power
    of the quiet window, `net_j` the difference. `attribution` is `exclusive` or `shared`; `shared_with` names the
    others. `output_tokens` counts a language model's output in that time, None if not known.
    """

    source: str
    detail: str
    estimated: bool
    attribution: str
    shared_with: str
    seconds: float
    windows: int
    inferences: int
    idle_w: Interval
    gross_j: Interval
    idle_j: float
    net_j: Interval
    components: Components
    output_tokens: int | None = None

    @property
    def output_tokens_each(self) -> float | None:
        """The mean number of output tokens of an inference, None if it is not known."""
        return self.output_tokens / self.inferences if self.output_tokens is not None else None

    @property
    def gross_per_inference_j(self) -> Interval:
        """The gross joules of one inference."""
        return self.gross_j.times(1 / self.inferences)

    @property
    def net_per_inference_j(self) -> Interval:
        """The net joules of one inference: what it adds to an idle machine."""
        return self.net_j.times(1 / self.inferences)


class Insufficient(GoldwatchError):
    """The readings do not suffice for a figure; the text has what was read and what is needed."""


@dataclass(frozen=True, slots=True)
class Source:
    """The properties of a meter that go into the figure."""

    source: str
    detail: str
    estimated: bool
    accuracy: float
    resolution: Resolution
    least_window_s: float
    shared_with: str

    @classmethod
    def of(cls, meter: Meter, *, exclusive: bool = False) -> Source:
        """Ask an open meter. `exclusive` is its owner's knowledge, over the meter's, that no one else is measured."""
        return cls(
            source=meter.source,
            detail=meter.detail,
            estimated=meter.estimated,
            accuracy=meter.accuracy,
            resolution=meter.resolution,
            least_window_s=meter.least_window_s,
            shared_with="" if exclusive else meter.shared_with(),
        )


def attribute(reading: Reading, source: Source) -> Energy:
    """Work out what the inferences took. Raises Insufficient, or Unreadable if the meter was not read throughout."""
    _check_windows(reading, source)
    resolution = _as_read(source.resolution, reading.trace)
    joules = [reading.trace.between(w.start_ns, w.end_ns) for w in reading.load]
    gross_j = math.fsum(joules)
    seconds = math.fsum(w.seconds for w in reading.load)
    inferences = sum(w.inferences for w in reading.load)
    idle_w, idle_u, drift_u = _idle(reading, resolution)
    net_j = gross_j - idle_w * seconds
    found = Components(
        repetition=_repetition(joules, reading.load) * inferences,
        resolution=_edges(gross_j / seconds, resolution),
        idle=math.hypot(idle_u, drift_u) * seconds,
        accuracy=source.accuracy / math.sqrt(3) * gross_j,
    )
    gross = _interval(gross_j, found.repetition, found.resolution, found.accuracy, n=len(joules))
    if gross.high - gross.value > COARSEST * gross_j:
        raise Insufficient(
            f"{gross_j:.4g} J in {seconds:.3g} s is uncertain by {gross.high - gross.value:.2g} J: "
            f"the counter moves by {resolution.joules:.2g} J every {resolution.seconds:.3g} s, "
            f"and the windows differ by {_spread(joules, reading.load):.0%}"
        )
    found = replace(found, accuracy=found.accuracy * abs(net_j) / gross_j)  # off by a ratio, on idle and load alike
    net = _interval(net_j, found.repetition, found.resolution, found.idle, found.accuracy, n=len(joules))
    return Energy(
        source=source.source,
        detail=source.detail,
        estimated=source.estimated,
        attribution="shared" if source.shared_with else "exclusive",
        shared_with=source.shared_with,
        seconds=seconds,
        windows=len(joules),
        inferences=inferences,
        idle_w=_interval(idle_w, idle_u, drift_u, source.accuracy / math.sqrt(3) * idle_w, n=1),
        gross_j=gross,
        idle_j=idle_w * seconds,
        net_j=net,
        components=found,
        output_tokens=_tokens(reading.load),
    )


def _check_windows(reading: Reading, source: Source) -> None:
    for window in (reading.quiet, *reading.load):
        if window.seconds < source.least_window_s:
            raise Insufficient(
                f"a window of {window.seconds:.3g} s is too short: this meter needs {source.least_window_s:.3g} s"
            )
    if not reading.load or reading.trace.between(reading.load[0].start_ns, reading.load[-1].end_ns) <= 0:
        raise Insufficient("the counter did not move under load")
    if min(w.inferences for w in reading.load) == 0:
        raise Insufficient("a window without an answered inference")


def _tokens(load: Sequence[Window]) -> int | None:
    known = [w.output_tokens for w in load if w.output_tokens is not None]
    return sum(known) if len(known) == len(load) else None


def _as_read(resolution: Resolution, trace: Trace) -> Resolution:
    """Between two readings nothing is known: a gap in the readings coarsens the meter."""
    return replace(resolution, seconds=max(resolution.seconds, trace.gap_s()))


def _edges(watts: float, resolution: Resolution) -> float:
    """Return the standard uncertainty of a difference of two readings, in joules.

    Each is too old by up to an update and cut to a step, both with a rectangular distribution: width / sqrt(12).
    """
    return math.sqrt(2 * ((watts * resolution.seconds) ** 2 + resolution.joules**2) / 12)


def _idle(reading: Reading, resolution: Resolution) -> tuple[float, float, float]:
    """Return the idle power before the load in watts, its standard uncertainty, and that of its drift.

    All that is known of idle power under the load is what it was before and after: the drift is rectangular, with the
    difference of the two as its half-width.
    """
    before, after = (reading.trace.between(w.start_ns, w.end_ns) / w.seconds for w in (reading.quiet, reading.after))
    return before, _edges(before, resolution) / reading.quiet.seconds, abs(after - before) / math.sqrt(3)


def _repetition(joules: Sequence[float], load: Sequence[Window]) -> float:
    """Return the standard uncertainty of the mean joules of an inference, from the scatter of the windows."""
    from statistics import stdev  # noqa: PLC0415 - every agent knows the values of this module, few make one

    each = [j / w.inferences for j, w in zip(joules, load, strict=True)]
    return stdev(each) / math.sqrt(len(each)) if len(each) > 1 else 0.0


def _spread(joules: Sequence[float], load: Sequence[Window]) -> float:
    each = [j / w.inferences for j, w in zip(joules, load, strict=True)]
    return (max(each) - min(each)) / (math.fsum(each) / len(each)) if any(each) else 0.0


def _interval(value: float, repetition: float, *others: float, n: int) -> Interval:
    """Expand to 95 %: only the repetition has few degrees of freedom (Welch and Satterthwaite, GUM G.4)."""
    combined = math.hypot(repetition, *others)
    freedom = (n - 1) * (combined / repetition) ** 4 if n > 1 and repetition else math.inf
    half = student_t(freedom) * combined
    return Interval(value, value - half, value + half)


def student_t(freedom: float) -> float:
    """Return the factor that expands a standard uncertainty to 95 %, degrees of freedom cut to those of the table."""
    return _T_975_TABLE[max((n for n in _T_975_TABLE if n <= freedom), default=1)] if freedom < 1e4 else 1.96
