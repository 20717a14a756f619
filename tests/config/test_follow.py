from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from goldwatch.config.follow import Gone, follow

EVERY_S = 0.01


def mounted(folder: Path, version: str, text: str = "a: 1") -> Path:
    """Write a file as a kubelet mounts a ConfigMap: behind a link to a folder, which is put on another all at once."""
    (folder / version).mkdir()
    (folder / version / "goldwatch.yaml").write_text(text)
    (folder / "next").symlink_to(version)
    (folder / "next").rename(folder / "..data")
    file = folder / "goldwatch.yaml"
    if not file.is_symlink():
        file.symlink_to("..data/goldwatch.yaml")
    return file


def run(file: Path, *steps: Callable[[], object], also: Iterable[Path] = ()) -> list[bool]:
    """Follow a file while steps are taken; return whether each was noticed within many looks."""

    async def all_steps() -> list[bool]:
        changed, found = asyncio.Event(), []
        task = asyncio.create_task(follow(file, changed, EVERY_S, lambda: also))
        await asyncio.sleep(5 * EVERY_S)
        for step in steps:
            step()
            for _ in range(20):
                await asyncio.sleep(EVERY_S)
            found.append(changed.is_set())
            changed.clear()
            if task.done():
                task.result()
        task.cancel()
        return found

    return asyncio.run(all_steps())


def test_another_version_of_a_config_map_is_noticed_once(tmp_path: Path) -> None:
    file = mounted(tmp_path, "1")
    assert run(file, lambda: None, lambda: mounted(tmp_path, "2"), lambda: None) == [False, True, False]


def test_a_file_that_comes_later_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "goldwatch.yaml"
    assert run(file, lambda: file.write_text("a: 1"), lambda: mounted_over(file)) == [False, True]


def mounted_over(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_text("a: 2")
    other.replace(file)


def test_one_that_is_taken_away_ends_it(tmp_path: Path) -> None:
    file = mounted(tmp_path, "1")
    with pytest.raises(Gone, match="no such file"):
        run(file, file.unlink)


def test_files_that_it_refers_to_are_followed_too(tmp_path: Path) -> None:
    file, token, later = mounted(tmp_path, "1"), tmp_path / "token", tmp_path / "later"
    token.write_text("a")
    steps = [lambda: None, lambda: mounted_over(token), token.unlink, lambda: later.write_text("a"), lambda: None]
    assert run(file, *steps, also=[token, later]) == [False, True, True, True, False]
