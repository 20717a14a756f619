"""The reference replays of the validated model, as monitors read them. Runs in workers, with numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import blocks, column, zeros


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The reference replays of the validated model, over n examples.

    `right` int64 [2, n] counts how often each example was right in either half of the `replays`. `scores` and
    `distances` from the reference outputs [replays, n] are between 0 and 1, None if not kept. `scores` are None too if
    the golden set has labels: right and wrong win over a softer score. Up to `cluster` examples depend on each other,
    and `codes` [n] number these clusters (see `Limits`). `golden` is the set that it belongs to, if there is
    one. `scored` has the values [replays, n] of the scores that it keeps by name, NaN where there is none,
    `whole` those [replays] of scores of the whole replay, and `controls` those [judgings, controls] of judges.
    """

    replays: tuple[int, int]
    right: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    distances: NDArray[np.float64] | None = None
    cluster: int = 1
    golden: GoldenSet | None = None
    codes: NDArray[np.int64] | None = None
    scored: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    whole: Mapping[str, Sequence[float]] = field(default_factory=dict)
    controls: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(cls, golden: GoldenSet) -> Reference:
        """Read it from a golden set. Raises GoldenError."""
        keeps = set(golden.manifest.reference.keeps or ())
        if golden.manifest.labels is not None:
            keeps -= {"scores"}
        kept = {name: _as_float64(golden.tensor(f"reference.{name}")) for name in keeps}
        right, largest = golden.tensor("reference.right"), golden.clusters[1]
        replays, codes = golden.manifest.reference.replays, _codes(golden)
        scored = {name: golden.tensor(f"reference.scores.{name}") for name in golden.manifest.reference.scores or ()}
        whole = {name: found.values for name, found in (golden.manifest.reference.whole or {}).items()}
        judges = golden.manifest.reference.controls or ()
        controls = {name: golden.tensor(f"reference.controls.{name}") for name in judges}
        scores, distances = kept.get("scores"), kept.get("distances")
        return cls(replays, right, scores, distances, largest, golden, codes, scored, whole, controls)

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return int(self.right.shape[1])

    @property
    def usually_right(self) -> NDArray[np.float64]:
        """The share of the replays where each example was right [n]."""
        right, replays = self.right, sum(self.replays)
        return column(self.examples, np.float64, lambda rows: right[:, rows].sum(axis=0) / replays)

    def copied(self, times: int) -> Reference:
        """Return that of a set `times` times as large, of examples like these."""
        if times == 1:
            return self
        scores, distances = (None if part is None else _tiled(part, times) for part in (self.scores, self.distances))
        codes = None
        if self.codes is not None:
            n = self.examples  # the codes of a copy are all above those of the copy before
            codes = _tiled(self.codes[np.newaxis], times)[0] + np.repeat(2 * n * np.arange(times), n)
        right, scored = _tiled(self.right, times), {name: _tiled(part, times) for name, part in self.scored.items()}
        return replace(self, right=right, scores=scores, distances=distances, codes=codes, scored=scored)


def _as_float64(kept: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what a set keeps of its replays [replays, n] in another precision."""
    found = zeros(kept.shape, np.float64)
    for rows in blocks(kept.shape[1], len(kept)):
        found[:, rows] = kept[:, rows]
    return found


def _codes(golden: GoldenSet) -> NDArray[np.int64] | None:
    """Return the numbers of the clusters of a golden set [n], and one for each example by itself; None without any."""
    if golden.manifest.clusters is None:
        return None
    kept, n = golden.tensor("clusters"), golden.examples

    def code(rows: slice) -> NDArray[np.int64]:
        return np.where(kept[rows] < 0, n + np.arange(n)[rows], kept[rows])

    return column(n, np.int64, code)


def _tiled(part: NDArray[Any], times: int) -> NDArray[Any]:
    """Repeat an array [rows, n] to [rows, times n]."""
    rows, n = part.shape
    found = zeros((rows, times * n), part.dtype)
    for copy in range(times):
        for some in blocks(n, rows):
            found[:, copy * n + some.start : copy * n + some.stop] = part[:, some]
    return found
