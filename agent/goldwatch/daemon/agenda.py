"""Decides which watch replays next: the most overdue first, as many at once as do not disturb each other.

A model in process has the machine for itself, since any other work would be in its timing. So has a target whose energy
is measured, since a meter cannot tell joules apart. Served targets may be replayed at the same time, up to a number,
but never two on one server. Times are Unix seconds and passed in: nothing here reads a clock, waits or starts anything.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from goldwatch.daemon.schedule import Timetable

Key: TypeAlias = tuple[str, str]
"""Watch and target."""

IN_PROCESS = ""
"""The server of targets that have none."""


_SET_BACK_S = 1.0
"""A clock that goes back by less than this is only being kept right."""


class Missed(StrEnum):
    """Why a time at which a watch was due passed without a replay of its own."""

    STILL_RUNNING = "still_running"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Turn:
    """A replay that may start now, and since when it was due."""

    key: Key
    due_at: float
    alone: bool = False
    """Whether nothing else is replayed until it is done."""


@dataclass(slots=True, eq=False)
class _Entry:
    key: Key
    timetable: Timetable
    server: str
    alone: bool = False
    running: bool = False
    waiting: bool = False
    again: bool = False
    due_at: float = math.inf
    next_at: float = math.inf


_Queue: TypeAlias = list[tuple[float, int, _Entry]]
"""A heap by time; the number tells equal times apart."""


@dataclass(slots=True)
class Agenda:
    """The watches of an agent and when each is due. `concurrent` served targets may be replayed at once.

    `wants_machine` decides whether a watch must be alone this time.
    """

    concurrent: int = 1
    wants_machine: Callable[[Key], bool] = lambda _: False
    _entries: dict[Key, _Entry] = field(default_factory=dict)
    _upcoming: _Queue = field(default_factory=list)
    _deferred: _Queue = field(default_factory=list)
    _waiting: dict[str, _Queue] = field(default_factory=dict)
    _busy: list[_Entry] = field(default_factory=list)
    _count: int = 0
    _now: float = -math.inf

    def put(self, key: Key, timetable: Timetable, server: str, due_at: float) -> None:
        """Enter a watch, or give it another timetable. One that is being replayed gets another turn after that."""
        entry = self._entries[key] = _Entry(key, timetable, server)
        for place, before in enumerate(self._busy):
            if before.key == key:
                entry.running, entry.again, entry.alone = True, True, before.alone
                self._busy[place] = entry
                due_at = timetable.after(due_at)
        self._plan(entry, due_at)

    def remove(self, key: Key) -> None:
        """Forget a watch; a replay of it that is running still counts until it is done."""
        del self._entries[key]

    def tick(self, now: float) -> list[tuple[Key, Missed]]:
        """Let those that have become due wait for their turn; return the due times that came to nothing."""
        if now < self._now - _SET_BACK_S:
            self._bring_back(now)
        self._now = now
        missed = []
        for _, entry in self._popped(self._deferred, now):
            self._wait(entry, entry.due_at)
        for due_at, entry in self._popped(self._upcoming, now):
            if entry.running:
                missed.append((entry.key, Missed.STILL_RUNNING))
            elif entry.waiting:
                missed.append((entry.key, Missed.WAITING))
            else:
                self._wait(entry, due_at)
            self._plan(entry, entry.timetable.after(now))
        return missed

    def take(self) -> Turn | None:
        """Return whose turn it is and count it as running; None if no watch may start now.

        The most overdue goes first, except that one whose server is busy is passed over. One that needs the machine for
        itself is not (a model in process, or a target whose energy is to be measured): it is waited for, or it might
        wait for ever.
        """
        if len(self._busy) >= self.concurrent or any(entry.alone for entry in self._busy):
            return None
        occupied = {entry.server for entry in self._busy}
        heads = [queue[0] for server, queue in self._queues() if server not in occupied]
        if not heads:
            return None
        due_at, _, entry = min(heads)
        alone = entry.server == IN_PROCESS or self.wants_machine(entry.key)
        if alone and self._busy:
            return None
        heapq.heappop(self._waiting[entry.server])
        entry.waiting, entry.running, entry.due_at, entry.alone = False, True, due_at, alone
        self._busy.append(entry)
        return Turn(entry.key, due_at, alone)

    def done(self, key: Key, now: float) -> None:
        """Say that the replay of a watch has ended."""
        self._end(key, now)

    def defer(self, key: Key, now: float, until: float) -> None:
        """Say that a replay could not begin: the watch has another turn later, and others go meanwhile."""
        entry = self._end(key, now)
        if self._is_current(entry) and not entry.waiting:
            entry.waiting = True
            self._push(self._deferred, until, entry)

    @property
    def occupied(self) -> int:
        """How many replays run, of `concurrent` at most; one that has the machine for itself leaves no room."""
        return self.concurrent if any(entry.alone for entry in self._busy) else len(self._busy)

    @property
    def overdue(self) -> int:
        """How many watches are due, and wait for room or for the replay of another on their server."""
        return sum(entry.waiting for entry in self._entries.values())

    def next_at(self) -> float:
        """Return when the next watch becomes due, or has its turn after it was deferred; infinity if none does."""
        return min(self._first(self._upcoming), self._first(self._deferred))

    def due_at(self, key: Key) -> float:
        """Return when a watch is due next, after a replay that waits for its turn or is running."""
        return self._entries[key].next_at

    def _end(self, key: Key, now: float) -> _Entry:
        entry = next(entry for entry in self._busy if entry.key == key)
        self._busy.remove(entry)
        entry.running = False
        if entry.again and self._is_current(entry):
            entry.again = False
            self._wait(entry, now)
        return entry

    def _bring_back(self, now: float) -> None:
        """Plan again after the clock was set back, so that a watch that was due soon still is."""
        deferred = [entry for _, entry in self._popped(self._deferred, math.inf)]
        self._upcoming.clear()
        for entry in self._entries.values():
            self._plan(entry, min(entry.next_at, entry.timetable.after(now)))
        for entry in deferred:
            self._push(self._deferred, now, entry)

    def _first(self, queue: _Queue) -> float:
        while queue and not self._is_current(queue[0][2]):
            heapq.heappop(queue)
        return queue[0][0] if queue else math.inf

    def _plan(self, entry: _Entry, at: float) -> None:
        entry.next_at = at
        self._push(self._upcoming, at, entry)

    def _wait(self, entry: _Entry, due_at: float) -> None:
        entry.waiting = True
        self._push(self._waiting.setdefault(entry.server, []), due_at, entry)

    def _queues(self) -> Iterator[tuple[str, _Queue]]:
        """Yield the queue of each server with waiting watches."""
        for server, queue in list(self._waiting.items()):
            while queue and not self._is_current(queue[0][2]):
                heapq.heappop(queue)
            if queue:
                yield server, queue
            else:
                del self._waiting[server]

    def _popped(self, queue: _Queue, now: float) -> Iterator[tuple[float, _Entry]]:
        while queue and queue[0][0] <= now:
            due_at, _, entry = heapq.heappop(queue)
            if self._is_current(entry):
                yield due_at, entry

    def _is_current(self, entry: _Entry) -> bool:
        """Return whether an entry is current: entries that were replaced or removed are dropped when they come up."""
        return self._entries.get(entry.key) is entry

    def _push(self, queue: _Queue, at: float, entry: _Entry) -> None:
        self._count += 1
        heapq.heappush(queue, (at, self._count, entry))
