"""Progress of what takes longer than two seconds: a line on stderr of a terminal, nothing in pipes and pipelines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PER_S = 2
"""So often the line is drawn: it shares the machine with what is measured."""


class Steps:
    """The steps of a command. Without a terminal nothing is drawn, and all calls are free."""

    def __init__(self, bar: Progress | None = None, task: TaskID | None = None) -> None:
        """Draw on a bar, if there is one."""
        self._bar, self._task = bar, task

    def say(self, words: str) -> None:
        """Say what is being done now."""
        if self._bar is not None and self._task is not None:
            from goldwatch.daemon.words import printable  # noqa: PLC0415 - `--help` stays quick

            self._bar.update(self._task, description=printable(words))

    def step(self, words: str = "") -> None:
        """Count a step as done, and say what follows."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)
        if words:
            self.say(words)


@contextmanager
def steps(words: str, total: int | None = None) -> Iterator[Steps]:
    """Show what is being done, how much of it is done, for how long, and the time left once a step has shown it.

    `total` is the number of steps, None if it is not known: then there is no time left. The line goes away at the end.
    """
    if not sys.stderr.isatty() or os.environ.get("CI") or os.environ.get("TERM") == "dumb":
        yield Steps()
        return
    from goldwatch.daemon.words import printable  # noqa: PLC0415 - pipelines do without

    with _bar(counted=total is not None) as bar:
        yield Steps(bar, bar.add_task(printable(words), total=total))


def _bar(*, counted: bool) -> Progress:
    from rich.console import Console  # noqa: PLC0415 - pipelines do without
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text  # noqa: PLC0415

    from goldwatch.config import format_duration  # noqa: PLC0415

    class Left(ProgressColumn):
        """The time left, from the first step on."""

        def render(self, task: Task) -> Text:
            left_s = task.time_remaining
            return Text(f"about {format_duration(round(left_s))} left" if left_s else "", "dim")

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        *([BarColumn(20), MofNCompleteColumn()] if counted else []),
        TimeElapsedColumn(),
        Left(),
        console=Console(stderr=True),
        refresh_per_second=_PER_S,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes into a pipe stays there
    )
