"""The texts that answers are compared with: read once, however often they are used, and wherever they are stored."""

import json
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

from goldwatch.golden.lines import Lines
from goldwatch.worker.evaluators import references
from goldwatch.worker.evaluators.references import References

TEXTS = [
    ("Paris", ["Paris", "the Seine\0"]),
    ("", ["süß", "日本"]),
    ("half a \ud800 pair", ["\udcff"]),
    ("last\n", ["x"]),
]


class Counting(Lines):
    """Lines that count how often one is read."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.reads = 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.reads += 1
        return super().__getitem__(index)


@pytest.fixture
def lines(tmp_path: Path) -> Counting:
    file = tmp_path / "examples.jsonl"
    found = ({"inputs": {"prompt": "?"}, "outputs": {"text": text}, "answers": answers} for text, answers in TEXTS)
    file.write_text("".join(json.dumps(line) + "\n" for line in found))
    return Counting(file)


@pytest.mark.parametrize("few", [0, 3, 4])
def test_each_line_is_read_once(lines: Counting, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_FEW", few)
    found = References(lines, "text", labelled=True)
    assert found[0:4] == TEXTS
    assert [found[i : i + 1] for i in range(4)] == [[one] for one in TEXTS]
    assert found[2:2] == []
    assert lines.reads == 4
    assert References(lines, "text", labelled=False)[1:3] == [("", []), ("half a \ud800 pair", [])]


def test_without_room_for_a_file_lines_are_read_again(lines: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(references, "_FEW", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    found = References(lines, "text", labelled=True)
    assert (found[0:4], found[1:2]) == (TEXTS, TEXTS[1:2])
