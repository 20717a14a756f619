"""The security checklist names the test that holds each of its points: those tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKLIST = (ROOT / "docs/security-checklist.md").read_text()
UNLESS_SAID_OTHERWISE = "tests/chart/test_render.py"


def named(text: str) -> list[tuple[str, str]]:
    """Return the tests of a row: the file, and the name of the test, empty if the whole file is meant."""
    files = re.findall(r"`(tests/[\w/]+\.py)`", text)
    found = [(file, "") for file in files]
    for test, file in re.findall(r"`(test_\w+)`(?: in `(tests/[\w/]+\.py)`)?", text):
        found.append((file or UNLESS_SAID_OTHERWISE, test))
    return found


def rows() -> list[str]:
    """Return the rows of the last table, which has a column for the test."""
    table = CHECKLIST.partition("| advice | what the chart does | test |")[2]
    return [line for line in table.splitlines()[2:] if line.startswith("|")]


def test_every_test_that_is_named_exists() -> None:
    tests = named(CHECKLIST)
    assert len(tests) > 20
    for file, test in tests:
        assert (ROOT / file).is_file(), file
        assert f"def {test}(" in (ROOT / file).read_text() or not test, f"{file} has no {test}"


@pytest.mark.parametrize("row", rows())
def test_every_point_names_a_test(row: str) -> None:
    held_by = row.strip("| ").rpartition("|")[2]
    assert named(held_by) or held_by.strip() == "as above"
