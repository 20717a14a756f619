"""Measuring what a target takes: a phase of its own after a replay, so that it disturbs no latency.

Quiet, the replay's load again in windows of the same work, quiet. The meter is read here, in the agent, while the load
runs in its worker.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload
from urllib.parse import urlsplit

from goldwatch.config import Target
from goldwatch.config.energy import Energy as EnergySection
from goldwatch.config.energy import MeterEntry
from goldwatch.core.outcome import Outcome
from goldwatch.daemon import engine
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.plan import Plan
from goldwatch.energy.attribution import Energy, Insufficient, Reading, Source, Window, attribute
from goldwatch.energy.carbon import ByHour, Fixed, FromApi, Intensity
from goldwatch.energy.estimate import Estimate
from goldwatch.energy.footprint import Metered, Prices
from goldwatch.energy.meter import Implausible, Meter, Sum
from goldwatch.energy.nvml import Nvml
from goldwatch.energy.prometheus_query import PrometheusQuery
from goldwatch.energy.rapl import Rapl
from goldwatch.energy.sampling import Sampler
from goldwatch.http_reading import Unreadable
from goldwatch.ipc.columns import Columns
from goldwatch.ipc.fence import Halt
from goldwatch.ipc.workers import Workers

_SETTLE_S = 1.0
"""After a load, clocks and fans take a while to calm down."""

_MARGIN = 1.25
"""A window is planned longer than it must be: the next one may be quicker than the last."""

_MOST_TRIES = 5
_LEAST_ANSWERED = 0.9
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Finding:
    """The measured energy, or why there is none; `dropped` counts implausible readings."""

    energy: Energy | None
    why_not: str = ""
    dropped: int = 0


class Repeated(Sequence[int]):
    """Examples over and over, without a list of them."""

    def __init__(self, examples: Sequence[int], times: int) -> None:
        self._examples = examples
        self._times = times

    def __len__(self) -> int:
        return len(self._examples) * self._times

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._examples[index % len(self._examples)]


def measure(
    section: EnergySection,
    target: Target,
    plan: Plan,
    before: Replay,
    workers: Workers,
    stop: threading.Event | None = None,
    why_not: Callable[[], str | None] | None = None,
) -> Finding:
    """Measure a target that was just replayed with this plan. Never raises for what meter or target do.

    `why_not` returns why the target has no room for it, None if it has: then the measurement ends, since a window
    cannot wait.
    """
    if why_not is None:
        return _measure(section, target, plan, before, workers, stop or threading.Event())
    halt = Halt(stop or threading.Event(), lambda: why_not() is None)
    found = None if halt.is_set() else _measure(section, target, plan, before, workers, halt)
    if (found is None or found.energy is None) and (why := why_not()) is not None:
        found = found or Finding(None)
        return replace(found, why_not=f"goldwatch stepped back: {why}")
    return found or Finding(None, "goldwatch stepped back")


def _measure(
    section: EnergySection, target: Target, plan: Plan, before: Replay, workers: Workers, stop: threading.Event
) -> Finding:
    job = _Job(plan, section.windows, workers, stop)
    try:
        meter, exclusive = choose(section, target)
        try:
            meter.open()
            return Finding(_measured(meter, job, before, exclusive=exclusive))
        finally:
            meter.close()
    except (Unreadable, Insufficient) as why:
        kind = "insufficient: " if isinstance(why, Insufficient) else ""
        return Finding(None, f"{kind}{why}", dropped=int(isinstance(why, Implausible)))


def metered(section: EnergySection, found: Finding, at: float) -> Metered:
    """Return what was measured, with the prices of the config and the intensity of the grid at Unix time `at`."""
    grams_per_kwh, missing = None, [found.why_not] if found.why_not else []
    try:
        source = intensity(section) if found.energy is not None else None
        grams_per_kwh = source.at(at) if source is not None else None
    except (Unreadable, ValueError) as why:
        missing.append(f"no carbon: {why}")
    return Metered(found.energy, "; ".join(missing), prices(section), grams_per_kwh, found.dropped)


def choose(section: EnergySection, target: Target) -> tuple[Meter, bool]:
    """Return the meter for a target, and whether it is ours alone. Raises Unreadable if this machine has none."""
    entries = [section.meters[name] for name in target.meters or section.meters]
    if entries:
        return Sum([make(entry) for entry in entries]), all(entry.exclusive for entry in entries)
    if (host := _elsewhere(target)) is not None:
        raise Unreadable(f"{host} is another machine than this; name a meter of the kind prometheus for it")
    readable: list[Meter] = []
    reasons = []
    for meter in (Rapl(), Nvml()):
        try:
            meter.open()
            readable.append(meter)
        except Unreadable as why:
            reasons.append(f"{meter.source}: {why}")
        finally:
            meter.close()
    if not readable:
        raise Unreadable("; ".join(reasons))
    return Sum(readable), False


def make(entry: MeterEntry) -> Meter:
    """Make the meter that an entry of the config describes."""
    accuracy = entry.accuracy or 0.0
    match entry.kind:
        case "rapl":
            return Rapl(accuracy=accuracy)
        case "nvml":
            return Nvml(entry.gpus, entry.process, accuracy)
        case "prometheus":
            headers = {name: value.get_secret_value() for name, value in entry.headers.items()}
            return PrometheusQuery(
                entry.url, entry.query, unit=entry.unit, scrape_s=entry.scrape_s, headers=headers, accuracy=accuracy
            )
        case "estimate":
            return Estimate(entry.power or 0.0, accuracy, entry.process)


def intensity(section: EnergySection) -> Intensity | None:
    """Return where the intensity of the grid comes from, if anywhere. Raises ValueError for an unusable file."""
    if section.carbon is not None:
        return Fixed(section.carbon)
    if section.carbon_api is not None:
        api = section.carbon_api
        return FromApi(api.url, api.key, {name: value.get_secret_value() for name, value in api.headers.items()})
    return ByHour.read(Path(section.carbon_file)) if section.carbon_file else None


def prices(section: EnergySection) -> Prices | None:
    """Return what things cost, None if nothing has a price."""
    price = section.price
    if not price.written:
        return None
    of_input, of_output = price.input_tokens or price.tokens, price.output_tokens or price.tokens
    return Prices(
        currency=price.written[0].currency,
        machine_per_hour=price.machine.amount if price.machine else None,
        energy_per_kwh=price.energy.amount if price.energy else None,
        per_input_token=of_input.amount / 1e6 if of_input else None,
        per_output_token=of_output.amount / 1e6 if of_output else None,
    )


def _elsewhere(target: Target) -> str | None:
    """Return the host of a target that is served by another machine."""
    url = target.options.get("url") or target.options.get("address")
    if not target.served or not isinstance(url, str) or url.startswith("unix:"):
        return None
    host = urlsplit(url if "://" in url else f"//{url}").hostname
    return None if host in _LOOPBACK else host


@dataclass(slots=True)
class _Job:
    """The load to make, in `windows` windows."""

    plan: Plan
    windows: int
    workers: Workers
    stop: threading.Event

    def run(self, examples: Sequence[int]) -> Replay:
        """Replay the examples of one window in each. The caller closes the columns."""
        repeated = replace(self.plan, examples=Repeated(examples, self.windows), outputs=(), warm=True, trace=None)
        return engine.replay(repeated, self.workers, self.stop)


def _measured(meter: Meter, job: _Job, before: Replay, *, exclusive: bool) -> Energy:
    window_s, deadline_s = meter.least_window_s, job.plan.deadline_s
    expected_s = window_s * (job.windows * _MARGIN + 2) + 2 * _SETTLE_S
    if expected_s > deadline_s:
        raise Insufficient(f"it takes {expected_s:.0f} s with this meter, the deadline leaves {deadline_s:.0f} s")
    with Sampler(meter) as sampler:
        quiet = _quiet(window_s, job.stop)
        load = _load(job, window_s, _span_s(before))
        after = _quiet(window_s, job.stop)
        job.stop.wait(2 * meter.poll_s)
    return attribute(Reading(sampler.trace, quiet, load, after), Source.of(meter, exclusive=exclusive))


def _load(job: _Job, window_s: float, span_s: float) -> tuple[Window, ...]:
    """Run the load, again where the target turned out to be quicker than it was before and a window came out short."""
    wanted_s = window_s * _MARGIN
    found: tuple[Window, ...] = ()
    for _ in range(_MOST_TRIES):
        examples = work(job.plan.examples, span_s, wanted_s)
        load = job.run(examples)
        try:
            found = _windows(load, len(examples), job.windows)
        finally:
            load.columns.close()
        shortest_s = min(window.seconds for window in found)
        if shortest_s >= window_s:
            break
        wanted_s *= _MARGIN * window_s / shortest_s
    return found


def work(examples: Sequence[int], span_s: float, window_s: float) -> Sequence[int]:
    """Return the examples of one window: whole passes, or an even selection where one pass takes longer than that."""
    passes = window_s / span_s
    if passes >= 1:
        return Repeated(examples, math.ceil(passes))
    return examples[:: max(1, math.floor(1 / passes))]


def _span_s(result: Replay) -> float:
    """Return how long the requests of a replay took. Raises Insufficient if it was not answered."""
    columns, reason = result.columns, result.failure or result.ended or result.given_up
    sent = [row for row, outcome in enumerate(columns.outcome) if outcome != Outcome.NOT_SENT]
    if reason or not sent:
        raise Insufficient(reason or "the replay sent no request")
    # Of several in flight, the one of the first row need not be the first that was sent.
    ended_ns = max(columns.sent_ns[row] + columns.latency_ns[row] for row in sent)
    return max(ended_ns - min(columns.sent_ns[row] for row in sent), 1) / 1e9


def _quiet(seconds: float, stop: threading.Event) -> Window:
    stop.wait(_SETTLE_S)
    start_ns = time.monotonic_ns()
    if stop.wait(seconds):
        raise Insufficient("goldwatch was stopped")
    return Window(start_ns, time.monotonic_ns())


def _windows(load: Replay, rows: int, windows: int) -> tuple[Window, ...]:
    """Cut a load into windows of `rows` rows, each from its first request to that of the next."""
    columns = load.columns
    answered = sum(outcome == Outcome.OK for outcome in columns.outcome)
    if answered < _LEAST_ANSWERED * rows * windows:
        reason = load.failure or load.ended or load.given_up or "too few requests were answered"
        raise Insufficient(f"{reason} ({answered:,} of {rows * windows:,} answered)")
    starts = [columns.sent_ns[i * rows] for i in range(windows)]
    ends = [*starts[1:], columns.sent_ns[-1] + columns.latency_ns[-1]]
    cuts = [slice(i * rows, (i + 1) * rows) for i in range(windows)]
    counts = [sum(o == Outcome.OK for o in columns.outcome[cut]) for cut in cuts]
    tokens = [_output_tokens(columns, cut) for cut in cuts]
    return tuple(Window(*found) for found in zip(starts, ends, counts, tokens, strict=True))


def _output_tokens(columns: Columns, cut: slice) -> int | None:
    """Count the output tokens of the answers of some rows, None if one of them does not state them."""
    if not columns.layout.tokens:
        return None
    with columns.integers("output_tokens") as column, column[cut] as rows, columns.outcome[cut] as outcomes:
        counts = [n for n, outcome in zip(rows, outcomes, strict=True) if outcome == Outcome.OK]
    return sum(counts) if min(counts, default=-1) >= 0 else None
