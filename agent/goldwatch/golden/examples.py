"""The file of examples that a first golden set is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goldwatch.golden.error import GoldenError

Spec = tuple[str, str, tuple[int, ...]]
"""The name, dtype and shape of an output."""


TEXT_OUTPUT = ("text", "text", ())


@dataclass(frozen=True, slots=True)
class Examples:
    """The location of the examples, and their description in a set.

    `file` is .npz or .safetensors: an array [n, ...] for each input, `labels` [n] (class numbers or names), any number
    of `slice.NAME` [n], one `cluster.NAME` [n], which is equal for dependent examples, and `identity` [n], which names
    them; or .jsonl: an object a line with `inputs` and, if there are any, `answers`, `slices`, `cluster`, of one name,
    and `identity`.
    `classes` names the class numbers. `outputs` is what the target gives, empty if it declares them itself; `decision`
    is the one that is judged. `match` decides whether a text is right, empty if one is proposed from the answers.
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

    @property
    def scores(self) -> int | None:
        """How many values the judged output has; None where that is not known, or it is no vector."""
        judged = [spec for spec in self.outputs if spec[0] == self.decision] or self.outputs
        return judged[0][2][0] if len(judged) == 1 and len(judged[0][2]) == 1 else None

    def error(self, problem: str) -> GoldenError:
        """Return the error of the file."""
        return GoldenError(self.file, problem)
