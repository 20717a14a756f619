"""Readings of the agent while it is attacked: memory, descriptors, duration of a scrape."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from benchmarks.soak.setting import Agent

NO_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the agent: seconds since the start of the soak and of this life of it, and what it takes."""

    at_s: float
    life: int
    age_s: float
    agent_mb: float
    workers_mb: tuple[float, ...]
    descriptors: int


@dataclass(slots=True)
class Readings:
    """Samples and scrapes so far. Each of the two methods is called by one thread."""

    agent: Agent
    began_s: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    scrapes_ms: list[float] = field(default_factory=list)
    """Scrapes of an agent that was up before and after; one that failed counts as `NO_ANSWER_S`."""
    loop_ms: list[float] = field(default_factory=list)
    """/healthz after each scrape: what the agent's event loop takes to answer at all."""
    floor_ms: list[float] = field(default_factory=list)
    """A page of next to nothing, from a server that is not attacked, after each scrape."""

    def sample(self) -> None:
        """Read what the agent and its workers take now; nothing while it is down."""
        agent, now_s = self.agent, time.monotonic()
        if (since_s := agent.up_since_s) is None:
            return
        try:
            resident, descriptors = agent.process.memory_info().rss, agent.process.num_fds()
        except psutil.Error:
            return  # killed meanwhile
        workers = []
        for worker in agent.workers():
            try:
                workers.append(worker.memory_info().rss / 1e6)
            except psutil.Error:
                continue
        self.samples.append(
            Sample(
                round(now_s - self.began_s, 1),
                len(agent.killed_at),
                round(now_s - since_s, 1),
                resident / 1e6,
                tuple(workers),
                descriptors,
            )
        )

    def scrape(self, floor: Callable[[], None]) -> None:
        """Take the time of a scrape, by a connection of its own, and then those of /healthz and of the floor."""
        if (up := self.agent.up_since_s) is None:
            return
        scrape_ms, loop_ms = self._page_ms("/metrics"), self._page_ms("/healthz")
        if self.agent.up_since_s == up:
            self.scrapes_ms.append(scrape_ms)
            self.loop_ms.append(loop_ms)
        self.floor_ms.append(_taken_ms(floor))

    def _page_ms(self, path: str) -> float:
        try:
            return _taken_ms(lambda: self.agent.get(path, NO_ANSWER_S))
        except OSError:
            return 1e3 * NO_ANSWER_S


def _taken_ms(do: Callable[[], object]) -> float:
    began = time.monotonic()
    do()
    return 1e3 * (time.monotonic() - began)


def slope_per_h(points: list[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through (seconds, value), per hour; 0 with less than two points."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
