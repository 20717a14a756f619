"""Draws pictures of golden examples."""

from __future__ import annotations

from pathlib import Path

from goldwatch.golden import picture
from goldwatch.golden.error import GoldenError
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc import jobs
from goldwatch.ipc.jobs import Emit, Plain, handles


@handles(jobs.DRAW)
def draw(argument: Plain, descriptors: list[int], emit: Emit) -> Plain:  # noqa: ARG001 - a Handler
    """Draw examples: a job for a worker. Takes `path`, `digest` and `examples`. Raises GoldenError."""
    golden = GoldenSet.open(Path(argument["path"]))
    if golden.digest != argument["digest"]:
        raise GoldenError(golden.path, "it is another set than the one that was replayed")
    return {"pictures": [[example, picture.draw(golden, example)] for example in argument["examples"]]}
