"""The names of examples: frozen with the set, verified, read back, and carried into a new version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.golden.error import GoldenError
from goldwatch.golden.freeze import freeze
from goldwatch.golden.identities import IDENTITIES, excerpt, of_array
from goldwatch.golden.opened import GoldenSet

NAMES = ["apple_17.png", "", "עגבניה.png", "pear\x1b[31m.png"]


def test_the_names_are_read_back_and_are_part_of_the_identity_of_the_set(
    tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]
) -> None:
    found = freeze(tmp_path / "named", manifest, tensors, identities=NAMES)
    found.check_values()
    assert list(found.identities()) == NAMES
    assert [found.identity(i) for i in range(4)] == NAMES
    assert found.excerpt(0) == ""
    assert found.digest != freeze(tmp_path / "other", manifest, tensors, identities=["a", *NAMES[1:]]).digest


def test_a_set_without_names_has_no_file_and_no_new_format(golden: GoldenSet) -> None:
    assert (golden.has_identities, list(golden.identities()), golden.identity(0)) == (False, [], "")
    assert not (golden.path / IDENTITIES).exists()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["a", "b", "c"], "identities.jsonl has 3 lines, golden.json says 4 examples"),
        (["a", "b", "c", "d" * 201], "identities.jsonl:4: identity has 201 characters, expected up to 200"),
    ],
)
def test_names_that_do_not_fit_are_one_clear_error(
    tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any], names: list[str], problem: str
) -> None:
    with pytest.raises(GoldenError, match=problem):
        freeze(tmp_path / "named", manifest, tensors, identities=names)
    assert not (tmp_path / "named").exists()


def test_names_of_arrays_are_texts_or_whole_numbers(tmp_path: Path) -> None:
    assert of_array(tmp_path, np.array(["a", "b"])) == ["a", "b"]
    assert of_array(tmp_path, np.array([17, 203])) == ["17", "203"]
    assert of_array(tmp_path, np.array([b"a.png"])) == ["a.png"]
    for wrong in (np.array([1.5]), np.array([["a"]])):
        with pytest.raises(GoldenError, match="expected \\[n\\] texts or whole numbers"):
            of_array(tmp_path, wrong)


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("Which city\nis the capital?", "text", "Which city is the capital?"),
        ("word " * 40, "text", "word word word word word word word word word word word word ..."),
        ('[{"role": "user", "content": "How tall is it?"}]', "json", "How tall is it?"),
        ("[1, 2]", "json", "[1, 2]"),
    ],
)
def test_the_excerpt_of_a_text_is_one_short_line(text: str, kind: str, shown: str) -> None:
    assert excerpt(text, kind) == shown


def test_a_changed_file_of_names_is_noticed(tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]) -> None:
    found = freeze(tmp_path / "named", manifest, tensors, identities=NAMES)
    (found.path / IDENTITIES).write_text('{"identity": "other"}\n')
    with pytest.raises(GoldenError, match="the set was changed after it was frozen"):
        GoldenSet.open(found.path)
