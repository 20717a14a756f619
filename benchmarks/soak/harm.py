"""Kills: of workers all the time, of the agent in the first third. The rest of its life shows whether it grows."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from dataclasses import dataclass, field

import psutil

from benchmarks.soak.setting import Agent

_WORKERS, _AGENTS = 180, 20
"""Kills in an hour; in less, as many for each minute."""
_FIRST = 1 / 3
_TERMINATED = 0.2
"""The share of the ends of the agent that are by SIGTERM."""


@dataclass(slots=True)
class Harm:
    """Kills at random times, and counts."""

    agent: Agent
    seconds: float
    workers: int = 0
    agents: int = 0
    fell: int = 0
    """How often the agent had ended by itself when its turn to be killed came."""
    terminated_s: list[float] = field(default_factory=list)
    """How long the agent took to end on SIGTERM."""
    _random: random.Random = field(default_factory=lambda: random.Random(20261130))

    def run(self) -> None:
        """Kill until the time is over, and the agent as often as planned, however long its starts take."""
        began = time.monotonic()
        minutes = self.seconds / 60
        agents = max(2, round(_AGENTS * minutes / 60))
        ends = sorted(self._random.uniform(5, max(6.0, self.seconds * _FIRST)) for _ in range(agents))
        while (passed := time.monotonic() - began) < self.seconds or ends:
            if ends and passed >= ends[0]:
                ends.pop(0)
                self._end_agent()
            else:
                self._kill_worker()
            time.sleep(min(self._random.expovariate(_WORKERS / 3600), 60, max(0, self.seconds - passed)))

    def _end_agent(self) -> None:
        self.agents += 1
        self.fell += not self.agent.is_running()
        if self._random.random() < _TERMINATED:
            self.terminated_s.append(self.agent.end(signal.SIGTERM))
        else:
            self.agent.end()
        self.agent.start()

    def _kill_worker(self) -> None:
        if workers := self.agent.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                self._random.choice(workers).kill()
                self.workers += 1
