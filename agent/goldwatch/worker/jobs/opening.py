"""Opens the data to judge: a golden set, as it was when goldwatch started, and the columns of a replay of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from goldwatch.golden.error import GoldenError
from goldwatch.golden.facts import GoldenPlace
from goldwatch.golden.manifest import Task
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.columns import Columns, Layout
from goldwatch.probe import TensorSpec


@contextlib.contextmanager
def replayed(
    place: GoldenPlace, descriptors: Sequence[int], rows: int | None = None
) -> Iterator[tuple[GoldenSet, Columns]]:
    """Open a golden set, and the columns of a replay of all of it, or of some `rows`.

    The descriptor of the columns is closed in any case, and others too if there is no such set. Raises GoldenError.
    """
    try:
        golden = open_as(place)
    except GoldenError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    whole = layout(golden)
    columns = Columns(descriptors[0], whole if rows is None else replace(whole, rows=rows))
    try:
        yield golden, columns
    finally:
        columns.close()


def open_as(place: GoldenPlace) -> GoldenSet:
    """Open the golden set in a folder. Raises GoldenError, also if it has another digest."""
    golden = GoldenSet.open(Path(place.path))
    if golden.digest != place.digest:
        message = f"the set has digest {golden.digest[:19]}..., it was {place.digest[:19]}... when goldwatch started"
        raise GoldenError(golden.path, f"{message}; reload the config to watch with another set")
    return golden


def output_specs(golden: GoldenSet) -> tuple[TensorSpec, ...]:
    """Return the outputs that the columns of a replay of this set keep."""
    return tuple(TensorSpec(name, spec.kept_dtype, spec.shape) for name, spec in golden.manifest.outputs.items())


def masked_output(golden: GoldenSet) -> str:
    """Return the output whose classes -inf may mask; empty if the task has no classes."""
    return golden.manifest.decision if golden.task is Task.CLASSIFICATION else ""


def layout(golden: GoldenSet) -> Layout:
    """Return the layout of the columns of a replay of this set."""
    return Layout(golden.examples, output_specs(golden), golden.task is Task.GENERATION)
