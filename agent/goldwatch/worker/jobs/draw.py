"""Draws pictures of golden examples."""

from __future__ import annotations

from pathlib import Path

from goldwatch.golden import picture
from goldwatch.golden.error import GoldenError
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.jobs import Emit, handles
from goldwatch.ipc.judging_jobs import DRAW, Drawing, DrawRequest


@handles(DRAW)
def draw(request: DrawRequest, descriptors: list[int], emit: Emit) -> Drawing:  # noqa: ARG001 - a Handler
    """Draw examples. Raises GoldenError."""
    golden = GoldenSet.open(Path(request.golden.path))
    if golden.digest != request.golden.digest:
        raise GoldenError(golden.path, "it is another set than the one that was replayed")
    return Drawing(tuple(tuple(picture.draw(golden, example)) for example in request.examples))
