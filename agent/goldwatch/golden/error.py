"""The one error of golden sets."""

from __future__ import annotations

from pathlib import Path

from goldwatch.errors import GoldwatchError

_MOST_SHOWN = 80


class GoldenError(GoldwatchError):
    """A golden set that cannot be used or made, with every problem that was found in it.

    The text names the set's folder; each problem names the file, the field or tensor, what was found, what was expected
    and what to do.
    """

    def __init__(self, folder: Path, *problems: str) -> None:
        super().__init__(folder, *problems)
        self.folder = folder
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.folder}: {self.problems[0]}"
        return "\n".join([f"{self.folder}: {len(self.problems)} problems", *(f"  {p}" for p in self.problems)])


def reason(error: OSError) -> str:
    """Say why the system refused, without the path that the message names already."""
    return (error.strerror or type(error).__name__).lower()


def quoted(text: str) -> str:
    """Quote text that came from a file: one line, nothing that a terminal would obey, of bounded length."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_MOST_SHOWN])
    return f'"{shown}..."' if len(text) > _MOST_SHOWN else f'"{shown}"'
