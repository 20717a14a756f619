"""The monitor *slower*: whether replays take lastingly longer than they usually do at this hour. A ticket.

It learns what is usual from its first two weeks of replays, then never again: the baseline is frozen in its state, with
the times that it is from. Replays are judged in blocks of three hours (`block_s`), each against a forecast from
the baseline and the block before (`forecast`). A block's surprise counts at most three standard deviations, and three
such blocks are needed for an alert, so slow stretches of an hour or two raise none. The rate of false alarms is
calibrated, not guaranteed: it holds if surprises stay within the mean and spread that the baseline bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from goldwatch.core.budget import threshold_log10
from goldwatch.core.judgement import Severity, State, Verdict
from goldwatch.core.kinds import SLOWER
from goldwatch.core.monitors.slower import block_s
from goldwatch.ipc.judging_jobs import Notice
from goldwatch.scratch import blocks
from goldwatch.worker.monitors.baseline import (
    Baseline,
    finite,
    learn,
    pack_steps,
    plain_baseline,
    saved_baseline,
    trend_warning,
    unpack_steps,
)
from goldwatch.worker.monitors.contract import WatchMonitor
from goldwatch.worker.monitors.detector import Detector, FloatArray
from goldwatch.worker.monitors.effects import Basis, percentage
from goldwatch.worker.monitors.episode import (
    Back,
    Episodes,
    Standing,
    TurnedEpisode,
    TurnedRound,
    Watching,
    turned_round,
)
from goldwatch.worker.monitors.forecast import (
    DAY_S,
    MIN_BLOCKS,
    MIN_REPLAYS,
    Memory,
    surprise,
)

if TYPE_CHECKING:
    from goldwatch.worker.jobs.case import Case
    from goldwatch.worker.monitors.past import ReplayRecord
    from goldwatch.worker.monitors.reference import Reference
    from goldwatch.worker.monitors.settings import Settings

SHIFTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Bets are on surprises that are higher by this many standard deviations."""
MAX_SURPRISE = 3.0
"""No block pays more than exp(4.5): of an unforeseen burst, one or two blocks raise no alert."""

LEARNED_S = 14 * DAY_S
LEARNED_BLOCKS = 100

_VERSION = 2
_TICKS = 10_000  # latencies are kept in steps of 0.01 %, so that saving loses nothing
_SLOW = 2.0  # standard deviations of the level above the usual: until a block is below, nothing has recovered


@dataclass(frozen=True, slots=True)
class Latency:
    """The mean of the natural logs of a replay's latencies in seconds."""

    log_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """The monitor's progress: its baseline, the results of blocks, and the current incomplete block.

    `ticks` are how far the replays of block number `block` are above the course; `memory` is of values less the
    tolerance.
    """

    baseline: Baseline
    memory: Memory
    standing: Standing
    block: int
    ticks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SlowerState:
    """The memory of *slower*: the replays to learn from, as seconds and ticks, or a baseline and its progress."""

    seconds: tuple[int, ...] = ()
    ticks: tuple[int, ...] = ()
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """How long, and from how many blocks, the baseline is learned, and whose it is: another owner's is refused."""

    min_s: float = LEARNED_S
    min_blocks: int = LEARNED_BLOCKS
    owner: str = ""

    def __post_init__(self) -> None:
        if not (self.min_s > 0 and self.min_blocks >= MIN_BLOCKS + 4):
            raise ValueError(f"a baseline needs some time, and at least {MIN_BLOCKS + 4} blocks")


class Slower(WatchMonitor[Latency, SlowerState]):
    """Log latency, in blocks of `block_s` seconds, against a forecast from a learned baseline.

    `tolerance` is the lasting slowdown that is allowed (0.05 for 5 %); `alpha` the false tickets per block that may be
    spent. Raises ValueError for a negative tolerance or a block of no length.
    """

    name = SLOWER.name

    def __init__(self, block_s: float, alpha: float, tolerance: float = 0.0, learning: Learning | None = None) -> None:
        if not (0 < block_s < math.inf and 0 <= tolerance < math.inf):
            raise ValueError(f"{tolerance} slower in blocks of {block_s} seconds cannot be watched")
        self._block_s = block_s
        self._block = f"{block_s / 3600:g} hours"
        self._alpha = alpha
        self._tolerance = math.log1p(tolerance)
        self._learning = Learning() if learning is None else learning

    @classmethod
    def build(cls, name: str, reference: Reference, settings: Settings) -> Slower:  # noqa: ARG003 - needs none
        """Watch with a baseline that is of this load: of another one, another time is usual."""
        if settings.slowdown is None:
            raise ValueError("slower needs a slowdown")
        learning = Learning(owner=settings.load)
        return cls(block_s(settings.interval_s), settings.alpha(name), settings.slowdown, learning)

    def observe(self, replay: Case) -> Latency | None:
        """Return what a request usually took; None if none was answered."""
        taken_s = replay.latencies_s
        if not taken_s.size:
            return None
        return Latency(sum(float(np.log(taken_s[rows]).sum()) for rows in blocks(taken_s.size)) / taken_s.size)

    def recall(self, replay: ReplayRecord) -> Latency | None:
        """Return what a request usually took."""
        answered = sum(replay.latencies.values())
        if not answered:
            return None
        return Latency(sum(math.log(s) * count for s, count in replay.latencies.items()) / answered)

    def notices(self, basis: Basis) -> Iterator[Notice]:
        """Yield, without a baseline, the fewest blocks that can make it alert."""
        if not basis.declared_only:
            words = f"it takes lastingly far more than {percentage(basis.settings.slowdown or 0.0)} longer than usual"
            threshold, fewest = threshold_log10(self._alpha), fewest_blocks(self._alpha)
            yield Notice(self.name, words, declared=False, threshold=threshold, replays=fewest)

    def fresh(self) -> SlowerState:
        """Return the state before the first replay."""
        return SlowerState()

    def update(self, observation: Latency, state: SlowerState, at: float) -> tuple[SlowerState, Verdict]:
        """Add one valid replay that started at Unix time `at`. Raises ValueError for what is no number."""
        if not math.isfinite(observation.log_s):
            raise ValueError(f"{observation.log_s} is not the mean of logs of latencies")
        block = math.floor(at / self._block_s)
        if state.watched is None:
            return self._learn(observation, state, at, block)
        watched, verdict = self._watch(observation, state.watched, at, block)
        return SlowerState(watched=watched), verdict

    def standing(self, state: SlowerState) -> Verdict:
        """Say again what is known, without a new replay."""
        if state.watched is None:
            return self._unknown(self._progress(state))
        return self._episodes(state.watched.baseline).standing(state.watched.standing)

    def save(self, state: SlowerState) -> dict[str, object]:
        """Return the state as a value that JSON can hold without loss."""
        saved: dict[str, object] = {"version": _VERSION, "owner": self._learning.owner, "block_s": self._block_s}
        if (watched := state.watched) is None:
            return saved | {"seconds": pack_steps(state.seconds), "ticks": pack_steps(state.ticks)}
        return saved | {
            "baseline": plain_baseline(watched.baseline),
            "memory": [watched.memory.block, watched.memory.value.item()],
            "standing": self._episodes(watched.baseline).save(watched.standing),
            "block": watched.block,
            "ticks": pack_steps(watched.ticks),
        }

    def restore(self, saved: object) -> tuple[SlowerState, str | None]:
        """Return a saved state, or a fresh one and the reason why the saved one was refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved baseline is not of version {_VERSION}; learning starts again"
        if saved.get("owner") != self._learning.owner:
            return (
                self.fresh(),
                "the saved baseline belongs to another golden set, load or model; learning starts again",
            )
        try:
            return self._restored(saved)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return self.fresh(), "the saved baseline is damaged; learning starts again"

    def _restored(self, saved: Mapping[str, Any]) -> tuple[SlowerState, str | None]:
        ticks = unpack_steps(saved["ticks"])
        if "baseline" not in saved:
            seconds = unpack_steps(saved["seconds"])
            if len(seconds) != len(ticks):
                raise ValueError("times without latencies")
            return SlowerState(seconds, ticks), None
        if saved["block_s"] != self._block_s:
            return self.fresh(), "the saved baseline is of blocks of another length; learning starts again"
        baseline = saved_baseline(saved["baseline"])
        block, value = saved["memory"]
        memory = Memory(int(block), finite([value]))
        standing, refused = self._episodes(baseline).restore(saved["standing"])
        return SlowerState(watched=Watched(baseline, memory, standing, int(saved["block"]), ticks)), refused

    def _learn(self, observation: Latency, state: SlowerState, at: float, block: int) -> tuple[SlowerState, Verdict]:
        if state.seconds and at <= state.seconds[-1]:
            return state, self._unknown(self._progress(state))  # the clock was set back
        tick = round(observation.log_s * _TICKS)
        learned = self._learned(state) if self._is_enough(state, at, block) else None
        if learned is None:
            state = SlowerState((*state.seconds, round(at)), (*state.ticks, tick))
            return state, self._unknown(self._progress(state))
        baseline, memory = learned
        memory = replace(memory, value=memory.value - self._tolerance)
        watched = Watched(baseline, memory, self._episodes(baseline).fresh(), block)
        watched, _ = self._watch(observation, watched, at, block)
        summary = f"learned what is usual from {baseline.replays:,} replays; watching from now on"
        return SlowerState(watched=watched), self._unknown(summary + trend_warning(baseline))

    def _is_enough(self, state: SlowerState, at: float, block: int) -> bool:
        """Say whether a replay that begins a new block ends the learning."""
        learning = self._learning
        if not state.seconds or at - state.seconds[0] < learning.min_s or block == self._numbers(state.seconds)[-1]:
            return False
        return self._blocks(state) >= learning.min_blocks

    def _learned(self, state: SlowerState) -> tuple[Baseline, Memory] | None:
        try:
            at = np.array(state.seconds, dtype=np.float64)
            return learn(at, np.array(state.ticks)[:, np.newaxis] / _TICKS, self._block_s)
        except ValueError:  # too few blocks follow another without a gap: more replays are needed
            return None

    def _watch(self, observation: Latency, before: Watched, at: float, block: int) -> tuple[Watched, Verdict]:
        """Add a replay to its block; the first one of a later block ends the block before."""
        usual = before.baseline.course.at(np.array([at])).item()
        now, then = (math.exp(log_s) * 1000 for log_s in (observation.log_s, usual))
        summary = f"{now:.3g} ms a request (geometric mean), {then:.3g} ms is usual at this hour"
        summary += trend_warning(before.baseline)
        watched, verdict = before, replace(self.standing(SlowerState(watched=before)), summary=summary)
        if block > before.block:
            if len(before.ticks) >= MIN_REPLAYS:
                watched, verdict = self._judge(before, at, summary)
            watched = replace(watched, block=block, ticks=())
        if block == watched.block:  # else the clock was set back
            watched = replace(watched, ticks=(*watched.ticks, round((observation.log_s - usual) * _TICKS)))
        return watched, verdict

    def _judge(self, watched: Watched, at: float, summary: str) -> tuple[Watched, Verdict]:
        """Bet on the block that has ended."""
        noise, above = watched.baseline.noise, float(np.median(watched.ticks)) / _TICKS
        replays = len(watched.ticks)
        missed, memory = surprise(noise, watched.memory, watched.block, np.array([above - self._tolerance]), replays)
        # The recovery looks at the level: a forecast gets used to a slow server.
        slow = max(_SLOW * noise.level.item(), self._tolerance)
        log_back = log_e((slow - above) / noise.level)[0]
        summary += f"; {math.expm1(above):+.0%} in the median of {replays} replays over {self._block}"
        episodes = self._episodes(watched.baseline)
        standing, verdict = episodes.update(watched.standing, log_e(missed)[0], lambda _: log_back, at, summary)
        return replace(watched, memory=memory, standing=standing), verdict

    def _episodes(self, baseline: Baseline) -> Episodes[TurnedEpisode, Back]:
        noise = baseline.noise
        numbers = [noise.memory.item(), noise.mean.item(), noise.spread.item(), noise.replays, self._tolerance]
        forward = Detector([1] * len(SHIFTS), self._alpha, [*SHIFTS, MAX_SURPRISE, *numbers])
        watching = Watching(self.name, Severity.TICKET, "replays take longer than usual")
        backward = turned_round(len(SHIFTS), [*SHIFTS, MAX_SURPRISE, *numbers])
        return Episodes(watching, forward, TurnedRound(lambda _: backward))

    def _progress(self, state: SlowerState) -> str:
        days = (state.seconds[-1] - state.seconds[0]) / DAY_S if state.seconds else 0.0
        learning, blocks = self._learning, self._blocks(state)
        return (
            f"learning what is usual: {len(state.ticks):,} replay{'' if len(state.ticks) == 1 else 's'} over "
            f"{days:.1f} of {learning.min_s / DAY_S:g} days, "
            f"{blocks:,} of {learning.min_blocks:,} blocks of {self._block}"
        )

    def _numbers(self, seconds: Sequence[int]) -> Any:  # noqa: ANN401 - an array
        return np.floor(np.array(seconds, dtype=np.float64) / self._block_s)

    def _blocks(self, state: SlowerState) -> int:
        """Count the blocks that have enough replays."""
        return int((np.unique(self._numbers(state.seconds), return_counts=True)[1] >= MIN_REPLAYS).sum())

    def _unknown(self, summary: str) -> Verdict:
        threshold = threshold_log10(self._alpha)
        return Verdict(self.name, State.UNKNOWN, Severity.TICKET, 0.0, threshold, None, confirm=False, summary=summary)


def log_e(missed: FloatArray) -> FloatArray:
    """Return the logs of what the bets pay [..., bets] for surprises [...] in standard deviations.

    Of a surprise whose mean is at most 0 and whose law is sub-Gaussian with variance 1, exp(l z - l^2 / 2) has a mean
    of at most 1 for every l > 0; capping z only lowers it.
    """
    shifts = np.array(SHIFTS)
    return np.asarray(np.minimum(missed, MAX_SURPRISE)[..., np.newaxis] * shifts - shifts**2 / 2)


def fewest_blocks(alpha: float) -> int:
    """Return after how many blocks in a row a slowdown of any size alerts, at `alpha` false tickets a block."""
    detector, best, blocks = Detector([1] * len(SHIFTS), alpha, []), log_e(np.array(MAX_SURPRISE)), 0
    sums, paged = detector.fresh(), False
    while not paged:
        step = detector.update(sums, best, 0.0)
        sums, paged, blocks = step.sums, step.paged, blocks + 1
    return blocks
