"""The agent as a service: loads the config, keeps the schedule, serves the endpoints, reloads and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from goldwatch.config import Config, Defaults, Prometheus, Rejection, with_defaults
from goldwatch.daemon import heap, promises
from goldwatch.daemon.agenda import Agenda, Key, Missed, Turn
from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import Assignment, CannotStart, InForce, prepare
from goldwatch.daemon.ledger import Ledger, LedgerError
from goldwatch.daemon.occupancy import Occupancy
from goldwatch.daemon.pipeline import worker_key
from goldwatch.daemon.port import Port
from goldwatch.daemon.runner import Observer, Runner, of_open_alert
from goldwatch.daemon.schedule import Timetable
from goldwatch.daemon.status import Status
from goldwatch.daemon.tap import Taps
from goldwatch.errors import GoldwatchError
from goldwatch.export import cardinality, measurement
from goldwatch.export.metric import Kind
from goldwatch.golden import kept
from goldwatch.ipc.fence import Halt
from goldwatch.ipc.workers import Workers

if TYPE_CHECKING:
    from goldwatch.cluster.membership import Membership
    from goldwatch.cluster.rollouts import Rollouts
    from goldwatch.core.event import Rollout

log = logging.getLogger("goldwatch")

_REAP_EVERY_S = 10
_LOOK_EVERY_S = 5
_SWEEP_EVERY_S = 3600
_TRIM_EVERY_S = 60
_READ_EVERY_S = 2
_GRACE_S = 1.0
"""For replays to end by themselves, and again once their workers are killed."""
_MOST_CONCURRENT = 32
_LONGEST_WAIT_S = 10.0
"""The wall clock may be set; the schedule follows it within this."""

_MISSED = {
    Missed.STILL_RUNNING: "skipped: the replay before is still running",
    Missed.WAITING: "skipped: the one before has not had its turn yet; see `replays.concurrent`, or replay less often",
}


class Service:
    """One running agent. Made, started and stopped in one event loop."""

    def __init__(
        self,
        path: Path,
        observer: Observer | None = None,
        on_config: Callable[[Config], None] | None = None,
        workers: Workers | None = None,
        port: Port | None = None,
    ) -> None:
        """Make an agent for a config file. `on_config` is called with the first config, before anything is logged.

        Its end closes the workers, given ones too, but no given port, which shows the service once it has started.
        """
        self.port: int | None = None
        self._listener, self._owns_port = port or Port(path), port is None
        self._path = path
        self._observer = observer
        self._on_config = on_config
        self._workers = Workers() if workers is None else workers
        self._exports = Exports()
        self._status: Status | None = None
        self._taps = Taps()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._replays = ThreadPoolExecutor(_MOST_CONCURRENT, "replays")  # a thread is started when it is needed
        self._stopping = threading.Event()
        self._in_force: InForce | None = None
        self._ledger: Ledger | None = None
        self._runner: Runner | None = None
        self._membership: Membership | None = None
        self._rollouts: Rollouts | None = None
        self._assignments: dict[Key, Assignment] = {}
        self._agenda = Agenda(wants_machine=self._wants_machine)
        self._occupancy = Occupancy()
        self._awake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def reference_files(self) -> frozenset[Path]:
        """The files that the current config refers to."""
        return frozenset() if self._in_force is None else self._in_force.config.reference_files

    async def start(self) -> None:
        """Start with the config. Raises CannotStart, after stopping what was started."""
        try:
            wanted = await self._prepare()
            if self._on_config is not None:
                self._on_config(wanted.config)
            self._ledger = Ledger(wanted.config.ledger)
            self._status = Status(wanted.config.ledger, lambda: self._in_force, in_use=self._occupancy.share)
            self._exports.put_in_force(wanted.config)
            self._membership = self._joined(wanted.config)
            self.port = await self._listener.open(wanted.config.exporters.prometheus)
        except CannotStart:
            await self.stop()
            raise
        except (LedgerError, OSError) as error:
            await self.stop()
            raise CannotStart(str(error), Rejection.LEDGER) from None
        halt = Halt(self._stopping, self._may_replay)
        self._runner = Runner(
            self._workers, self._ledger, self._exports, halt, self._observer, self._rollout, self._taps
        )
        jobs = {
            "reap": (self._reap, _REAP_EVERY_S),
            "read": (self._read_logs, _READ_EVERY_S),
            "look": (self._look, _LOOK_EVERY_S),
            "sweep": (self._sweep, _SWEEP_EVERY_S),
            "trim": (_trim, _TRIM_EVERY_S),
        }
        for name, (job, every_s) in jobs.items():
            self._scheduler.add_job(ends_quietly(self._stopping, job), "interval", seconds=every_s, id=name)
        self._scheduler.start()
        self._enforce(wanted)
        page = self._exports.page
        self._listener.endpoints.show(page.render, self._not_ready_because, lambda: self._status, self._taps)
        self._start_task(self._dispatch())
        if self._membership is not None:
            await self._membership.start()

    async def reload(self) -> None:
        """Read the config again; a bad one changes nothing and is logged."""
        try:
            wanted = await self._prepare()
            self._check_fixed(wanted.config)
            anew = await asyncio.to_thread(self._exports.put_in_force, wanted.config)
        except Exception as error:
            # What is wrong with a config is for people; anything else is for us, and no reason to stop watching.
            trace = None if isinstance(error, CannotStart) else error
            why = str(error).replace("; nothing was started.", "; the config before stays in force.")
            log.error("the new config is not in force\n%s", why, exc_info=trace)  # noqa: TRY400
            self._exports.reject_config(error.reason if isinstance(error, CannotStart) else Rejection.OTHER)
            return
        self._enforce(wanted, anew=anew)

    def abort(self) -> None:
        """Let whatever start or reload is waiting for in a worker process fail at once."""
        self._stopping.set()
        self._workers.close()

    async def stop(self) -> None:
        """End everything within five seconds; a replay in flight is given up."""
        self._stopping.set()
        self._awake.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._owns_port:
            await self._listener.close()
        if self._status is not None:
            self._status.close()
        ended = asyncio.get_running_loop().run_in_executor(None, self._replays.shutdown)
        await asyncio.wait({ended}, timeout=_GRACE_S)
        await asyncio.to_thread(self._workers.close)  # kills them: whatever is still replaying sees its worker die
        if not (await asyncio.wait({ended}, timeout=_GRACE_S))[0]:
            log.warning("a replay is given up while it waits for an answer over HTTP")
        if self._membership is not None:
            await self._membership.stop()
        if self._rollouts is not None:
            await self._rollouts.stop()
        self._taps.close()
        await asyncio.to_thread(self._exports.close)
        if self._ledger is not None:
            self._ledger.close()

    async def _prepare(self) -> InForce:
        return await asyncio.to_thread(_prepared, self._path, self._workers, self._listener.defaults)

    def _check_fixed(self, config: Config) -> None:
        assert self._in_force is not None  # noqa: S101 - reload comes after start
        now = self._in_force.config
        fixed: dict[str, tuple[object, object]] = {
            "cluster": (now.cluster, config.cluster),
            "ledger": (now.ledger, config.ledger),
            "exporters.prometheus": (_address(now), _address(config)),
            "log": (now.log, config.log),
        }
        changed = [name for name, (before, after) in fixed.items() if before != after]
        if changed:
            raise CannotStart(
                f"{self._path}: {', '.join(changed)} cannot change while goldwatch runs; restart it", Rejection.RESTART
            )

    def _enforce(self, wanted: InForce, *, anew: bool = False) -> None:
        """Schedule what is new, end what is gone, and leave alone what is as it was.

        `anew` is set if there is a new exporter, which has no measurements.
        """
        before, after = self._assignments, {a.key: a for a in wanted.assignments}
        for key in before.keys() - after.keys():
            self._agenda.remove(key)
            self._exports.retire(*key)
        self._in_force, self._assignments = wanted, after
        self._listener.admit(wanted.config.exporters.prometheus)
        self._taps.enforce({w.name: w.live for w in wanted.config.watches.values() if w.live is not None})
        self._agenda.concurrent = wanted.config.replays.concurrent
        for key, assignment in after.items():
            if anew or before.get(key) != assignment:
                self._introduce(assignment)
            if before.get(key) != assignment:
                self._schedule(assignment, anew=key in before)
            elif anew:
                self._exports.publish(promises.of_due(*key, self._agenda.due_at(key)))
        self._awake.set()
        self._start_task(self._sweep())
        self._see_rollouts(wanted.config)
        self._exports.accept_config()
        log.info("config in force", extra={"config": str(self._path), "watches": len(after)})

    def _see_rollouts(self, config: Config) -> None:
        """Ask about the Deployments of the targets, from the first config on that names one."""
        deployments = {name: target.deployment for name, target in config.targets.items() if target.deployment}
        if self._rollouts is None and deployments:
            from goldwatch.cluster.rollouts import Rollouts  # noqa: PLC0415 - only who is in a cluster pays for it

            self._rollouts = Rollouts()
        if self._rollouts is not None:
            self._rollouts.watch(deployments)

    def _rollout(self, target: str) -> Rollout | None:
        return None if self._rollouts is None else self._rollouts(target)

    def _introduce(self, assignment: Assignment) -> None:
        """Export what a watch promises, and its open alert of an earlier run: the next replay may be a day away.

        Without a ledger from an earlier run nothing is known, not even that there is no alert. Prometheus then holds
        what the last agent reported.
        """
        key = assignment.key
        self._exports.publish(measurement.of_watch(*key, assignment.watch.scores, assignment.watch.judges))
        self._exports.publish(promises.of_promises(assignment.watch, assignment.target.name))
        alert = self._ledger.open_alert(*key) if self._ledger is not None else None
        if alert is not None or (self._runner is not None and self._runner.knows(*key)):
            self._exports.publish(of_open_alert(*key, alert))

    def _schedule(self, assignment: Assignment, *, anew: bool) -> None:
        """Enter a watch into the agenda; one that was given other settings is replayed with them at once."""
        key, watch = assignment.key, assignment.watch
        timetable = Timetable(watch.every, watch.jitter_s, " ".join([platform.node(), *key]))
        ledger, now = None if anew else self._ledger, time.time()
        last = None if ledger is None else ledger.last_started_at(*key, assignment.golden.digest)
        due_at = timetable.first(now, last)
        if last is not None and due_at > now:
            self._publish_last(key)
        self._agenda.put(key, timetable, assignment.target.server, due_at)
        self._exports.publish(promises.of_due(*key, due_at))

    def _wants_machine(self, key: Key) -> bool:
        return self._runner is not None and self._runner.is_metering_due(self._assignments[key])

    def _joined(self, config: Config) -> Membership | None:
        if config.cluster.lease is None:
            return None
        from goldwatch.cluster.api import NotInCluster  # noqa: PLC0415 - only who is one of several pays for it
        from goldwatch.cluster.membership import Membership  # noqa: PLC0415

        try:
            lost, failed = lambda: self._exports.stand_by(self._assignments), self._exports.count_lease_error
            return Membership(config.cluster.lease, self._lead, lost, failed)
        except NotInCluster as error:
            raise CannotStart(f"{config.source}: cluster.lease: {error}") from None

    def _may_replay(self) -> bool:
        return self._membership is None or self._membership.may_replay()

    def _lead(self, was_last: bool) -> None:
        """Take over from a replica that is gone: its last replays may be a whole interval ago.

        Without `was_last` another replica may have led since this one did, and found that its alerts have ended.
        """
        if not was_last and self._runner is not None:
            try:
                self._runner.begin_term(time.time())
            except LedgerError as error:
                log.error("alerts cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - it is about the disk
        self._exports.lead()
        for assignment in self._assignments.values():
            self._introduce(assignment)
            self._schedule(assignment, anew=True)
        self._awake.set()

    def _publish_last(self, key: Key) -> None:
        """Publish the last replay before this start, since the next one may be a day away.

        Counters count from the start.
        """
        judgement = self._ledger.last_judgement(*key) if self._ledger is not None else None
        found = () if judgement is None else measurement.of_judgement(judgement)
        self._exports.publish(m for m in found if m.metric.kind in (Kind.GAUGE, Kind.INFO))

    async def _dispatch(self) -> None:
        """Start each replay when it is its turn, until the agent stops."""
        while not self._stopping.is_set():
            self._awake.clear()
            for key, why in self._agenda.tick(time.time()):
                log.warning(_MISSED[why], extra=dict(zip(("watch", "target"), key, strict=True)))
                self._exports.publish(measurement.of_skip(*key, reason=why))
            while (turn := self._agenda.take()) is not None:
                self._start_task(self._replay(turn, self._assignments[turn.key]))
            agenda = self._agenda
            busy_s = self._occupancy.note(agenda.occupied, agenda.concurrent)
            self._exports.publish(measurement.of_slots(agenda.concurrent, busy_s, agenda.overdue))
            wait_s = min(max(agenda.next_at() - time.time(), 0), _LONGEST_WAIT_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), wait_s)

    def _start_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _replay(self, turn: Turn, assignment: Assignment) -> None:
        assert self._in_force is not None  # noqa: S101 - it is somebody's turn
        assert self._runner is not None  # noqa: S101
        key, config = turn.key, self._in_force.config
        loop = asyncio.get_running_loop()
        later_s = None
        try:
            if self._may_replay():
                tick = partial(self._runner.tick, assignment, config, turn.due_at, alone=turn.alone)
                later_s = await loop.run_in_executor(self._replays, tick)
        except LedgerError as error:
            watch, target = key
            log.error("what a replay found is lost", extra={"watch": watch, "target": target, "reason": str(error)})  # noqa: TRY400
            self._exports.publish(measurement.of_skip(watch, target, reason="internal_error"))
        except Exception:
            if not self._stopping.is_set():
                watch, target = key
                log.exception("a replay failed in goldwatch itself", extra={"watch": watch, "target": target})
                self._exports.publish(measurement.of_skip(watch, target, reason="internal_error"))
        now = time.time()
        if later_s is None:
            self._agenda.done(key, now)
        else:
            self._agenda.defer(key, now, now + later_s)
        self._awake.set()
        if key in self._assignments:
            self._exports.publish(promises.of_due(*key, self._agenda.due_at(key)))
        elif not self._stopping.is_set():
            self._exports.retire(*key)  # the config was reloaded without this watch while it replayed

    async def _reap(self) -> None:
        warm = {worker_key(a.target) for a in self._in_force.assignments if a.target.warm} if self._in_force else set()
        await asyncio.to_thread(self._workers.reap, keep=frozenset(warm))

    async def _read_logs(self) -> None:
        """Read what model servers have written into the logs that are followed."""
        await asyncio.to_thread(self._taps.read)

    async def _look(self) -> None:
        """Notice what does not happen: watches without a valid replay, and silences that have ended."""
        if self._runner is not None and self._in_force is not None and self._may_replay():
            wanted = self._in_force
            try:
                await asyncio.to_thread(self._runner.look, wanted.assignments, wanted.config, time.time())
            except LedgerError as error:
                log.error("alerts cannot be kept", extra={"reason": str(error)})  # noqa: TRY400 - it is about the disk

    async def _sweep(self) -> None:
        """Delete fetched golden sets that no config names any more."""
        if self._in_force is not None:
            config = self._in_force.config
            named = {golden.path for golden in config.golden.values()}
            if swept := await asyncio.to_thread(kept.sweep, config.fetched, named, time.time()):
                log.info(
                    "fetched golden sets that nobody named for a week are deleted", extra={"sets": ", ".join(swept)}
                )

    def _not_ready_because(self) -> str | None:
        if self._stopping.is_set():
            return "goldwatch is stopping"
        return None if self._in_force is not None else "no config is in force yet"


async def _trim() -> None:
    await asyncio.to_thread(heap.trim)


def _address(config: Config) -> Prometheus:
    """Return the settings of the port, without those that may change while it is open: tokens and names."""
    return config.exporters.prometheus.model_copy(update={"authorization": None, "allowed_hosts": ()})


def ends_quietly(
    stopping: threading.Event, job: Callable[[], Coroutine[Any, Any, None]]
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Wrap a job of the scheduler: its cancellation at a stop is no error, and the scheduler would log a traceback."""

    async def run() -> None:
        try:
            await job()
        except asyncio.CancelledError:
            if not stopping.is_set():
                raise

    return run


def _prepared(path: Path, workers: Workers, defaults: Defaults | None = None) -> InForce:
    """Load a config and verify its golden sets. Raises CannotStart, also for one that would make too many series."""
    wanted = prepare(path, workers)
    try:
        wanted = replace(wanted, config=with_defaults(wanted.config, defaults or Defaults()))
        cardinality.check(wanted.config, {name: sum(counts.values()) for name, counts in wanted.slices.items()})
    except GoldwatchError as error:
        raise CannotStart(str(error), Rejection.INVALID) from None
    for warning in cardinality.warnings(wanted.slices):
        log.warning("%s: %s", path, warning)
    return wanted
