"""Altered copies of examples, for golden sets that show how robust a model is.

A copy has the answers of its original, shares its cluster, and is in the slices `perturbation` and `strength`. The
result is a file of examples as `goldwatch golden build` takes it. Each copy follows from its kind, strength and place
alone, so that the same file is written each time.
"""

from __future__ import annotations

import contextlib
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldwatch.golden import arrays
from goldwatch.golden.error import GoldenError, quoted, reason
from goldwatch.golden.examples import ALONE
from goldwatch.golden.identities import KEY
from goldwatch.golden.lines import Lines, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE = "none"
_KIND, _STRENGTH, _ORIGINAL = "perturbation", "strength", "original"
_BLANKS = ("  ", "\t", "\n")

Text = Callable[[str, float, random.Random], str]


def _typos(text: str, strength: float, chance: random.Random) -> str:
    """Swap letters with their right neighbours."""
    letters, place = list(text), 0
    while place + 1 < len(letters):
        if letters[place].isalpha() and letters[place + 1].isalpha() and chance.random() < strength:
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
            place += 1
        place += 1
    return "".join(letters)


def _case(text: str, strength: float, chance: random.Random) -> str:
    """Swap the case of letters."""
    return "".join(each.swapcase() if chance.random() < strength else each for each in text)


def _whitespace(text: str, strength: float, chance: random.Random) -> str:
    """Write other blanks for spaces."""
    return "".join(chance.choice(_BLANKS) if each == " " and chance.random() < strength else each for each in text)


TEXTS: Mapping[str, Text] = {"typos": _typos, "case": _case, "whitespace": _whitespace}
ARRAYS = ("noise", "brightness", "scale", "missing")
STRENGTHS = (0.05, 0.2)


def written_as(examples: Path) -> str:
    """Return the suffix of the file of copies. Raises GoldenError for examples that are neither lines nor arrays."""
    known = {".jsonl": ".jsonl", ".ndjson": ".jsonl", ".npz": ".npz", ".safetensors": ".npz"}
    if (suffix := examples.suffix.lower()) not in known:
        raise GoldenError(examples, f"found {quoted(suffix)}; expected a file of .jsonl, .npz or .safetensors")
    return known[suffix]


def perturb(examples: Path, to: Path, kinds: Sequence[str], strengths: Sequence[float]) -> int:
    """Write the examples and their copies, and return how many there are. Raises GoldenError.

    `kinds` are of TEXTS for lines, of ARRAYS for arrays; without any, all of them. Each of the `strengths` is more than
    0 and at most 1.
    """
    is_lines = written_as(examples) == ".jsonl"
    known = tuple(TEXTS) if is_lines else ARRAYS
    if unknown := [kind for kind in kinds if kind not in known]:
        why = f"no perturbation {quoted(unknown[0])} of such examples; expected {', '.join(known)}"
        raise GoldenError(examples, why)
    if bad := [strength for strength in strengths if not 0 < strength <= 1]:
        raise GoldenError(examples, f"a strength is more than 0 and at most 1, not {bad[0]:g}")
    if to.exists():
        raise GoldenError(to, "exists already; name a new file")
    chosen = [(kind, strength) for kind in kinds or known for strength in strengths]
    if is_lines:
        lines = [line for kind, strength in [(NONE, 0.0), *chosen] for line in _copied(examples, kind, strength)]
        with _writing(to):
            write(to, lines)
        return len(lines)
    found, count = _arrays(examples, chosen)
    with _writing(to):
        _write_arrays(to, found)
    return count


@contextlib.contextmanager
def _writing(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GoldenError(to, f"cannot be written: {reason(error)}") from None


def _copied(examples: Path, kind: str, strength: float) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file, altered; `none` leaves them as they are."""
    lines = Lines(examples)
    for place, line in enumerate(lines):
        for part in ("slices", "cluster"):
            if not isinstance(line.get(part) or {}, dict):
                raise lines.error(
                    place, f'{part} must be an object with a text for each name, such as {{"kind": "short"}}'
                )
    by = next((name for line in lines for name in line.get("cluster") or ()), _ORIGINAL)
    for place, line in enumerate(lines):
        inputs = line["inputs"] if isinstance(line.get("inputs"), dict) else {}
        texts = [name for name, value in inputs.items() if isinstance(value, str)]
        if not texts:
            raise lines.error(place, "has no input of text; write those of the model by name, as `inputs`")
        copy = {**line, "slices": {**(line.get("slices") or {}), **_named(kind, strength)}}
        clusters = (line.get("cluster") or {}).values()
        if all(value is None or str(value) in ALONE for value in clusters):
            copy["cluster"] = {by: f"{_ORIGINAL} {place}"}
        if kind != NONE:
            chance = random.Random(f"{kind} {strength} {place}")  # noqa: S311 - of no secret
            copy["inputs"] = inputs | {name: TEXTS[kind](inputs[name], strength, chance) for name in texts}
            copy.pop("human", None)  # people have graded answers to the original
            if line.get(KEY):
                copy[KEY] = f"{line[KEY]} {kind} {strength:g}"
        yield copy


def _named(kind: str, strength: float) -> dict[str, str]:
    return {_KIND: kind, _STRENGTH: NONE if kind == NONE else f"{kind} {strength:g}"}


def _arrays(examples: Path, chosen: Sequence[tuple[str, float]]) -> tuple[dict[str, NDArray[Any]], int]:
    """Return the arrays with their copies, and how many examples they have."""
    import numpy as np  # noqa: PLC0415 - texts need none

    found = arrays.read(examples)
    inputs = [n for n in found if n not in ("labels", KEY) and not n.startswith(("slice.", "cluster."))]
    floats = [name for name in inputs if found[name].dtype.kind == "f"]
    if not floats:
        raise GoldenError(examples, "has no input of floating numbers, which are what is altered")
    n = len(found[inputs[0]])
    every = [(NONE, 0.0), *chosen]
    written = {name: np.concatenate([values] * len(every)) for name, values in found.items() if name not in floats}
    for name in floats:
        written[name] = np.concatenate([_altered(found[name], kind, strength) for kind, strength in every])
    for slot, text in ((_KIND, 0), (_STRENGTH, 1)):
        values = [list(_named(kind, strength).values())[text] for kind, strength in every]
        written[f"slice.{slot}"] = np.repeat(np.array(values), n)
    clusters = [name for name in found if name.startswith("cluster.")]
    for name in clusters or [f"cluster.{_ORIGINAL}"]:
        written[name] = np.tile(_clusters(found[name]) if clusters else np.arange(n), len(every))
    if KEY in found:
        marks = np.repeat(np.array(["" if kind == NONE else f" {kind} {s:g}" for kind, s in every]), n)
        written[KEY] = np.char.add(np.tile(found[KEY].astype(str), len(every)), marks)
    return written, n * len(every)


def _clusters(values: NDArray[Any]) -> NDArray[Any]:
    """Return clusters [n]; an example in none gets one of its own, which its copies share."""
    import numpy as np  # noqa: PLC0415 - as above

    is_number = values.dtype.kind in "iuf"
    alone = (values == -1) | np.isnan(values) if is_number else np.isin(values.astype(str), ALONE)
    if not alone.any():
        return values
    names, numbers = np.unique(values, return_inverse=True)
    return np.where(alone, len(names) + np.arange(len(values)), numbers)


def _write_arrays(to: Path, written: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz; `numpy.savez` knows no array that is called `file`."""
    import numpy as np  # noqa: PLC0415 - as above

    with zipfile.ZipFile(to, "x") as archive:
        for name, values in written.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, values, allow_pickle=False)


def _altered(values: NDArray[Any], kind: str, strength: float) -> NDArray[Any]:
    """Return an input [n, ...] altered: strengths are shares of its spread, of its values, or of its size."""
    import numpy as np  # noqa: PLC0415 - as above

    if kind == NONE:
        return values
    chance = np.random.default_rng([int.from_bytes(f"{kind} {strength}".encode(), "big")])
    if kind == "noise":
        found = values + chance.normal(0, strength * float(values.std()), values.shape)
    elif kind == "brightness":
        found = values + strength * float(values.max() - values.min())
    elif kind == "scale":
        found = values * (1 + strength)
    else:  # missing values, filled in by the mean of their feature
        found = np.where(chance.random(values.shape) < strength, values.mean(axis=0), values)
    return found.astype(values.dtype)
