"""The scores that a watch names, over a replay: a column of numbers each, its mean with an interval, and what failed.

An example without a value is NaN in its column and counted by reason; it is no evidence about the model. The reference
of a score is the mean over all reference replays, which the golden set keeps with the fingerprint of the score.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.judgement import Judging, Score, Unscored
from goldwatch.core.people import People
from goldwatch.core.score_spec import MAX_UNSCORED, ScoreSpec, UnscoredReason
from goldwatch.golden.opened import GoldenSet
from goldwatch.scratch import blocks, column, zeros
from goldwatch.worker.evaluators.agreement import standings
from goldwatch.worker.evaluators.examples import Examples
from goldwatch.worker.evaluators.means import mean
from goldwatch.worker.evaluators.opened import BadScore, Evaluator, NoValue, opened
from goldwatch.worker.evaluators.parts import clusters_of, slices_of
from goldwatch.worker.evaluators.resampling import groups_of, interval

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(slots=True)
class Column:
    """The values of a score [n] in float32, as shares of its scale, NaN for none; and the examples without, by reason.

    `first` describes the first of these, `judging` what the judge did, if the score has one.
    """

    values: NDArray[np.float32]
    unscored: Counter[str] = field(default_factory=Counter)
    first: str = ""
    judging: Judging | None = None

    @classmethod
    def empty(cls, n: int) -> Column:
        """Return the column of `n` examples without a value."""
        return cls(_empty(n))


class Scoring:
    """The scores of a watch over one golden set."""

    def __init__(self, golden: GoldenSet, specs: Sequence[ScoreSpec]) -> None:
        self._golden = golden
        self.specs = specs
        self._whole = golden.manifest.reference.whole or {}
        whole = {name: kept.fingerprint for name, kept in self._whole.items()}
        self._fingerprints = {**(golden.manifest.reference.scores or {}), **whole}

    def problem(self) -> str:
        """Return why a score cannot be used, or one of its references; empty if all can."""
        for spec in self.specs:
            try:
                self._opened(spec)
            except BadScore as error:
                return str(error)
            if spec.loss is not None and spec.name not in self._fingerprints:
                return (
                    f"objectives.scores.{spec.name}: {self._golden} has no reference of this score; take one with "
                    "`goldwatch golden calibrate`"
                )
        return ""

    def columns(self, outputs: Mapping[str, Any], answered: BoolArray) -> Mapping[str, Column]:
        """Compute each score of one example over the answered [n] examples of a replay, by name."""
        return {spec.name: self._column(spec, outputs, answered) for spec in self.specs if not _is_whole(spec)}

    def whole(self, outputs: Mapping[str, Any], answered: BoolArray) -> tuple[tuple[Score, ...], tuple[Unscored, ...]]:
        """Compute each score of the whole replay, and return those that are known, and what the others lack.

        The reference is the mean over the reference replays if the set keeps it, or that of the reference outputs where
        these never vary; else there is none.
        """
        scores, unscored, n = [], [], int(np.count_nonzero(answered))
        for spec in filter(_is_whole, self.specs if n else ()):
            counts: dict[str, int] = {}
            first = ""
            try:
                evaluator, examples = self._opened(spec)
                scores.append(self._replay_score(evaluator, examples, outputs, answered))
            except (BadScore, NoValue) as error:
                reason = error.reason if isinstance(error, NoValue) else UnscoredReason.UNUSABLE
                counts, first = {reason: n}, str(error)
            unscored.append(Unscored(spec.name, counts, first, unknown=bool(counts)))
        return tuple(scores), tuple(unscored)

    def _replay_score(
        self, evaluator: Evaluator, examples: Examples, outputs: Mapping[str, Any], answered: BoolArray
    ) -> Score:
        rows, takes = list(_answered(answered)), evaluator.takes
        lists = _listed(examples.readers(takes, outputs), takes, rows)
        value = evaluator(lists)

        def without(left: Sequence[int]) -> float:
            return evaluator({p: v if takes[p] == "classes" else [v[i] for i in left] for p, v in lists.items()})

        low, high = interval(without, value, *groups_of(rows, clusters_of(self._golden)), evaluator.spec.scale)
        reference = None
        if (kept := self._whole.get(evaluator.spec.name)) is not None:
            reference = sum(kept.values) / len(kept.values)
        elif self._golden.manifest.reference.deterministic:
            reference = evaluator(_listed(examples.readers(takes, _Reference(self._golden)), takes, rows))
        return Score(evaluator.spec.name, value, low, high, len(rows), reference, scale=evaluator.spec.scale)

    def controls(self, name: str, count: int) -> Column:
        """Have the judge of a score grade its controls, as shares of its scale [count]."""
        from goldwatch.worker.evaluators.controls import graded  # noqa: PLC0415 - it fills columns of this module

        spec = next(spec for spec in self.specs if spec.name == name)
        try:
            return graded(self._opened(spec)[0], self._golden, count)
        except BadScore as error:
            return Column(_empty(count), Counter({UnscoredReason.UNUSABLE: count}), str(error))

    def forget(self, name: str, since: float) -> None:
        """Drop the grades that the judge of a score has given from Unix time `since` on: it will be asked again."""
        spec = next(spec for spec in self.specs if spec.name == name)
        if (judge := opened(spec).judge) is not None:
            judge.forget(since)

    def frozen_controls(self) -> dict[str, NDArray[np.float32]]:
        """Have each judge that has controls grade them for a reference [judgings, controls]. Raises BadScore."""
        from goldwatch.worker.evaluators.controls import freeze  # noqa: PLC0415 - as above

        judges = [spec for spec in self.specs if spec.judge is not None and spec.judge.controls]
        return {
            spec.name: freeze(self._opened(spec, compare=False)[0], self._golden, spec.judge.controls)
            for spec in judges
            if spec.judge is not None
        }

    def people(self) -> dict[str, tuple[str, People]]:
        """Compare each judge with the people who graded answers, for a reference: fingerprint and counts.

        Raises BadScore.
        """
        from goldwatch.worker.evaluators.people import compared  # noqa: PLC0415 - as above

        found = {}
        for spec in self.specs:
            if spec.judge is not None and spec.name in self._golden.manifest.human:
                evaluator = self._opened(spec, compare=False)[0]
                if (people := compared(evaluator, self._golden)) is not None:
                    found[spec.name] = evaluator.fingerprint, people
        return found

    def _people(self, spec: ScoreSpec) -> People | None:
        """Return how the judge of a score compared with people; None if that is not known of this judge."""
        kept = (self._golden.manifest.reference.people or {}).get(spec.name)
        if kept is None or kept.fingerprint != opened(spec).fingerprint:
            return None
        return kept.of

    @property
    def kept(self) -> tuple[ScoreSpec, ...]:
        """The scores of one example, whose values a reference keeps."""
        return tuple(spec for spec in self.specs if not opened(spec).whole)

    @property
    def kept_whole(self) -> tuple[ScoreSpec, ...]:
        """The scores of the whole replay, whose value in each replay a reference keeps."""
        return tuple(spec for spec in self.specs if opened(spec).whole)

    def scores(self, columns: Mapping[str, Column], answered: BoolArray) -> tuple[Score, ...]:
        """Return the mean of each column that is known."""
        return tuple(
            self._score(spec, found.values)
            for spec in self.specs
            if (found := columns.get(spec.name)) is not None and known(found, answered)
        )

    def unscored(self, columns: Mapping[str, Column], answered: BoolArray) -> tuple[Unscored, ...]:
        """Return what each score could not score, if anything; zeros too, since counters start there."""
        return tuple(
            Unscored(name, dict(found.unscored), found.first, unknown=not known(found, answered))
            for name, found in columns.items()
        )

    def _opened(self, spec: ScoreSpec, *, compare: bool = True) -> tuple[Evaluator, Examples]:
        """Return what a score is called with. Raises BadScore, also if the reference is that of another meaning."""
        evaluator, examples = opened(spec), Examples(self._golden)
        try:
            examples.check(evaluator.takes.values())
        except BadScore as error:
            raise BadScore(f"scores.{spec.name}: {spec.uses} {error}") from None
        frozen = self._fingerprints.get(spec.name, evaluator.fingerprint)
        if compare and frozen != evaluator.fingerprint:
            raise BadScore(
                f"scores.{spec.name}: the reference of {self._golden} was scored by another version, {frozen}; this "
                f"one is {evaluator.fingerprint}. Restore that version, or take a new reference with `goldwatch "
                "golden calibrate`"
            )
        return evaluator, examples

    def fingerprints(self, *, whole: bool = False) -> dict[str, str]:
        """Return the fingerprint of each score of examples, or of the whole replay. Raises BadScore."""
        specs = self.kept_whole if whole else self.kept
        return {spec.name: self._opened(spec, compare=False)[0].fingerprint for spec in specs}

    def reference_value(self, spec: ScoreSpec, outputs: Mapping[str, Any], answered: BoolArray) -> float:
        """Compute a score of a whole reference replay, on its own scale. Raises BadScore where it has none."""
        evaluator, examples = self._opened(spec, compare=False)
        try:
            return evaluator(
                _listed(examples.readers(evaluator.takes, outputs), evaluator.takes, list(_answered(answered)))
            )
        except NoValue as error:
            raise BadScore(f"scores.{spec.name}: a reference replay has no value: {error}") from None

    def reference_column(self, spec: ScoreSpec, outputs: Mapping[str, Any], answered: BoolArray) -> NDArray[np.float32]:
        """Compute a score [n] of a reference replay. Raises BadScore where too many examples have none."""
        evaluator, examples = self._opened(spec, compare=False)
        found = _computed(evaluator, examples, outputs, answered)
        if not known(found, answered):
            count = sum(found.unscored.values())
            raise BadScore(
                f"scores.{spec.name}: {count:,} of {len(answered):,} examples could not be scored, the first is "
                f"{found.first}"
            )
        return found.values

    def _column(self, spec: ScoreSpec, outputs: Mapping[str, Any], answered: BoolArray) -> Column:
        try:
            evaluator, examples = self._opened(spec)
        except BadScore as error:
            count = int(np.count_nonzero(answered))
            return Column(_empty(len(answered)), Counter({UnscoredReason.UNUSABLE: count}), str(error))
        return _computed(evaluator, examples, outputs, answered)

    def _score(self, spec: ScoreSpec, values: NDArray[np.float32]) -> Score:
        """Return the mean of shares of the scale, on the scale."""
        n, scored = len(values), column(len(values), np.bool_, lambda rows: ~np.isnan(values[rows]))
        now = column(n, np.float64, lambda rows: np.nan_to_num(values[rows]))
        usual = self._usual(spec.name)
        found = mean(spec.name, now, None, scored, clusters_of(self._golden))
        if usual is None:
            slices = standings(now, None, scored, slices_of(self._golden))
            return replace(_on_scale(spec, replace(found, slices=slices)), people=self._people(spec))
        both = column(n, np.bool_, lambda rows: scored[rows] & ~np.isnan(usual[rows]))
        then = float(usual[both].mean()) if both.any() else None
        slices = standings(now, np.nan_to_num(usual), both, slices_of(self._golden))
        return replace(_on_scale(spec, replace(found, reference=then, slices=slices)), people=self._people(spec))

    def _usual(self, name: str) -> FloatArray | None:
        """Return the mean of each example over the reference replays [n], NaN where none has a value."""
        if name not in self._fingerprints:
            return None
        kept = self._golden.tensor(f"reference.scores.{name}")

        def each(rows: slice) -> FloatArray:
            some = kept[:, rows].astype(np.float64)
            known = ~np.isnan(some)
            counts = known.sum(axis=0)
            sums = np.where(known, some, 0.0).sum(axis=0)
            return np.asarray(np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0))

        return column(kept.shape[1], np.float64, each, len(kept))


class _Reference(Mapping[str, Any]):
    """The reference outputs, as the columns of a replay."""

    def __init__(self, golden: GoldenSet) -> None:
        self._golden = golden

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - an array, or a column of text
        return self._golden.reference_output(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._golden.manifest.outputs)

    def __len__(self) -> int:
        return len(self._golden.manifest.outputs)


def _on_scale(spec: ScoreSpec, found: Score) -> Score:
    """Return a score of shares of the scale as one on the scale."""

    def shown(share: float | None) -> float | None:
        return None if share is None else float(spec.from_share(share))

    slices = tuple(
        replace(cut, right=spec.from_share(cut.right), reference=shown(cut.reference)) for cut in found.slices
    )
    value, low, high = (float(spec.from_share(share)) for share in (found.value, found.low, found.high))
    return Score(found.name, value, low, high, found.n, shown(found.reference), slices, spec.scale)


def _is_whole(spec: ScoreSpec) -> bool:
    """Whether a score is of the whole replay; one that cannot be opened is told as one of examples."""
    try:
        return opened(spec).whole
    except BadScore:
        return False


def _listed(readers: Mapping[str, Any], takes: Mapping[str, str], rows: Sequence[int]) -> dict[str, Any]:
    """Return the lists of some examples by parameter; the names of the classes are one list."""
    return {p: read(0) if takes[p] == "classes" else [read(i) for i in rows] for p, read in readers.items()}


def _computed(evaluator: Evaluator, examples: Examples, outputs: Mapping[str, Any], answered: BoolArray) -> Column:
    found = Column.empty(len(answered))
    readers = examples.readers(evaluator.takes, outputs)
    given = ({parameter: read(i) for parameter, read in readers.items()} for i in _answered(answered))
    if evaluator.judge is None:
        _fill(found, answered, (_value(evaluator, each) for each in given), evaluator.spec)
        return found
    with contextlib.closing(evaluator.judge.sitting(golden=examples.digest)) as sitting:
        score = evaluator.judge.score
        values = (grade if isinstance(grade, NoValue) else score(grade) for grade in sitting.grades(given))
        _fill(found, answered, values, evaluator.spec)
        found.judging = sitting.used(evaluator.spec.name)
    return found


def _value(evaluator: Evaluator, given: Mapping[str, Any]) -> float | NoValue:
    try:
        return evaluator(given)
    except NoValue as error:
        return error


def _fill(found: Column, answered: BoolArray, values: Iterable[float | NoValue], spec: ScoreSpec) -> None:
    """Put the values of the answered [n] examples into a column, and count those that have none."""
    for i, value in zip(_answered(answered), values, strict=True):
        if isinstance(value, NoValue):
            found.unscored[value.reason] += 1
            found.first = found.first or f"example {i}: {value}"
        else:
            found.values[i] = spec.to_share(value)


def _answered(answered: BoolArray) -> Iterator[int]:
    for rows in blocks(len(answered)):
        yield from (rows.start + np.flatnonzero(answered[rows])).tolist()


def _empty(n: int) -> NDArray[np.float32]:
    found = zeros(n, np.float32)
    found[:] = np.nan
    return found


def known(found: Column, answered: BoolArray) -> bool:
    """Whether enough of the answered examples have a value."""
    count = int(np.count_nonzero(answered))
    return count > 0 and sum(found.unscored.values()) <= MAX_UNSCORED * count
