"""The replay engine, as seen from the agent: runs a golden set against one target and returns what happened.

The timed loop is in a worker process; the engine watches it from outside. A request that outlives its limit, or a
runtime that dies, costs the worker and is recorded in its row; the rest of the replay goes on in a new one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum, auto
from itertools import islice, repeat
from typing import Any

from goldwatch import scratch
from goldwatch.core.disturbances import Found
from goldwatch.core.outcome import Outcome
from goldwatch.daemon.plan import Guard, Plan
from goldwatch.ipc.columns import MAX_GAPS, Columns, Layout, Phase
from goldwatch.ipc.foreign import packages
from goldwatch.ipc.jobs import REPLAY, ErrorCode, Progress, ReplayRequest, ReplayResponse
from goldwatch.ipc.workers import Done, Failed, Worker, WorkerDied, Workers
from goldwatch.probe import Description, TensorSpec
from goldwatch.redaction import redact

MOST_RESTARTS = 3
"""A model that takes down so many workers in one replay is not asked again before the next."""

STEPPED_BACK = "goldwatch stepped back: "
"""How `ended` begins where the target had no room."""

DEADLINE = "the deadline"
"""How `given_up` begins where a replay took longer than its watch allows."""

_LOOK_EVERY_S = 0.05
_GRACE_S = 0.25
"""A probe that keeps the time limit by itself gets this much longer before its worker is killed."""


@dataclass(slots=True)
class Replay:
    """A replay that has ended. The caller closes the columns.

    `started_at` is Unix time in seconds, `started_ns` the same moment by the monotonic clock in nanoseconds; durations
    are seconds. `failure` is the reason why the target could not be reached or used at all; `given_up` why the replay
    stopped asking; `ended` why goldwatch itself could not go on, which is no evidence about the target: a mistake in
    the config, a missing package, a stop. `samples` is the number of examples of one request. `described_after` is the
    description of a served target at the end. `held_s` is for how long the replay was held because the target had no
    room; `pairs_s` has the latencies of requests that were made twice, after it. `asked` is how many examples the
    target was asked for at most, those of the warm-up and of the pairs too.
    """

    columns: Columns
    started_at: float
    started_ns: int = 0
    duration_s: float = 0.0
    samples: int = 1
    open_load: bool = False
    description: Description | None = None
    described_after: Description | None = None
    disturbances: Found = field(default_factory=Found)
    open_s: float | None = None
    first_request_s: float | None = None
    errors: Counter[str] = field(default_factory=Counter)
    failure: str | None = None
    given_up: str | None = None
    ended: str | None = None
    restarts: int = 0
    resent: int = 0
    answered: tuple[TensorSpec, ...] = ()
    held_s: float = 0.0
    pairs_s: list[tuple[float, float]] = field(default_factory=list)

    def outcomes(self) -> dict[str, int]:
        """Count the requests by the label of their outcome; outcomes that did not occur are left out."""
        counts = Counter(self.columns.outcome[:: self.samples])
        return {outcome.label: counts[outcome] for outcome in Outcome if counts[outcome]}

    def latencies_s(self) -> Sequence[float]:
        """Return the latency of each answered request in seconds, in the order of the rows.

        It counts from when it was due for an open load, and from when it was sent for a closed one.
        """
        columns = self.columns
        delays = columns.dispatch_delay_ns if self.open_load else repeat(0, columns.layout.rows)
        rows = zip(columns.latency_ns, delays, columns.outcome, strict=True)
        chosen = islice(rows, 0, None, self.samples)
        seconds = ((ns + delay) / 1e9 for ns, delay, outcome in chosen if outcome == Outcome.OK)
        return scratch.numbers(seconds, columns.layout.rows)

    def late_s(self) -> Sequence[float]:
        """Return by how many seconds goldwatch itself sent each request of an open load too late."""
        if not self.open_load:
            return ()
        rows = zip(self.columns.late_ns, self.columns.outcome, strict=True)
        seconds = (ns / 1e9 for ns, o in islice(rows, 0, None, self.samples) if o != Outcome.NOT_SENT)
        return scratch.numbers(seconds, self.columns.layout.rows)

    def token_times_s(self) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
        """Return the known times to the first token, the mean ones between tokens, and the gaps kept, in seconds."""
        columns, rows = self.columns, self.columns.layout.rows
        if not columns.layout.tokens:
            return (), (), ()
        ok = [row for row, outcome in enumerate(columns.outcome) if outcome == Outcome.OK]
        with columns.integers("first_token_ns") as first_ns, columns.integers("next_token_ns") as next_ns:
            first_s, next_s = (
                scratch.numbers((ns[row] / 1e9 for row in ok if ns[row] >= 0), rows) for ns in (first_ns, next_ns)
            )
        gaps_s = (gap for row in ok for gap in columns.gaps_s(row))
        return first_s, next_s, scratch.numbers(gaps_s, MAX_GAPS * len(ok))


class _End(Enum):
    FINISHED = auto()
    LOST = auto()  # the worker is gone; the replay may go on in another
    CUT_SHORT = auto()


class _Supervision:
    """One running replay."""

    def __init__(
        self, plan: Plan, workers: Workers, stop: threading.Event, wall: Callable[[], float], guard: Guard | None = None
    ) -> None:
        self._plan = plan
        self._guard = guard
        self._held_ns = self._turn_ns = 0
        self._workers = workers
        self._stop = stop
        self._started_ns = time.monotonic_ns()
        columns = Columns.create(Layout(len(plan.examples), plan.outputs, plan.tokens), plan.examples)
        self.replay = Replay(columns, wall(), self._started_ns, samples=plan.load.samples, open_load=plan.load.is_open)

    def run(self) -> Replay:
        while True:
            end = self._attempt()
            done = Outcome.NOT_SENT not in self._columns.outcome.tobytes()
            if end is not _End.LOST or done or self.replay.restarts == MOST_RESTARTS:
                break
            self.replay.restarts += 1
        self.replay.duration_s = (time.monotonic_ns() - self._started_ns) / 1e9
        self._stop.wait(max(self._turn_ns - time.monotonic_ns(), 0) / 1e9)  # the budget holds for the next replay too
        return self.replay

    @property
    def _columns(self) -> Columns:
        return self.replay.columns

    def _attempt(self) -> _End:
        self._columns.forget_flights()
        self._columns.progress(Phase.STARTING, time.monotonic_ns())
        path = packages(self._plan.factory) if self._plan.python else ""
        try:
            worker = self._workers.take(self._plan.key, self._plan.python, path)
        except WorkerDied as error:
            self.replay.ended = str(error)
            return _End.CUT_SHORT
        end = _End.LOST
        try:
            worker.send(REPLAY, self._request(), (self._columns.fd,))
            end = self._watch(worker)
        except WorkerDied as death:
            end = self._bury(str(death))
        finally:
            if end is _End.FINISHED and (self._plan.served or self._plan.warm):
                self._workers.give_back(self._plan.key, worker)
            else:
                self._workers.drop(worker)
        return end

    def _request(self) -> ReplayRequest:
        plan = self._plan
        return ReplayRequest(
            factory=plan.factory,
            options=plan.options,
            inputs=tuple(plan.inputs),
            outputs=tuple(plan.outputs),
            rows=len(plan.examples),
            batch_axes=plan.batch_axes,
            tokens=plan.tokens,
            trace=plan.trace,
            load=plan.load,
            warmup=plan.warmup,
            pairs=plan.pairs,
            time_limit_s=plan.time_limit_s,
        )

    def _watch(self, worker: Worker) -> _End:
        while True:
            message = worker.receive(REPLAY, _LOOK_EVERY_S)
            if message is not None:
                if self._heard(message):
                    return _End.FINISHED
            elif self._must_stop():
                return _End.CUT_SHORT
            elif (stuck := self._stuck()) is not None:
                return self._bury(stuck, Outcome.TIMEOUT)
            elif (hog := self._too_large(worker)) is not None:
                return self._bury(hog)

    def _heard(self, message: Done[ReplayResponse] | Failed | Progress) -> bool:
        """Take in one message; True if the job is done."""
        if isinstance(message, Progress):
            self._progressed(message)
            return False
        if isinstance(message, Done):
            self._take_in(message.response)
            return True
        why = self._redacted(message.why)
        if message.code is ErrorCode.TARGET:
            self.replay.failure = why
        elif message.code is ErrorCode.PACKAGE and (python := self._plan.python):
            self.replay.ended = f"{python}, which is this target's `python`: {why}; install it there"
        else:
            self.replay.ended = why
        return True

    def _progressed(self, progress: Progress) -> None:
        replay = self.replay
        if progress.description is not None:
            replay.description = self._description(progress.description)
        if replay.open_s is None:
            replay.open_s = progress.open_s
        if replay.first_request_s is None:
            replay.first_request_s = progress.first_request_s

    def _take_in(self, done: ReplayResponse) -> None:
        replay = self.replay
        replay.errors.update({self._redacted(text): n for text, n in done.errors.items()})
        replay.disturbances = done.disturbances
        replay.resent += done.resent
        replay.answered = done.answered
        self._turn_ns = done.turn_ns
        replay.pairs_s = [(first / 1e9, second / 1e9) for first, second in done.pairs_ns]
        if done.description is not None:
            replay.described_after = self._description(done.description)

    def _redacted(self, text: str) -> str:
        """Take out secrets: a server may send back what it was sent, and this text goes into log and ledger.

        So are line breaks, other control characters, and half characters, which neither of the two could hold.
        """
        text = redact(text, self._plan.secrets)
        return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)

    def _description(self, said: Description) -> Description:
        values = {field.name: getattr(said, field.name) for field in fields(said)}
        texts: dict[str, Any] = {
            name: self._redacted(value) for name, value in values.items() if isinstance(value, str)
        }
        inputs, outputs = (
            tuple(replace(spec, name=self._redacted(spec.name)) for spec in specs)
            for specs in (said.inputs, said.outputs)
        )
        return replace(said, **texts, inputs=inputs, outputs=outputs)

    def _step_back(self) -> None:
        """Hold a replay while the target has no room, or end it."""
        if self._guard is None or self._columns.phase not in (Phase.WARMING_UP, Phase.REPLAYING):
            return
        why, now_ns = self._guard.why_not(), time.monotonic_ns()
        if self._held_ns:
            self.replay.held_s += (now_ns - self._held_ns) / 1e9
            self._held_ns = now_ns
        if why is None:
            self._held_ns = 0
            self._columns.hold(on=False)
        elif self._plan.load.is_open or self.replay.held_s > self._guard.patience_s or self._is_past_deadline():
            self.replay.ended = f"{STEPPED_BACK}{why}"
        elif not self._held_ns:
            self._held_ns = now_ns
            self._columns.hold(on=True)

    def _is_past_deadline(self) -> bool:
        return self._age_s(self._started_ns) > self._plan.deadline_s

    def _must_stop(self) -> bool:
        if self._stop.is_set():
            self.replay.ended = "goldwatch was stopped"
            return True
        self._step_back()
        if self.replay.ended is None and self._is_past_deadline():
            self.replay.given_up = f"{DEADLINE} of {self._plan.deadline_s:g} s had passed"
        return self.replay.ended is not None or self.replay.given_up is not None

    def _stuck(self) -> str | None:
        """Say what the worker has been doing for longer than it may, if so."""
        now_s = self._age_s(self._columns.since_ns)
        if self._columns.phase in (Phase.STARTING, Phase.OPENING):
            limit_s = self._plan.start_limit_s
            return f"the target did not open within {limit_s:g} s" if now_s > limit_s else None
        if self._columns.phase == Phase.REPLAYING:
            now_s = max((self._age_s(since_ns) for _, since_ns in self._columns.flights()), default=0.0)
        limit_s = self._plan.time_limit_s
        return f"no answer within {limit_s:g} s; the worker was ended" if now_s > limit_s + _GRACE_S else None

    def _too_large(self, worker: Worker) -> str | None:
        """Say how much memory the worker has, if that is more than it may."""
        allowed = self._plan.memory_bytes
        if allowed is None or (found := worker.resident_bytes()) <= allowed:
            return None
        return f"its worker took {found / 2**20:,.0f} MiB of memory, {allowed / 2**20:,.0f} MiB are allowed"

    def _age_s(self, since_ns: int) -> float:
        return (time.monotonic_ns() - since_ns) / 1e9

    def _bury(self, why: str, outcome: Outcome = Outcome.CRASHED) -> _End:
        """Record the loss of the worker where it belongs: in the rows in flight, or as the failure of the replay."""
        columns = self._columns
        why = self._redacted(why)
        if self._stop.is_set() or columns.phase == Phase.STARTING:
            self.replay.ended = "goldwatch was stopped" if self._stop.is_set() else f"{why} (before it had begun)"
            return _End.CUT_SHORT
        if columns.phase != Phase.REPLAYING:
            doing = "in warm-up" if columns.phase == Phase.WARMING_UP else "while opening the target"
            self.replay.failure = f"{why} ({doing})"
            return _End.CUT_SHORT
        self.replay.errors[why] += 1
        for row, since_ns in columns.flights():
            # Of several in flight, one that hangs takes the worker with it; the others are sent again.
            if outcome is Outcome.CRASHED or self._age_s(since_ns) > self._plan.time_limit_s + _GRACE_S:
                self._lose(row, since_ns, outcome)
        return _End.LOST

    def _lose(self, first: int, since_ns: int, outcome: Outcome) -> None:
        columns = self._columns
        now_ns = time.monotonic_ns()
        for row in range(first, min(first + self._plan.load.samples, columns.layout.rows)):
            if columns.outcome[row] == Outcome.NOT_SENT:
                columns.sent_ns[row] = since_ns
                columns.latency_ns[row] = now_ns - since_ns
                columns.outcome[row] = outcome


def untried(plan: Plan, why: str) -> Replay:
    """Return the replay that did not take place, because the target has no room. The caller closes its columns."""
    columns = Columns.create(Layout(len(plan.examples), plan.outputs, plan.tokens), plan.examples)
    load = plan.load
    return Replay(columns, time.time(), samples=load.samples, open_load=load.is_open, ended=f"{STEPPED_BACK}{why}")


def replay(
    plan: Plan,
    workers: Workers,
    stop: threading.Event | None = None,
    wall: Callable[[], float] = time.time,
    guard: Guard | None = None,
) -> Replay:
    """Run one replay to its end and return it, when its budgets allow the next request.

    `stop`, set from another thread, cuts it short within 0.1 s. With a `guard` it is held, or ended, while the target
    has no room.
    """
    return _Supervision(plan, workers, stop or threading.Event(), wall, guard).run()
