"""`goldwatch golden show` as a page for people: what the set is, its classes and slices, and its reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from goldwatch.commands.report_page import report_page
from goldwatch.face.html import Column, Content, Html, Table, name, pairs, section, tag
from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.report import lines

_ROWS = 100
"""Of one table: the most frequent values."""


def as_html(golden: GoldenSet) -> str:
    """Write the page. Raises GoldenError if a tensor cannot be read."""
    manifest = golden.manifest
    right = golden.tensor("reference.right").sum(axis=0) / sum(manifest.reference.replays)
    always, never = int(np.count_nonzero(right == 1)), int(np.count_nonzero(right == 0))
    who = f"{manifest.name}, version {manifest.version}"
    said = f"{always:,} of {manifest.examples:,} examples were right in all replays of the reference, {never:,} in none"
    changing = manifest.examples - always - never
    said += f", {changing:,} in some." if changing else "."
    return report_page(
        "golden show",
        who,
        "It holds names and counts of the golden set, and no example.",
        tag("h1", name(who), f": {manifest.examples:,} examples, {manifest.task}"),
        tag("p", f"{said} Mean share right: {right.mean():.4f}."),
        section("What it is", pairs((key, name(text)) for key, text in lines(golden))),
        section("Labels", _labels(golden, right)),
        *_slices(golden, right),
    )


def _labels(golden: GoldenSet, right: NDArray[np.float64]) -> Html | None:
    labels = golden.manifest.labels
    if labels is None or labels.classes is None:
        return None
    return _by("label", labels.classes, golden.tensor("labels"), right)


def _slices(golden: GoldenSet, right: NDArray[np.float64]) -> Iterator[Html]:
    for cut, kind in golden.manifest.slices.items():
        yield section(f"Slice {cut}", _by(cut, kind.values, golden.tensor(f"slices.{cut}"), right))


def _by(what: str, values: Sequence[str], codes: NDArray[np.int64], right: NDArray[np.float64]) -> Html:
    """Return how many examples each value has, and the share of them that the reference has right."""
    known = codes >= 0
    counts = np.bincount(codes[known], minlength=len(values))
    sums = np.bincount(codes[known], weights=right[known], minlength=len(values))
    order = np.argsort(-counts, kind="stable")
    rows: list[Sequence[Content]] = [
        (name(values[i]), f"{counts[i]:,}", f"{sums[i] / counts[i]:.4f}" if counts[i] else "no example")
        for i in order[:_ROWS]
    ]
    caption = f"Examples, and the share that is right in the reference, by {what}; the most frequent first."
    if len(values) > _ROWS:
        caption += f" {len(values) - _ROWS:,} less frequent ones are left out."
    if missing := int(np.count_nonzero(~known)):
        caption += f" {missing:,} examples have none."
    columns = (Column(what), Column("examples", numbers=True), Column("share right", numbers=True))
    return Table(caption, columns, rows).html()
