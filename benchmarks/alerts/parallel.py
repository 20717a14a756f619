"""Jobs on a process for each core, or in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Jobs:
    """How many processes work at once."""

    processes: int

    def map(self, job: Callable[[Work], Result], work: Iterable[Work]) -> Iterator[Result]:
        """Yield the results in the order of the work, as they come."""
        if self.processes == 1:
            yield from map(job, work)
            return
        with ProcessPoolExecutor(self.processes, mp_context=get_context("spawn")) as pool:
            yield from pool.map(job, work)
