"""The roles of the columns of a table: inputs, the right answer or label, slices, clusters, names.

`--map` decides; else the names decide that the field shares (`goldwatch.evaluator.ROLES`). What may mean two things is
an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from goldwatch.evaluator import ROLES
from goldwatch.golden.error import GoldenError, quoted
from goldwatch.golden.examples import Examples
from goldwatch.probe import TensorSpec
from goldwatch.worker.sources.table import NUMBERS, Column, Table

INPUTS = (*ROLES["input"], "messages", "text", "sentence", "instruction")
EXPECTED = (*ROLES["expected"], *ROLES["answers"])
LABELS = ("label", "labels", "class", "target", "y", "y_true")
CONTEXTS = ("context", "contexts", "documents", "retrieved_contexts")
IDENTITIES = ("identity", "id")
_OUTPUTS = (*(name for name in ROLES["output"] if name != "text"), *ROLES["values"])
_INDEX = ("", "__index_level_0__", "unnamed:_0")
"""Names that pandas gives the column of row numbers."""

_MANY = 12


@dataclass(slots=True)
class Roles:
    """The columns by role; `inputs` has those of each input, joined to a vector if `is_vector` has the input."""

    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    vectors: set[str] = field(default_factory=set)
    expected: str = ""
    label: str = ""
    identity: str = ""
    slices: dict[str, str] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    @property
    def used(self) -> list[str]:
        """All columns that are read, each once."""
        singles = (self.expected, self.label, self.identity)
        named = (*self.slices.values(), *self.clusters.values(), *self.fields.values())
        of_inputs = (column for columns in self.inputs.values() for column in columns)
        return list(dict.fromkeys(filter(None, (*of_inputs, *singles, *named))))

    def note(self, table: Table) -> str:
        """Describe the roles, for people."""
        parts = [f"input {name} = {listed(columns)}" for name, columns in self.inputs.items()][:_MANY]
        singles = {"expected": self.expected, "label": self.label, "identity": self.identity}
        parts += [f"{role} = {column}" for role, column in singles.items() if column]
        for role, found in (("slice", self.slices), ("cluster", self.clusters), ("field", self.fields)):
            parts += [f"{role} {name} = {column}" for name, column in found.items()]
        if left := [name for name in table.columns if name not in self.used and "." not in name]:
            parts.append(f"left out: {listed(left)}")
        return f"columns: {'; '.join(parts)}"


def listed(names: Sequence[str]) -> str:
    """Name columns, the first ones of many."""
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more


def assign(table: Table, examples: Examples) -> Roles:
    """Return the roles of the columns. Raises GoldenError."""
    found = Roles()
    for role, text in examples.columns:
        if role != "drop" and [each for each, _ in examples.columns].count(role) > 1:
            raise GoldenError(table.file, f"--map: {quoted(role)} is given twice; a role has one column")
        _take(table, found, role, text)
    mapped = set(found.used)
    free = [c for c in _free(table, found) if _normal(c.path) not in _INDEX]
    for column in free:
        for prefix, named in (("slice.", found.slices), ("cluster.", found.clusters)):
            if column.path.startswith(prefix):
                named[column.path.removeprefix(prefix)] = column.path
    free = [c for c in _free(table, found) if c in free]
    found.identity = found.identity or _one(table, free, IDENTITIES, "identity")
    texts = [c for c in free if c.kind in ("text", "json")]
    if not found.inputs and (name := _one(table, texts, INPUTS, "input")):
        found.inputs[_input_name(table.columns[name], examples.takes)] = (name,)
    of_text = {name for name, column in table.columns.items() if column.kind in ("text", "json")}
    if found.inputs and all(c in of_text for cs in found.inputs.values() for c in cs):
        _assign_texts(table, found, [c for c in free if c.path not in found.used])
    else:
        _assign_features(table, found, [c for c in free if c.path not in found.used], examples.takes)
    _check_inputs(table, found, mapped, examples.takes)
    _check_right(table, found, mapped)
    return found


def _check_right(table: Table, found: Roles, mapped: Collection[str]) -> None:
    """Raise GoldenError for an object that nobody named as the right text, and for two right answers."""
    for role, column in (("expected", found.expected), ("label", found.label)):
        inner = [name for name in table.columns if name.startswith(f"{column}.")]
        if column and column not in mapped and inner and table.columns[column].kind == "json":
            right = next((name for name in inner if name.endswith(".text")), inner[0])
            raise GoldenError(
                table.file, f"column {quoted(column)} holds objects; name the right member by --map {role}={right}"
            )
    if found.expected and found.label:
        raise GoldenError(
            table.file,
            f"column {quoted(found.expected)} is the expected text, and {quoted(found.label)} the label; an example "
            "has one right answer: leave one out, by --map drop=COLUMN",
        )


def _check_inputs(table: Table, found: Roles, mapped: Collection[str], takes: Sequence[TensorSpec]) -> None:
    """Raise GoldenError for inputs that a set cannot have, and for one that may tell the model its label."""
    in_arrays = any(table.columns[c].kind not in ("text", "json") for cs in found.inputs.values() for c in cs)
    for name, columns in found.inputs.items():
        if in_arrays and (name in ("labels", IDENTITIES[0]) or name.startswith(("slice.", "cluster."))):
            raise GoldenError(
                table.file, f"an input cannot be called {quoted(name)}, which golden sets have for something else"
            )
        wordy = [c for c in columns if table.columns[c].kind not in (*NUMBERS, "vector")]
        if name in found.vectors and (wordy or not columns):
            what = f"column {quoted(wordy[0])} is none" if wordy else "no column is left that has some"
            raise GoldenError(table.file, f"--map inputs.{name}: a vector is of numbers alone, and {what}")
    own = {_normal(spec.name) for spec in takes}
    for column in (c for columns in found.inputs.values() for c in columns):
        if _normal(column) in (*LABELS, *EXPECTED) and column not in mapped and _normal(column) not in own:
            raise GoldenError(
                table.file,
                f"column {quoted(column)} may be the right answer too, and would be an input of the model; write "
                f"--map drop={column}, or name the inputs by --map inputs.NAME=COLUMN",
            )


def _take(table: Table, found: Roles, role: str, text: str) -> None:
    """Give a role to what one part of --map names. Raises GoldenError for an unknown role or column."""
    part, _, name = role.partition(".")
    if part == "inputs" and name:
        if name in found.inputs:
            raise GoldenError(table.file, f"--map: the input {quoted(name)} is given twice; an input has one role")
        columns = (text,) if text in table.columns or text == "*" else tuple(each.strip() for each in text.split("+"))
        found.inputs[name] = columns if text == "*" else tuple(_known(table, role, each) for each in columns)
        if len(columns) > 1 or text == "*":
            found.vectors.add(name)
        return
    column = _known(table, role, text)
    if part in ("expected", "label", "identity") and not name:
        setattr(found, part, column)
    elif role == "input":
        name = "messages" if _normal(column) == "messages" else "prompt"
        if name in found.inputs:
            raise GoldenError(table.file, f"--map: the input {quoted(name)} is given twice; an input has one role")
        found.inputs[name] = (column,)
    elif role == "context":
        found.fields[role] = column
    elif role == "drop":
        found.dropped.append(column)
    elif name and part in ("slice", "cluster", "fields"):
        {"slice": found.slices, "cluster": found.clusters, "fields": found.fields}[part][name] = column
    else:
        roles = "input, inputs.NAME, expected, label, context, identity, slice.NAME, cluster.NAME, fields.NAME, drop"
        raise GoldenError(table.file, f"--map: {quoted(role)} is no role; expected one of {roles}")


def _known(table: Table, role: str, name: str) -> str:
    if name in table.columns:
        return name
    near = get_close_matches(name, table.columns, 1)
    has = f"did you mean {quoted(near[0])}?" if near else f"it has {listed(list(table.columns))}"
    raise GoldenError(table.file, f"--map {role}: there is no column {quoted(name)}; {has}")


def _free(table: Table, found: Roles) -> list[Column]:
    taken = {*found.used, *found.dropped}
    roots = {name.split(".", maxsplit=1)[0] for name in taken if name not in taken or "." in name}
    return [
        c for name, c in table.columns.items() if name not in taken and name not in roots and not _inner(table, name)
    ]


def _inner(table: Table, name: str) -> bool:
    """Return whether a column is a member of an object, which is read only if it is named."""
    root, dot, _ = name.partition(".")
    return bool(dot) and root in table.columns


def _normal(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _one(table: Table, columns: Iterable[Column], names: Sequence[str], role: str) -> str:
    """Return the column of one of these names; empty if there is none. Raises GoldenError for several."""
    found = [column.path for column in columns if _normal(column.path) in names]
    if len(found) > 1:
        raise GoldenError(
            table.file,
            f"columns {' and '.join(map(quoted, found))} may each be the {role}; say which by --map {role}={found[0]}",
        )
    return found[0] if found else ""


def _input_name(column: Column, takes: Sequence[TensorSpec]) -> str:
    """Return the name of the input that a text goes to: the model's own, if it describes one, else that of a prompt."""
    if len(takes) == 1:
        return takes[0].name
    return "messages" if _normal(column.path) == "messages" and column.kind == "json" else "prompt"


def _assign_texts(table: Table, found: Roles, free: Sequence[Column]) -> None:
    """Find what is right in a table of texts: a label, which is a class, or the expected text."""
    if not (found.expected or found.label):
        name = _one(table, free, tuple(dict.fromkeys((*EXPECTED, *LABELS))), "expected")
        answers = [c.path for c in free if _normal(c.path) in _OUTPUTS]
        if answers and not name:
            raise GoldenError(
                table.file,
                f"column {quoted(answers[0])} may be the right answer, or an answer that some model gave; write "
                f"--map expected={answers[0]} if it is right, and --map drop={answers[0]} if not",
            )
        role = "label" if _normal(name) in LABELS and _normal(name) not in ("target", "y_true") else "expected"
        setattr(found, role, name)
    found.fields |= {c.path: c.path for c in free if _normal(c.path) in CONTEXTS}


def _assign_features(table: Table, found: Roles, free: Sequence[Column], takes: Sequence[TensorSpec]) -> None:
    """Find the label of a table of features, and the inputs that the features are."""
    found.label, found.expected = found.label or found.expected, ""
    if not found.label:
        found.label = _one(table, free, tuple(dict.fromkeys((*LABELS, *EXPECTED))), "label")
    features = [
        c
        for c in free
        if c.path != found.label and _normal(c.path) not in _OUTPUTS and c.kind in (*NUMBERS, "vector", "text")
    ]
    for name, columns in found.inputs.items():
        if columns == ("*",):
            found.inputs[name] = tuple(c.path for c in features if c.kind != "text")
    if not found.inputs:
        found.inputs, found.vectors = _features(table, features, takes)
    if not any(found.inputs.values()):
        raise GoldenError(
            table.file, f"has no column of inputs; name it by --map; it has {listed(list(table.columns))}"
        )


def _features(
    table: Table, features: Sequence[Column], takes: Sequence[TensorSpec]
) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Return the columns of each input of the model, and the inputs that are vectors of several."""
    by_name = {_normal(c.path): c.path for c in features}
    if takes and all(_normal(spec.name) in by_name for spec in takes):
        return {spec.name: (by_name[_normal(spec.name)],) for spec in takes}, set()
    numeric = [c for c in features if c.kind != "text"]
    width = sum(c.width or 1 for c in numeric)
    if len(takes) == 1 and len(takes[0].shape) == 1:
        spec = takes[0]
        if spec.shape[0] not in (-1, width):
            raise GoldenError(
                table.file,
                f"the model takes {spec.name}: {spec.dtype} {list(spec.shape)}, and {width} columns are features: "
                f"{listed([c.path for c in numeric])}; name the right ones by --map inputs.{spec.name}=COLUMN+COLUMN, "
                "or leave others out by --map drop=COLUMN",
            )
        return {spec.name: tuple(c.path for c in numeric)}, {spec.name}
    if takes:
        names = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in takes)
        raise GoldenError(
            table.file,
            f"the model takes {names}, and the columns are {listed([c.path for c in features])}; say by --map "
            "inputs.NAME=COLUMN which column is which input",
        )
    return {c.path: (c.path,) for c in features}, set()
