"""The file of examples that a first golden set is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from goldwatch.golden.error import GoldenError
from goldwatch.probe import BatchAxes, TensorSpec

Spec = tuple[str, str, tuple[int, ...]]
"""The name, dtype and shape of an output."""

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq")
"""The suffixes of tables."""


def is_table(file: Path) -> bool:
    """Return whether a file is a table by its suffix, or a folder of some."""
    return file.suffix.lower() in TABLES or file.is_dir()


ALONE = ("", "-1")
"""The clusters of examples that are in none."""

TEXT_OUTPUT = ("text", "text", ())

NO_BATCH = "no batch axis"
"""The dtype of an output that was answered without one row for each example."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The location of the examples, and their description in a set.

    `file` is .npz or .safetensors: an array [n, ...] for each input, `labels` [n] (class numbers or names), any number
    of `slice.NAME` [n], one `cluster.NAME` [n], which is equal for dependent examples, and `identity` [n], which names
    them; or .jsonl: an object a line with `inputs` and, if there are any, `answers` or `label`, `slices`, `cluster`, of
    one name, `identity` and `fields`; or a table: CSV, Parquet or JSON Lines, whose `columns` are pairs of role and
    column, as --map gives them, and else recognised by name. `takes` are the inputs that the model describes.
    A `size` other than 0 draws so many rows of a table, by the `seed`.
    `classes` names the class numbers. `outputs` are those of the target, empty if they are read off its answers, and of
    an empty dtype if only named; `decision` is the one that is judged. `threshold` is that of a classifier with one
    score, `within` the largest error of a right value, both None if they are proposed. `match` decides whether a text
    is right, empty if one is proposed from the answers.
    """

    file: Path
    name: str
    licence: str
    source: str
    tolerance: float = 0.001
    classes: tuple[str, ...] = ()
    outputs: tuple[Spec, ...] = ()
    decision: str = ""
    match: str = ""
    threshold: float | None = None
    within: float | None = None
    batch_axes: BatchAxes = field(default_factory=BatchAxes)
    columns: tuple[tuple[str, str], ...] = ()
    takes: tuple[TensorSpec, ...] = ()
    size: int = 0
    seed: int = 0

    def error(self, problem: str) -> GoldenError:
        """Return the error of the file."""
        return GoldenError(self.file, problem)
