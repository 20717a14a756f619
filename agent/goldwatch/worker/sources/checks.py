"""Checks the examples of a table: repeated rows, labels among the inputs, personal data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from goldwatch.golden.error import GoldenError, quoted
from goldwatch.scratch import blocks
from goldwatch.worker.jobs.labels import input_keys, repeated
from goldwatch.worker.sources.found import Found
from goldwatch.worker.sources.roles import Roles
from goldwatch.worker.sources.table import Table, of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?<![\w+])\+\d(?:[ ()/.-]?\d){7,14}(?!\d)")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)")


def check(table: Table, roles: Roles, found: Found, notes: list[str]) -> None:
    """Note personal data and answers within inputs; raise GoldenError for repeated rows and labels among features."""
    inputs = {n: a for n, a in found.arrays.items() if n != "labels" and not n.startswith(("slice.", "cluster."))}
    found.keys = input_keys(inputs, table.rows, found.lines)
    if "labels" in found.arrays:
        _refuse_label_among(table, roles, inputs, found.arrays["labels"])
    _refuse_repeated(table, found, found.keys)
    notes += _remarks(table, found)


def _refuse_repeated(table: Table, found: Found, keys: NDArray[Any]) -> None:
    """Raise GoldenError if rows repeat the inputs and the right answer of an earlier one."""
    known, again = set[tuple[int, Any]](), list[int]()
    for row in repeated(keys).tolist():
        pair = int(keys[row]), _right(found, row)
        again += [row] if pair in known else []
        known.add(pair)
    if again:
        what = f"{len(again):,} of {table.rows:,} rows repeat an earlier one ({of_rows(table, again)})"
        why = "copies count as independent evidence, which they are not: leave them out"
        raise GoldenError(table.file, f"{what}; {why}")


def _right(found: Found, row: int) -> Any:  # noqa: ANN401 - a label or a text
    """Return the label or the answers of an example."""
    if "labels" in found.arrays:
        return found.arrays["labels"][row].item()
    line = {} if found.lines is None else found.lines[row]
    return repr((line.get("answers"), line.get("label")))


def _refuse_label_among(table: Table, roles: Roles, inputs: Mapping[str, NDArray[Any]], labels: NDArray[Any]) -> None:
    """Raise GoldenError if a feature is the label itself, in every row. Labels of one value are no evidence of it."""
    if labels.dtype.kind not in "iuf" or table.rows < 2 or (labels == labels[0]).all():
        return
    for name, array in inputs.items():
        flat = array.reshape(table.rows, -1)
        right = (
            flat.dtype if flat.dtype.kind == "f" else labels.dtype
        )  # 0.1 of float32 is another number than of float64
        for at in range(flat.shape[1]):
            if all((flat[rows, at] == labels[rows].astype(right)).all() for rows in blocks(table.rows)):
                columns = roles.inputs[name]
                what = columns[at] if len(columns) == flat.shape[1] else f"{name}[{at}]"
                how = f"equals the label {quoted(roles.label)} in every row, so the model is told it; leave it out"
                raise GoldenError(table.file, f"column {quoted(what)} {how}, by --map drop={what}")


def _remarks(table: Table, found: Found) -> Iterator[str]:
    """Yield warnings about the texts, with counts and the first lines."""
    rows: dict[str, list[int]] = {}
    for row, line in enumerate(found.lines or ()):
        texts = [text for part in ("inputs", "fields") for text in _texts(line.get(part, {}))]
        answers = [a for a in line.get("answers", ()) if len(a.strip()) > 3]
        given = " ".join(_texts(line["inputs"])).casefold()
        if answers and any(answer.strip().casefold() in given for answer in answers):
            rows.setdefault("have the expected text within the input, where the model can copy it", []).append(row)
        for kind in {kind for text in (*texts, *answers) for kind in personal(text)}:
            rows.setdefault(f"seem to hold personal data, {kind}", []).append(row)
    for what, some in sorted(rows.items()):
        yield f"warning: {len(some):,} of {table.rows:,} rows {what} ({of_rows(table, some)})"


def personal(text: str) -> Iterator[str]:
    """Yield the kinds of personal data that a text seems to hold; numbers of cards and accounts by their check digits.

    Telephone numbers are found in their international form alone, with a plus sign.
    """
    if "@" in text and _EMAIL.search(text):
        yield "an e-mail address"
    if "+" in text and _PHONE.search(text):
        yield "a telephone number"
    if any(_is_card(re.sub(r"\D", "", found[0])) for found in _CARD.finditer(text)):
        yield "a card number"
    if any(_is_iban(found[0].replace(" ", "")) for found in _IBAN.finditer(text)):
        yield "an IBAN"


def _is_card(digits: str) -> bool:
    """Return whether the last digit checks the others (Luhn, ISO/IEC 7812-1)."""
    doubled = [int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits))]
    return digits[0] in "23456" and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """Return whether the check digits are those of an IBAN (ISO 13616, ISO 7064 MOD 97-10)."""
    return len(text) <= 34 and int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - of JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
