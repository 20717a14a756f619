"""CSV and TSV with a header, read by the standard library (RFC 4180; UTF-8, with or without a byte order mark).

The delimiter is a tab in `.tsv`, else the one of comma, semicolon, tab and bar that the header has most of.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from goldwatch.golden.error import GoldenError, quoted, reason
from goldwatch.golden.lines import MOST_LINE_BYTES
from goldwatch.worker.jobs.labels import is_missing
from goldwatch.worker.sources.table import NUMBERS, ROWS_AT_ONCE, Block, Column, Kind, Values, unique

_DELIMITERS = ",;\t|"
_TRUTH = {"true": True, "false": False}
_KINDS: tuple[Kind, ...] = ("bool", "int", "float", "text")
"""From the narrowest to the widest: a column has the first that all of its values fit."""
_MOST_DIGITS = 64
_CODE = re.compile(r"\s*[-+]?0\d")
"""A number that begins so is a code, such as that of a post office."""

csv.field_size_limit(MOST_LINE_BYTES)


class Delimited:
    """A CSV file; see `Table`. The first reading finds the kind of each column."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows = 0
        self._shifted: list[tuple[int, int]] = []  # row and line, where a row does not follow the one before by a line
        try:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                header = stream.readline()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None
        self._delimiter = "\t" if file.suffix.lower() == ".tsv" else max(_DELIMITERS, key=header.count)
        self._names = [name.strip() for name in next(self._records(), (1, []))[1]]
        if not any(self._names):
            raise GoldenError(file, "line 1 has no names of columns; write a header")
        unique(file, self._names)
        self.columns = self._kinds()
        self._kept = set[str]()

    def keep_text(self, names: Iterable[str]) -> None:
        """Read numbers of some columns as the text that is written; words for missing ones stay missing."""
        self._kept |= {name for name in names if self.columns[name].kind in NUMBERS}
        self.columns |= {name: replace(self.columns[name], kind="text") for name in self._kept}

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Yield the values of some columns."""
        start = 0
        for records in self._some():
            texts = dict(zip(self._names, zip(*(record for _, record in records), strict=True), strict=True))
            yield Block(start, {name: self._values(name, texts[name]) for name in names})
            start += len(records)

    def _values(self, name: str, texts: Sequence[str]) -> Values:
        if name in self._kept:
            return [None if is_missing(text) else text.strip() for text in texts]
        return _values(texts, self.columns[name].kind)

    def place(self, row: int) -> str:
        """Return the line where a row begins."""
        at = bisect_right(self._shifted, (row, 2**62)) - 1
        first, line = self._shifted[at] if at >= 0 else (0, 2)
        return f"line {line + row - first}"

    def _kinds(self) -> dict[str, Column]:
        widest = dict.fromkeys(self._names, 0)
        seen = dict.fromkeys(self._names, False)
        expected = 2
        for records in self._some():
            for row, (line, _) in enumerate(records, self.rows):
                if line != expected:
                    self._shifted.append((row, line))
                expected = line + 1
            self.rows += len(records)
            for name, texts in zip(self._names, zip(*(record for _, record in records), strict=True), strict=True):
                given = [text for text in texts if not is_missing(text)]
                seen[name] = seen[name] or bool(given)
                while given and not _fits(given, _KINDS[widest[name]]):
                    widest[name] += 1
        return {name: Column(name, _KINDS[widest[name]] if seen[name] else "text") for name in self._names}

    def _some(self) -> Iterator[list[tuple[int, list[str]]]]:
        """Yield the records after the header, some at a time."""
        records = islice(self._records(), 1, None)
        while some := list(islice(records, ROWS_AT_ONCE)):
            yield some

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each record, with the line where it begins."""
        width, line = 0, 1
        try:
            with self.file.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, delimiter=self._delimiter, strict=True)
                for record in reader:
                    if record:
                        width = width or len(record)
                        if len(record) != width:
                            problem = f"has {len(record)} values, the header {width} names"
                            raise GoldenError(self.file, f"line {line}: {problem}; quote values with {self._sign}")
                        yield line, record
                    line = reader.line_num + 1
        except csv.Error as error:
            raise GoldenError(self.file, f"line {line}: no CSV: {error}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None

    @property
    def _sign(self) -> str:
        return "a tab" if self._delimiter == "\t" else quoted(self._delimiter)

    def _unreadable(self, error: OSError | UnicodeDecodeError) -> GoldenError:
        if isinstance(error, OSError):
            return GoldenError(self.file, f"cannot be read: {reason(error)}")
        with self.file.open("rb") as stream:
            for line, raw in enumerate(stream, 1):
                try:
                    raw.decode()
                except UnicodeDecodeError as why:
                    return GoldenError(self.file, f"line {line}, byte {why.start + 1}: not UTF-8; convert the file")
        return GoldenError(self.file, "is not UTF-8; convert the file")


def _fits(texts: Sequence[str], kind: Kind) -> bool:
    if kind == "text":
        return True
    if kind == "bool":
        return all(text.strip().lower() in _TRUTH for text in texts)
    if any(len(text) > _MOST_DIGITS or "_" in text or not text.isascii() or _CODE.match(text) for text in texts):
        return False
    try:
        np.array(texts).astype(np.int64 if kind == "int" else np.float64)
    except (ValueError, OverflowError):
        return False
    return True


def _values(texts: Sequence[str], kind: Kind) -> Values:
    if kind == "text":
        return [text or None for text in texts]
    missing = [is_missing(text) for text in texts]
    if kind == "bool":
        return np.array(
            [np.nan if no else _TRUTH[text.strip().lower()] for text, no in zip(texts, missing, strict=True)],
            np.float64 if any(missing) else np.bool_,
        )
    if any(missing):
        return np.array(["nan" if no else text for text, no in zip(texts, missing, strict=True)]).astype(np.float64)
    return np.array(texts).astype(np.int64 if kind == "int" else np.float64)
