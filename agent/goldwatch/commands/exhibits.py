"""Asks a worker for what people look at of a replay, while its columns are there."""

from __future__ import annotations

from goldwatch.commands.report_examples import SHOWN
from goldwatch.daemon.engine import Replay
from goldwatch.daemon.in_force import Assignment
from goldwatch.daemon.pipeline import Judged
from goldwatch.ipc.judging_jobs import EXHIBIT, Exhibit, ExhibitRequest
from goldwatch.ipc.workers import JUDGES, JobFailed, WorkerDied, Workers

_MOST_LETTERS = 180_000
"""Of the inputs of the examples of all watches: the page of one watch stays below 400 kB."""


class Exhibits:
    """Those of each watch and target, in `of`; a replay that could not be judged has none.

    `missing` has the reasons of those that could not be taken: the verdict does not need them.
    """

    def __init__(self, workers: Workers, pages: int) -> None:
        """Take them for a number of watches and targets."""
        self._workers, self._letters = workers, _MOST_LETTERS // max(pages, 1)
        self.of: dict[tuple[str, str], Exhibit] = {}
        self.missing: dict[tuple[str, str], str] = {}

    def take(self, assignment: Assignment, result: Replay, judged: Judged) -> None:
        """Take what a replay shows; of several replays the first."""
        difference = judged.findings.difference
        if difference is None or assignment.key in self.of:
            return
        wanted = tuple(flip.example for flip in difference.flips[:SHOWN])
        request = ExhibitRequest(assignment.golden.place, wanted, self._letters)
        try:
            self.of[assignment.key] = self._workers.call(JUDGES, EXHIBIT, request, (result.columns.fd,))
        except (JobFailed, WorkerDied) as error:
            self.missing[assignment.key] = str(error)
