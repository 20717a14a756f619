"""Files of a golden set that messages refer to: frozen with it, bounded, and sent as their content."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goldwatch.golden import attached
from goldwatch.golden.attached import Attached, references
from goldwatch.golden.error import GoldenError
from goldwatch.golden.examples import Examples
from goldwatch.golden.freeze import freeze
from goldwatch.golden.lines import column
from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.report import as_text
from goldwatch.ipc.judging_jobs import FreezeExamplesRequest
from goldwatch.worker.jobs.examples import frozen

PICTURE, SOUND = b"\x89PNG\r\n\x1a\npixels", b"RIFFsamples"


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *parts]}]}}


def image(name: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"file:{name}", "detail": "low"}}


def audio(name: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": f"file:{name}", "format": "wav"}}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Return a folder with two files, and lines in it that have a name to be written."""
    folder = tmp_path / "given"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures/a cat.PNG").write_bytes(PICTURE)
    (folder / "meow.wav").write_bytes(SOUND)
    (tmp_path / "secret.png").write_bytes(b"secret")
    return folder


def frozen_of(folder: Path, *lines: dict[str, Any]) -> GoldenSet:
    file = folder / "examples.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    request = FreezeExamplesRequest(Examples(file, "cats", "CC0-1.0", "made up"), str(folder.parent / "set"))
    frozen(request, [], lambda _: None)
    return GoldenSet.open(folder.parent / "set")


def sent(golden: GoldenSet, index: int = 0) -> list[dict[str, Any]]:
    [location] = golden.input_locations()
    return list(json.loads(column(location.file, "inputs", location.name, location.dtype)[index])[0]["content"])


def test_files_are_frozen_with_the_set_and_sent_as_their_content(given: Path) -> None:
    golden = frozen_of(given, message(image("pictures/a cat.PNG"), audio("meow.wav")), message(image("meow.wav")))
    assert golden.manifest.format == 6
    assert sorted(name.rpartition("-")[0] for name in golden.attached) == ["a_cat", "meow"]
    assert sorted(path.read_bytes() for path in golden.attached.values()) == sorted((PICTURE, SOUND))
    _, picture, sound = sent(golden)
    assert picture["image_url"] == {
        "url": f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}",
        "detail": "low",
    }
    assert sound["input_audio"] == {"data": base64.b64encode(SOUND).decode(), "format": "wav"}
    assert "files       2 that inputs refer to, 25 bytes" in as_text(golden)
    golden.check_values()
    (given.parent / "set").rename(given.parent / "first")
    (given / "meow.wav").write_bytes(SOUND + b"!")
    other = frozen_of(given, message(image("pictures/a cat.PNG"), audio("meow.wav")), message(image("meow.wav")))
    assert other.digest != golden.digest


def test_a_set_without_files_is_as_it_was(given: Path) -> None:
    golden = frozen_of(given, message({"type": "image_url", "image_url": {"url": "https://example.com/file:x.png"}}))
    assert (golden.manifest.format, golden.attached) == (2, {})
    kept = {"text": "file:meow.wav", "url": "file:///srv/cat.png", "data": 5}
    assert list(references(kept)) == []
    assert Attached(golden.path).sent(kept) == kept


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../secret.png", "is outside of"),
        ("link.png", "is outside of"),
        ("none.png", "cannot be read: no such file"),
        ("pictures", 'has the suffix ""; expected one of .png, .jpg'),
        ("notes.txt", 'has the suffix ".txt"'),
        ("folder.png", "is no regular file"),
        ("big.png", "has 9,000,000 bytes, more than 8,388,608; make it smaller"),
        ("nul\0.png", "cannot be read: "),
    ],
)
def test_files_that_no_set_may_have_are_refused_by_the_line(given: Path, name: str, problem: str) -> None:
    (given / "link.png").symlink_to(given.parent / "secret.png")
    (given / "notes.txt").write_text("x")
    (given / "folder.png").mkdir()
    with (given / "big.png").open("wb") as big:
        big.truncate(9_000_000)
    with pytest.raises(GoldenError) as error:
        frozen_of(given, message(image("meow.wav")), message(image(name)))
    assert "examples.jsonl:2: " in str(error.value)
    assert problem in str(error.value)
    assert not (given.parent / "set").exists()


def test_an_example_has_files_of_a_bounded_size(given: Path) -> None:
    for name in ("one.png", "two.png"):
        with (given / name).open("wb") as big:
            big.truncate(5_000_000)
    with pytest.raises(GoldenError, match="the files of this example have 10,000,000 bytes, more than 8,388,608"):
        frozen_of(given, message(image("one.png"), image("two.png")))


def test_a_reference_to_what_the_set_has_not_is_no_golden_set(given: Path) -> None:
    golden = frozen_of(given, message(image("meow.wav")))
    manifest = golden.manifest.model_dump(mode="json", exclude_none=True, exclude={"format", "files"})
    tensors = {name: golden.tensor(name) for name in golden.manifest.tensors()}
    with pytest.raises(
        GoldenError, match=r"examples.jsonl:1: it refers to the file \"meow-.*\", which the set has not"
    ):
        freeze(given / "other", manifest, tensors, golden.lines())
    with pytest.raises(GoldenError, match=r'the file "a/b\.png" cannot have this name in a set'):
        freeze(given / "other", manifest, tensors, golden.lines(), files={"a/b.png": given / "meow.wav"})


def change(golden: GoldenSet) -> None:
    next(iter(golden.attached.values())).write_bytes(b"other")


def remove(golden: GoldenSet) -> None:
    next(iter(golden.attached.values())).unlink()


def refer(name: str) -> Callable[[GoldenSet], None]:
    def refer(golden: GoldenSet) -> None:
        lines = golden.path / "examples.jsonl"
        lines.write_text(lines.read_text().replace(next(iter(golden.attached)), name))

    return refer


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (change, "was changed after the set was frozen"),
        (remove, "cannot be read: no such file"),
        (refer("../secret.png"), "which is no such file of the set"),
        (refer("examples.jsonl"), "which is no such file of the set"),
    ],
)
def test_only_files_of_the_manifest_are_sent(given: Path, how: Callable[[GoldenSet], None], problem: str) -> None:
    golden = frozen_of(given, message(image("meow.wav")))
    how(golden)
    with pytest.raises(GoldenError, match=problem):
        sent(golden)


def test_what_is_sent_of_one_example_is_bounded(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = frozen_of(given, message(image("meow.wav"), image("meow.wav")))
    monkeypatch.setattr(attached, "MAX_BYTES", 2 * len(SOUND) - 1)
    with pytest.raises(GoldenError, match="the files of an example have more than 21 bytes"):
        sent(golden)


def test_json_that_is_nested_too_deep_is_refused_by_the_line(given: Path) -> None:
    def deep(levels: int) -> dict[str, Any]:
        value: Any = "end"
        for _ in range(levels):
            value = [value]
        return {"inputs": {"messages": value}}

    wide = {"inputs": {"messages": [[0]] * 1000}}
    golden = frozen_of(given, wide, deep(198))
    assert golden.examples == 2
    golden.path.rename(given.parent / "first")
    for levels in (199, 900):
        with pytest.raises(GoldenError, match=r"examples.jsonl:2: (nested more than 200 deep|not JSON)"):
            frozen_of(given, message(), deep(levels))
    golden = GoldenSet.open(given.parent / "first")
    manifest = golden.manifest.model_dump(mode="json", exclude_none=True, exclude={"format", "files"})
    tensors = {name: golden.tensor(name) for name in golden.manifest.tensors()}
    lines = [{**line, **deep(900)} for line in golden.lines()]
    with pytest.raises(GoldenError, match=r"examples.jsonl:1: (nested more than 200 deep|not plain values)"):
        freeze(given / "other", manifest, tensors, lines)


def test_in_formats_without_files_a_reference_is_text(given: Path) -> None:
    golden = frozen_of(given, message({"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}))
    manifest = golden.manifest.model_dump(mode="json", exclude_none=True, exclude={"format", "files"})
    tensors = {name: golden.tensor(name) for name in golden.manifest.tensors()}
    lines = [{**line, **message(image("x.png"))} for line in golden.lines()]
    older = freeze(given / "older", manifest, tensors, lines, files=None)
    assert older.manifest.format == 2
    older.check_values()
    assert sent(older)[1] == image("x.png")


def test_an_input_may_have_the_name_of_a_key_of_files(given: Path) -> None:
    golden = frozen_of(given, {"inputs": {"data": "file:x.png"}})
    assert next(iter(golden.lines()))["inputs"] == {"data": "file:x.png"}
