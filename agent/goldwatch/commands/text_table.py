"""Tables in the text that commands print."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

_WIDTH = 100_000  # wider than any table: what reads a pipe wants whole lines


def text_table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table: columns aligned with two spaces between them, nothing wrapped or cut.

    The text is the same in a terminal, in a pipe and with NO_COLOR: it has no colours, and no line ends in a space.
    Characters of double width take two columns.
    """
    from rich.console import Console  # noqa: PLC0415 - a JSON report needs no table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell, no_wrap=True) for cell in row))
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    with console.capture() as text:
        console.print(table)
    return [line.rstrip() for line in text.get().splitlines()]


def in_cell(text: str) -> str:
    """Return text as a cell of a Markdown table may hold it: nothing in it ends the cell, or is markup or HTML."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#&~" else c for c in line)
