"""The replay engine, as seen from the agent: runs a golden set against one target and returns what happened.

The timed loop is in a worker process; the engine watches it from outside. A request that outlives its limit, or a
runtime that dies, costs the worker and is recorded in its row; the rest of the replay goes on in a new one.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from typing import Any

from goldwatch.golden.tensors import TensorLocation
from goldwatch.probe import Description, TensorSpec
from goldwatch.replay.columns import Columns, Layout, Phase
from goldwatch.replay.foreign import packages
from goldwatch.replay.outcome import Outcome
from goldwatch.replay.workers import Worker, WorkerDied, Workers

MOST_RESTARTS = 3
"""A model that takes down so many workers in one replay is not asked again before the next."""

_TARGETS_OWN = frozenset({"Unreachable", "NotReady", "TimeoutError"})
"""What an opening may raise that is the target's doing. Anything else is a matter of config, package or probe."""

_LOOK_EVERY_S = 0.05
_TELLING = 3
"""More characters than this of a secret, where a message was cut, are taken out too."""
_GRACE_S = 0.25
"""A probe that keeps the time limit by itself gets this much longer before its worker is killed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay against what: everything that a worker needs, as plain values."""

    factory: str
    options: Mapping[str, Any] = field(repr=False)  # may hold secrets
    served: bool
    warm: bool
    key: str
    inputs: tuple[TensorLocation, ...]
    outputs: tuple[TensorSpec, ...]
    examples: Sequence[int]
    tokens: bool = False
    python: str = ""
    memory_bytes: int | None = None
    warmup: int = 10
    time_limit_s: float = 2.0
    start_limit_s: float = 60.0
    deadline_s: float = 300.0
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(slots=True)
class Replay:
    """What happened. The columns are the caller's to close.

    `started_at` is Unix time in seconds, the durations are seconds. `failure` says why the target could not be reached
    or used at all; `given_up` why it was asked no further; `ended` why goldwatch itself could not go on, which says
    nothing of the target: a mistake in the config, a missing package, a stop.
    """

    columns: Columns
    started_at: float
    duration_s: float = 0.0
    description: Description | None = None
    open_s: float | None = None
    first_request_s: float | None = None
    errors: Counter[str] = field(default_factory=Counter)
    failure: str | None = None
    given_up: str | None = None
    ended: str | None = None
    restarts: int = 0

    def outcomes(self) -> dict[str, int]:
        """Count the requests by the label of their outcome; outcomes that did not occur are left out."""
        counts = Counter(self.columns.outcome)
        return {outcome.label: counts[outcome] for outcome in Outcome if counts[outcome]}

    def latencies_s(self) -> array[float]:
        """Return the latency of each answered request in seconds, in the order in which they were sent.

        Eight bytes each: a set may have a million examples.
        """
        rows = zip(self.columns.latency_ns, self.columns.outcome, strict=True)
        return array("d", (ns / 1e9 for ns, outcome in rows if outcome == Outcome.OK))


class _End(Enum):
    FINISHED = auto()
    LOST = auto()  # the worker is gone; the replay may go on in another
    CUT_SHORT = auto()


class _Supervision:
    """One replay under way."""

    def __init__(self, plan: Plan, workers: Workers, stop: threading.Event, wall: Callable[[], float]) -> None:
        self._plan = plan
        self._workers = workers
        self._stop = stop
        self._started_ns = time.monotonic_ns()
        columns = Columns.create(Layout(len(plan.examples), plan.outputs, plan.tokens), plan.examples)
        self.replay = Replay(columns, started_at=wall())

    def run(self) -> Replay:
        start = 0
        while True:
            end = self._attempt(start)
            start = self._columns.row + 1 if self._columns.phase == Phase.REPLAYING else 0
            if end is not _End.LOST or start >= len(self._plan.examples):
                break
            if self.replay.restarts == MOST_RESTARTS:
                break
            self.replay.restarts += 1
        self.replay.duration_s = (time.monotonic_ns() - self._started_ns) / 1e9
        return self.replay

    @property
    def _columns(self) -> Columns:
        return self.replay.columns

    def _attempt(self, start: int) -> _End:
        self._columns.progress(Phase.STARTING, start, time.monotonic_ns())
        python = self._plan.python
        path = packages(self._plan.factory) if python else ""
        try:
            worker = self._workers.take(self._plan.key, python, path)
        except WorkerDied as error:
            self.replay.ended = str(error)
            return _End.CUT_SHORT
        end = _End.LOST
        try:
            worker.send("goldwatch.replay.timed:replay", self._argument(start), (self._columns.fd,))
            end = self._watch(worker)
        except WorkerDied as death:
            end = self._bury(str(death))
        finally:
            if end is _End.FINISHED and (self._plan.served or self._plan.warm):
                self._workers.give_back(self._plan.key, worker)
            else:
                self._workers.drop(worker)
        return end

    def _argument(self, start: int) -> dict[str, Any]:
        plan = self._plan
        return {
            "factory": plan.factory,
            "options": dict(plan.options),
            "inputs": [asdict(location) for location in plan.inputs],
            "outputs": [asdict(spec) for spec in plan.outputs],
            "rows": len(plan.examples),
            "tokens": plan.tokens,
            "start": start,
            "warmup": plan.warmup,
            "time_limit_s": plan.time_limit_s,
        }

    def _watch(self, worker: Worker) -> _End:
        while True:
            message = worker.receive(_LOOK_EVERY_S)
            if message is not None:
                if self._heard(message):
                    return _End.FINISHED
            elif self._must_stop():
                return _End.CUT_SHORT
            elif (stuck := self._stuck()) is not None:
                return self._bury(stuck, Outcome.TIMEOUT)
            elif (hog := self._too_large(worker)) is not None:
                return self._bury(hog)

    def _heard(self, message: dict[str, Any]) -> bool:
        """Take in one message; True if the job is done."""
        replay = self.replay
        if message.get("event") == "opened":
            replay.description = self._description(message["description"])
            replay.open_s = message["open_s"] if replay.open_s is None else replay.open_s
        elif message.get("event") == "first" and replay.first_request_s is None:
            replay.first_request_s = message["first_request_s"]
        elif "done" in message:
            replay.errors.update({self._redacted(text): n for text, n in message["done"]["errors"].items()})
            return True
        elif "failed" in message:
            if message["kind"] in _TARGETS_OWN:
                replay.failure = self._redacted(message["failed"])
            else:
                replay.ended = self._redacted(message["failed"])
            return True
        return False

    def _redacted(self, text: str) -> str:
        """Take out secrets: a server may send back what it was sent, and this text goes into log and ledger."""
        for secret in self._plan.secrets:
            text = text.replace(secret, "***")
            cut = next((n for n in range(len(secret) - 1, _TELLING, -1) if text.endswith(secret[:n])), 0)
            text = text[: len(text) - cut] + ("***" if cut else "")
        return text

    def _description(self, raw: dict[str, Any]) -> Description:
        plain: dict[str, Any] = {k: self._redacted(v) if isinstance(v, str) else v for k, v in raw.items()}
        for key in ("inputs", "outputs"):
            plain[key] = tuple(TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in raw[key])
        return Description(**plain)

    def _must_stop(self) -> bool:
        if self._stop.is_set():
            self.replay.ended = "goldwatch was stopped"
        elif (time.monotonic_ns() - self._started_ns) / 1e9 > self._plan.deadline_s:
            self.replay.given_up = f"the deadline of {self._plan.deadline_s:g} s had passed"
        return self.replay.ended is not None or self.replay.given_up is not None

    def _stuck(self) -> str | None:
        """Say what the worker has been doing for longer than it may, if so."""
        now_s = (time.monotonic_ns() - self._columns.since_ns) / 1e9
        if self._columns.phase in (Phase.STARTING, Phase.OPENING):
            limit_s = self._plan.start_limit_s
            return f"the target did not open within {limit_s:g} s" if now_s > limit_s else None
        limit_s = self._plan.time_limit_s
        return f"no answer within {limit_s:g} s; the worker was ended" if now_s > limit_s + _GRACE_S else None

    def _too_large(self, worker: Worker) -> str | None:
        """Say how much memory the worker has, if that is more than it may."""
        allowed = self._plan.memory_bytes
        if allowed is None or (found := worker.resident_bytes()) <= allowed:
            return None
        return f"the model took {found / 2**20:,.0f} MiB of memory, {allowed / 2**20:,.0f} MiB are allowed"

    def _bury(self, why: str, outcome: Outcome = Outcome.CRASHED) -> _End:
        """Record the loss of the worker where it belongs: in its row, or as the failure of the whole replay."""
        columns = self._columns
        why = self._redacted(why)
        if self._stop.is_set() or columns.phase == Phase.STARTING:
            self.replay.ended = "goldwatch was stopped" if self._stop.is_set() else f"{why} (before it had begun)"
            return _End.CUT_SHORT
        if columns.phase != Phase.REPLAYING:
            doing = "in warm-up" if columns.phase == Phase.WARMING_UP else "while opening the target"
            self.replay.failure = f"{why} ({doing})"
            return _End.CUT_SHORT
        row = columns.row
        if columns.outcome[row] == Outcome.NOT_SENT:
            columns.sent_ns[row] = columns.since_ns
            columns.latency_ns[row] = time.monotonic_ns() - columns.since_ns
            columns.outcome[row] = outcome
            self.replay.errors[why] += 1
        return _End.LOST


def replay(
    plan: Plan,
    workers: Workers,
    stop: threading.Event | None = None,
    wall: Callable[[], float] = time.time,
) -> Replay:
    """Run one replay to its end and return it. `stop`, set from another thread, cuts it short within 0.1 s."""
    return _Supervision(plan, workers, stop or threading.Event(), wall).run()
