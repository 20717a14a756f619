"""A report about a golden set, for people."""

from __future__ import annotations

from collections.abc import Iterator

from goldwatch.golden.manifest import Input, Labels, Reference
from goldwatch.golden.opened import GoldenSet

_SHOWN = 8


def as_text(golden: GoldenSet) -> str:
    """Write it as lines of a name and what it is."""
    return "".join(f"{name:<12}{text}\n" for name, text in lines(golden))


def lines(golden: GoldenSet) -> Iterator[tuple[str, str]]:
    """Yield names, and what they are."""
    manifest, reference = golden.manifest, golden.manifest.reference
    yield "name", f"{manifest.name}, version {manifest.version}"
    yield "digest", golden.digest
    yield "task", f"{manifest.task}, {manifest.examples:,} examples"
    for name, part in manifest.inputs.items():
        yield "input", f"{name}: {_spec(part)}"
    for name, output in manifest.outputs.items():
        judged = "   what is judged" if name == manifest.decision else ""
        tolerance = f", the same within {output.tolerance:g}" if output.tolerance or not output.in_lines else ""
        yield "output", f"{name}: {_spec(output)}{tolerance}{judged}"
    yield from _files(golden)
    if manifest.labels is not None:
        yield "labels", _labels(manifest.labels)
    for name, cut in manifest.slices.items():
        yield "slice", f"{name}: {', '.join(cut.values[:_SHOWN])}{', ...' if len(cut.values) > _SHOWN else ''}"
    if manifest.clusters is not None:
        count, largest = golden.clusters
        yield "clusters", f"by {manifest.clusters.by}: {count:,}, of at most {largest:,} examples"
    first, second = reference.replays
    repeats = "the same in all of them" if reference.deterministic else "answers vary"
    yield "reference", f"{first} + {second} replays, {repeats}"
    yield from _of_scores(reference)
    for name, text in reference.made_with.items():
        yield "made with", f"{name} {text}"
    provenance = manifest.provenance.model_dump(exclude_defaults=True)
    yield from (("" if i else "source", text) for i, text in enumerate(provenance.values()))
    yield "licence", manifest.licence


def _files(golden: GoldenSet) -> Iterator[tuple[str, str]]:
    if attached := golden.attached:
        total = sum(golden.manifest.files[name].bytes for name in attached)
        yield "files", f"{len(attached):,} that inputs refer to, {total:,} bytes"


def _labels(labels: Labels) -> str:
    if labels.classes is not None:
        above = "" if labels.threshold is None else f", the second above {labels.threshold:g}"
        return f"{len(labels.classes):,} classes{above}"
    return f"matched by {labels.match}" if labels.match else f"values, right within {labels.within:g}"


def _spec(part: Input) -> str:
    axis = "" if part.batch_axis is None else f", batch axis {part.batch_axis}"
    return part.dtype if part.in_lines else f"{part.dtype} {list(part.shape)}{axis}"


def _of_scores(reference: Reference) -> Iterator[tuple[str, str]]:
    """Yield what is kept of scores and judges."""
    for name, fingerprint in (reference.scores or {}).items():
        yield "score", f"{name}: {fingerprint}"
    for name, controls in (reference.controls or {}).items():
        yield "judge", f"{name}: {controls.answers:,} controls, graded {controls.judgings:,} times"
    for name, people in (reference.people or {}).items():
        yield "judge", f"{name}: {str(people.of).removeprefix('the judge ')}"
    for name, whole in (reference.whole or {}).items():
        yield "score", f"{name}: {whole.fingerprint}, of the whole replay"
