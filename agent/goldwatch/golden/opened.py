"""An opened golden set: verified against its digests, its tensors mapped into memory when asked for."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden import identities as names
from goldwatch.golden import tensors
from goldwatch.golden.error import GoldenError, quoted, reason
from goldwatch.golden.lines import LINES, TEXT, Lines, TextColumn
from goldwatch.golden.manifest import MANIFEST, TENSORS, File, Manifest, Task, parse
from goldwatch.golden.tensors import TensorLocation
from goldwatch.scratch import blocks, zeros

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_MANIFEST_BYTES = 16 * 2**20
_CHANGED = "the set was changed after it was frozen. Restore it, or freeze a new version (docs/golden-sets.md)"


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """A golden set that matches its digests. `digest` is "sha256:..." of the manifest: the identity of the set."""

    path: Path
    digest: str
    manifest: Manifest = field(repr=False, compare=False)
    _locations: dict[str, TensorLocation] = field(repr=False, compare=False)
    _mapped: dict[str, NDArray[Any]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _opened: dict[str, Lines] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> GoldenSet:
        """Open the set in a folder and verify every byte of it, without numpy. Raises GoldenError."""
        raw = _manifest_bytes(path)
        manifest = parse(path, raw)
        problems = [p for name, expected in manifest.files.items() for p in _file_problems(path, name, expected)]
        if problems:
            raise GoldenError(path, *problems)
        locations = tensors.read_header(path / TENSORS)
        problems = list(_tensor_problems(manifest, locations))
        if problems:
            raise GoldenError(path, *problems)
        return cls(path, f"sha256:{hashlib.sha256(raw).hexdigest()}", manifest, locations)

    @property
    def name(self) -> str:
        """The name of the set for people, without its version."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The owner's own version of the set; the identity is `digest`."""
        return self.manifest.version

    @property
    def task(self) -> Task:
        """The task of the models that the set is for."""
        return self.manifest.task

    @property
    def examples(self) -> int:
        """How many examples the set has."""
        return self.manifest.examples

    @property
    def short_digest(self) -> str:
        """The first twelve digits of the digest, for people."""
        return self.digest.removeprefix("sha256:")[:12]

    def __str__(self) -> str:
        return f"{self.name}@{self.short_digest}"

    def locate(self, name: str) -> TensorLocation:
        """Return the location of a tensor, for a worker that maps it by itself. Raises KeyError."""
        return self._locations[name]

    def input_locations(self) -> tuple[TensorLocation, ...]:
        """Return the locations of the inputs, under the model's names; text is in the file of examples."""
        lines = str((self.path / LINES).absolute())
        return tuple(
            TensorLocation(name, lines, spec.dtype, (self.examples,), 0)
            if spec.in_lines
            else replace(self.locate(f"inputs.{name}"), name=name)
            for name, spec in self.manifest.inputs.items()
        )

    def text(self, name: str) -> TextColumn:
        """Return `inputs.NAME` or `outputs.NAME`, text or structured, as a column. Raises KeyError, GoldenError."""
        part, _, own = name.partition(".")
        spec = (self.manifest.inputs if part == "inputs" else self.manifest.outputs)[own]
        return TextColumn(self.lines(), part, own, spec.dtype if part == "inputs" else TEXT)

    def reference_output(self, name: str) -> TextColumn | NDArray[Any]:
        """Return an output of the reference, text as a column. Raises KeyError, GoldenError."""
        part = f"outputs.{name}"
        return self.text(part) if self.manifest.outputs[name].in_lines else self.tensor(part)

    def lines(self) -> Lines:
        """Return the file of examples. Raises GoldenError."""
        return self._lines(LINES)

    @property
    def attached(self) -> dict[str, Path]:
        """The files that structured inputs refer to, by name."""
        own = (TENSORS, LINES, names.IDENTITIES)
        return {name: self.path / name for name in self.manifest.files if name not in own}

    @property
    def has_identities(self) -> bool:
        """Whether the set has a file with the names of its examples."""
        return names.IDENTITIES in self.manifest.files

    def identities(self) -> Iterator[str]:
        """Yield the names of all examples; nothing if the set has none. Raises GoldenError."""
        return (self.identity(i) for i in range(self.examples if self.has_identities else 0))

    def identity(self, example: int) -> str:
        """Return the name of an example, empty if it has none. Raises GoldenError, IndexError."""
        return names.of_line(self._lines(names.IDENTITIES)[example]) if self.has_identities else ""

    def excerpt(self, example: int) -> str:
        """Return the beginning of an example's first text input, empty without one. Raises GoldenError, IndexError."""
        texts = [(name, spec.dtype) for name, spec in self.manifest.inputs.items() if spec.in_lines]
        return names.excerpt(self.text(f"inputs.{texts[0][0]}")[example], texts[0][1]) if texts else ""

    def _lines(self, name: str) -> Lines:
        if name not in self._opened:
            self._opened[name] = Lines(self.path / name)
        return self._opened[name]

    def tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor, read-only and mapped into memory; examples are the first axis. Raises KeyError, GoldenError.

        The exception is `reference.right`, whose first axis is the half of the reference replays.
        """
        if name not in self._mapped:
            self._mapped[name] = tensors.map_tensor(self.locate(name))
        return self._mapped[name]

    @property
    def clusters(self) -> tuple[int, int]:
        """How many clusters of examples there are, and how many examples the largest has. Raises GoldenError."""
        if self.manifest.clusters is None:
            return self.examples, 1
        import numpy as np  # noqa: PLC0415 - the agent opens a set without it

        codes, alone = self.tensor("clusters"), 0
        sizes = zeros(1 + max((int(codes[rows].max()) for rows in blocks(len(codes))), default=-1), np.int64)
        for rows in blocks(len(codes)):
            inside = codes[rows][codes[rows] >= 0]
            alone += rows.stop - rows.start - len(inside)
            np.add.at(sizes, inside, 1)
        return int(np.count_nonzero(sizes)) + alone, max(int(sizes.max(initial=0)), 1)

    def check_values(self) -> None:
        """Look at every value: finite inputs and outputs, labels, slices and counts in range. Needs numpy.

        Reads all of the set. Raises GoldenError with all the problems.
        """
        from goldwatch.golden.values import value_problems  # noqa: PLC0415 - it imports numpy

        lines = self.lines() if self.manifest.has_lines else None
        problems = list(value_problems(self.manifest, self.tensor, lines))
        if self.has_identities:
            problems += names.problems(self._lines(names.IDENTITIES), self.examples)
        if problems:
            raise GoldenError(self.path, *problems)


def _manifest_bytes(folder: Path) -> bytes:
    try:
        found = "" if folder.is_dir() else "a file" if folder.exists() else "no such folder"
    except OSError as error:
        found = reason(error)
    if found:
        raise GoldenError(folder, f"{found}; expected the folder of a golden set, with {MANIFEST} in it")
    problem = _misplaced(folder, MANIFEST)
    if problem:
        raise GoldenError(folder, problem)
    try:
        with (folder / MANIFEST).open("rb") as stream:
            raw = stream.read(MOST_MANIFEST_BYTES + 1)
    except OSError as error:
        raise GoldenError(folder, f"{MANIFEST} cannot be read: {reason(error)}") from error
    if len(raw) > MOST_MANIFEST_BYTES:
        raise GoldenError(folder, f"{MANIFEST} is longer than {MOST_MANIFEST_BYTES:,} bytes: not a manifest")
    return raw


def _file_problems(folder: Path, name: str, expected: File) -> Iterator[str]:
    problem = _misplaced(folder, name)
    if problem:
        yield problem
        return
    try:
        with (folder / name).open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            # A wrong size settles it without reading what may be gigabytes.
            digest = hashlib.file_digest(stream, "sha256").hexdigest() if size == expected.bytes else ""
    except OSError as error:
        yield f"{name} cannot be read: {reason(error)}"
        return
    if size != expected.bytes:
        yield f"{name} has {size:,} bytes, the manifest says {expected.bytes:,}; {_CHANGED}"
    elif digest != expected.sha256:
        yield f"{name} has sha256 {digest[:12]}..., the manifest says {expected.sha256[:12]}...; {_CHANGED}"


def _misplaced(folder: Path, name: str) -> str:
    """Say what is wrong with where a file is, if anything. Links inside the folder are fine: Kubernetes mounts them."""
    try:
        real = (folder / name).resolve(strict=True)
        mode = real.stat().st_mode
    except FileNotFoundError:
        return f"{name} is missing; restore it, or name the folder of a golden set"
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        return f"{name} cannot be read: {reason(error) if isinstance(error, OSError) else 'a loop of links'}"
    if not real.is_relative_to(folder.resolve()):
        return f"{name} is a link that leads outside of the folder; put the file itself there"
    return "" if stat.S_ISREG(mode) else f"{name} is not a regular file; put the file itself there"


def _tensor_problems(manifest: Manifest, found: dict[str, TensorLocation]) -> Iterator[str]:
    """Compare the file of tensors with the manifest."""
    expected = manifest.tensors()
    for name, (dtype, shape) in expected.items():
        where = f"{TENSORS}: tensor {quoted(name)}"
        if name not in found:
            yield f"{where} is missing, {MANIFEST} says {dtype} {list(shape)}; add it and freeze the set again"
            continue
        tensor = found[name]
        if name == "labels" and dtype == "int64" and tensor.dtype.startswith("float"):
            yield (
                f"{where} is {tensor.dtype}, expected int64, the index of each example's class; labels turn into "
                "floating numbers when some are missing (NaN): leave out these examples and freeze the set again"
            )
        elif (tensor.dtype, tensor.shape) != (dtype, shape):
            yield (
                f"{where} is {tensor.dtype} {list(tensor.shape)}, {MANIFEST} says {dtype} {list(shape)}; "
                "correct the one that is wrong and freeze the set again"
            )
    for name in sorted(found.keys() - expected.keys()):
        yield f"{TENSORS}: tensor {quoted(name)} is not in {MANIFEST}; leave it out and freeze the set again"
