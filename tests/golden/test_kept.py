"""Sets that are swept from the folder of fetched golden sets, and sets that never are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from goldwatch.golden import kept

NOW = time.time()
DAY_S = 86400.0


def fetched(folder: Path, name: str, days: float) -> Path:
    """Make a set that was fetched, and last named `days` days ago."""
    made = unmarked(folder, name)
    kept.mark(made)
    age(folder / f".{name}.fetched", days)
    return made


def unmarked(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    (made / "golden.json").write_text("{}")
    age(made, 300)
    return made


def age(path: Path, days: float) -> None:
    os.utime(path, (NOW - days * DAY_S, NOW - days * DAY_S))


def left_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_what_nobody_named_for_a_week_goes_with_its_mark(tmp_path: Path) -> None:
    fetched(tmp_path, "fraud-41ab0c", 8)
    newer = fetched(tmp_path, "fraud-77ee01", 6)
    assert kept.sweep(tmp_path, [], NOW) == ["fraud-41ab0c"]
    assert left_in(tmp_path) == [f".{newer.name}.fetched", newer.name]


def test_what_is_named_stays_however_old_and_its_mark_is_new(tmp_path: Path) -> None:
    named = fetched(tmp_path, "fraud-41ab0c", 300)
    assert kept.sweep(tmp_path, [named], NOW) == []
    assert kept.sweep(tmp_path, [], NOW + 6 * DAY_S) == [], "as another agent sees it, which has never named it"
    assert kept.sweep(tmp_path, [], time.time() + 8 * DAY_S) == ["fraud-41ab0c"]


def test_what_was_not_fetched_stays(tmp_path: Path) -> None:
    """A folder of the user's, one fetched before there were marks, and one that only looks like something left over."""
    for name in ("mine", "fraud-0123456789ab", ".fraud-2026.backup", ".hidden.0a1b2c3d"):
        unmarked(tmp_path, name)
    (tmp_path / "notes.fetched").touch()
    age(tmp_path / "notes.fetched", 300)
    before = left_in(tmp_path)
    assert kept.sweep(tmp_path, [], NOW) == []
    assert left_in(tmp_path) == before


def test_what_lies_elsewhere_stays(tmp_path: Path) -> None:
    elsewhere = unmarked(tmp_path, "elsewhere")
    folder = tmp_path / "golden"
    folder.mkdir()
    (folder / "fraud-41ab0c").symlink_to(elsewhere)
    kept.mark(folder / "fraud-41ab0c")
    age(folder / ".fraud-41ab0c.fetched", 300)
    assert kept.sweep(folder, [], NOW) == []
    assert left_in(elsewhere) == ["golden.json"]


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    """A set half fetched, one half deleted, and the mark of one whose folder never came."""
    for days in (0.5, 2):
        left = kept.unfinished(tmp_path / f"fraud-{days * 10:012.0f}")
        left.mkdir()
        (left / "tensors.safetensors").write_bytes(b"half")
        age(left, days)
    kept.mark(tmp_path / "fraud-41ab0c")
    age(tmp_path / ".fraud-41ab0c.fetched", 8)
    kept.sweep(tmp_path, [], NOW)
    assert [name.split(".")[1] for name in left_in(tmp_path)] == ["fraud-000000000005"]


def test_where_nothing_was_fetched_there_is_nothing_to_sweep(tmp_path: Path) -> None:
    assert kept.sweep(tmp_path / "golden", [tmp_path / "mine"], NOW) == []
    assert left_in(tmp_path) == []


def test_a_set_that_cannot_be_moved_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a folder mounted by another program."""
    fetched(tmp_path, "fraud-41ab0c", 8)

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    assert kept.sweep(tmp_path, [], NOW) == []
    assert left_in(tmp_path) == [".fraud-41ab0c.fetched", "fraud-41ab0c"]
