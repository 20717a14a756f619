"""Tables in the text that commands print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from goldwatch.commands.text_table import text_table

CELLS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_columns_are_aligned_and_nothing_is_lost(rows: list[tuple[str, str]]) -> None:
    lines = text_table(rows)
    width = max(cell_len(first) for first, _ in rows)
    assert lines == [f"{first}{' ' * (width - cell_len(first))}  {second}" for first, second in rows]


def test_names_are_no_markup_and_empty_cells_leave_no_spaces() -> None:
    assert text_table([("[red]a", "b" * 500, ""), ("", "c", "d")]) == [f"[red]a  {'b' * 500}", f"        c{' ' * 501}d"]


def test_it_is_the_same_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = text_table([("a", "b"), ("target", "watch")])
    for variable in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.setenv(variable, "1")
    assert text_table([("a", "b"), ("target", "watch")]) == plain == ["a       b", "target  watch"]
