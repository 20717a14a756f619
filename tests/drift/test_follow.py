"""Logs as servers and logrotate treat them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.daemon import tap_follower
from goldwatch.daemon.tap_follower import Follower


def append(file: Path, text: str) -> None:
    with file.open("a") as log:
        log.write(text)


@pytest.fixture
def following() -> Iterator[Callable[[Path], Follower]]:
    """Make followers, which are closed in the end."""
    made: list[Follower] = []

    def make(path: Path) -> Follower:
        made.append(Follower(path))
        return made[-1]

    yield make
    for follower in made:
        follower.close()


def read(follower: Follower) -> list[str]:
    return [line.decode() for line in follower.lines()]


def test_it_begins_at_the_end_and_reads_whole_lines(tmp_path: Path, following: Callable[[Path], Follower]) -> None:
    log = tmp_path / "log"
    append(log, "old\nhalf of a line")
    follower = following(log)
    assert read(follower) == []
    append(log, ", the other\nnew\n\nunfin")
    assert read(follower) == ["new"]
    append(log, "ished\n")
    assert read(follower) == ["unfinished"]


def test_it_waits_for_a_file_that_is_not_there_yet(tmp_path: Path, following: Callable[[Path], Follower]) -> None:
    follower = following(tmp_path / "log")
    assert read(follower) == []
    assert "cannot be read: No such file" in follower.problem
    append(tmp_path / "log", "first\n")
    assert (read(follower), follower.problem) == (["first"], "")


def test_a_log_that_was_away_for_a_moment_is_not_read_twice(
    tmp_path: Path, following: Callable[[Path], Follower]
) -> None:
    log = tmp_path / "log"
    append(log, "old\n")
    follower = following(log)
    assert read(follower) == []
    append(log, "1\n")
    log.rename(tmp_path / "away")
    assert read(follower) == ["1"]
    assert read(follower) == []
    assert "cannot be read: No such file" in follower.problem
    (tmp_path / "away").rename(log)
    append(log, "2\n")
    assert (read(follower), follower.problem) == (["2"], "")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a file")
def test_a_log_that_fails_while_it_is_read_is_told_of(following: Callable[[Path], Follower]) -> None:
    follower = following(Path("/proc/self/mem"))  # to read at its beginning is an error
    assert read(follower) == []
    assert follower.problem == "/proc/self/mem cannot be read: Input/output error"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, following: Callable[[Path], Follower]) -> None:
    os.mkfifo(tmp_path / "pipe")
    follower = following(tmp_path / "pipe")
    assert read(follower) == []
    assert follower.problem == f"{tmp_path}/pipe is neither a file nor a folder: it cannot be followed"


def test_a_file_that_is_renamed_is_read_to_its_end(tmp_path: Path, following: Callable[[Path], Follower]) -> None:
    log = tmp_path / "log"
    append(log, "")
    follower = following(log)
    read(follower)
    append(log, "1\n")
    log.rename(tmp_path / "log.1")
    append(tmp_path / "log.1", "2\n")  # the writer still has it open
    append(log, "3\n")
    assert sorted(read(follower)) == ["1", "2", "3"]
    append(tmp_path / "log.1", "4\n")
    append(log, "5\n")
    assert sorted(read(follower)) == ["4", "5"]
    for _ in range(2):
        assert read(follower) == []
    append(tmp_path / "log.1", "too late\n")
    assert read(follower) == []


def test_a_file_that_is_cut_short_is_read_from_its_beginning(
    tmp_path: Path, following: Callable[[Path], Follower]
) -> None:
    log = tmp_path / "log"
    append(log, "a long line of the past\n")
    follower = following(log)
    read(follower)
    os.truncate(log, 0)
    append(log, "anew\n")
    assert read(follower) == ["anew"]


def test_of_a_folder_all_files_are_followed_and_rotated_ones_are_not_read_twice(
    tmp_path: Path, following: Callable[[Path], Follower]
) -> None:
    follower = following(tmp_path)
    assert read(follower) == []
    append(tmp_path / "a.log", "1\n")
    append(tmp_path / "b.log", "2\n")
    assert sorted(read(follower)) == ["1", "2"]
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log", "3\n")
    (tmp_path / "a.log.2.gz").write_bytes(b"\x1f\x8b compressed\n")
    assert read(follower) == ["3"]


def test_what_is_too_long_or_too_far_behind_is_left_out_and_counted(
    tmp_path: Path, following: Callable[[Path], Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_follower, "MOST_LINE_BYTES", 20)
    monkeypatch.setattr(tap_follower, "_CHUNK", 16)
    log = tmp_path / "log"
    append(log, "")
    follower = following(log)
    read(follower)
    append(log, "x" * 100 + "\nshort\n")
    assert (read(follower), follower.too_long) == (["short"], 1)
    monkeypatch.setattr(tap_follower, "MOST_BEHIND_BYTES", 10)
    append(log, "1234567\n" * 5)
    assert (read(follower), follower.skipped_bytes) == (["1234567"], 30)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1), max_size=20), st.data())
def test_in_whatever_pieces_it_is_written_the_lines_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], data: st.DataObject
) -> None:
    log = tmp_path_factory.mktemp("pieces") / "log"
    log.touch()
    found: list[bytes] = []
    content = "".join(f"{line}\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    with contextlib.closing(Follower(log)) as follower:
        assert list(follower.lines()) == []
        for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
            with log.open("ab") as stream:
                stream.write(content[start:end])
            found += follower.lines()
    assert found == [line.encode() for line in lines if line.encode().strip()]
