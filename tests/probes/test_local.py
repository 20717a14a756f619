"""Shared by probes of models in process: digests, orders, names, imports, and errors of one line."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, CannotLoad
from goldwatch_probes._local import check_batch, check_threads, digest, framework, imported, named, ordered, told

ONE, TWO = np.zeros((2, 3)), np.ones((2, 1))


def test_the_digest_of_a_file_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"model")
    assert digest(tmp_path / "file") == "sha256:" + hashlib.sha256(b"model").hexdigest()


def test_the_digest_of_a_folder_can_be_had_by_hand(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a.b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    command = "find . -type f | sed 's|^./||' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    by_hand = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert digest(tmp_path) == "sha256:" + by_hand.split()[0]
    assert digest(tmp_path / "a.b", tmp_path / "b") == digest(tmp_path / "b", tmp_path / "a.b")


def test_the_digest_of_nothing_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match="none: No such file or directory"):
        digest(tmp_path / "none")


def test_inputs_come_in_the_order_of_the_names() -> None:
    first, second = ordered({"b": TWO, "a": ONE}, ["a", "b"])
    assert (first is ONE, second is TWO) == (True, True)
    assert ordered({"any": ONE}, [])[0] is ONE


@pytest.mark.parametrize(
    ("inputs", "names", "message"),
    [
        ({"a": ONE, "b": TWO}, [], 'in which order it takes "a", "b"; name them in `inputs`'),
        ({"c": ONE}, ["a"], 'no input "c"; it takes "a"'),
        ({"a": ONE}, ["a", "b"], 'also takes "b"; the inputs given are "a"'),
        ({"a": ONE, "b": TWO[:1]}, ["a", "b"], "no common number of examples"),
        ({}, ["a"], "no common number of examples"),
    ],
)
def test_inputs_that_cannot_be_ordered(inputs: Any, names: list[str], message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        ordered(inputs, names)


@pytest.mark.parametrize(
    ("answer", "names", "found"),
    [
        (1, [], {"output": 1}),
        (1, ["y"], {"y": 1}),
        ((1, 2), [], {"output_0": 1, "output_1": 2}),
        ([1, 2], ["a", "b"], {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, [], {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, ["b"], {"b": 2}),
    ],
)
def test_outputs_are_named(answer: Any, names: list[str], found: dict[str, int]) -> None:
    assert named(answer, names) == found


@pytest.mark.parametrize(
    ("answer", "names", "message"),
    [
        ((1, 2), ["a"], 'returns 2 outputs, `outputs` names 1: "a"'),
        ({"a": 1}, ["b"], 'returns "a", not "b"'),
    ],
)
def test_outputs_that_are_not_there(answer: Any, names: list[str], message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        named(answer, names)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (ValueError(""), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError("Exception from a.cpp:1:\n\nno such model\n"), "RuntimeError: no such model"),
        (RuntimeError('Traceback (most recent call last):\n  File "x.cc"\nRuntimeError: bad'), "RuntimeError: bad"),
    ],
)
def test_errors_are_told_in_the_line_that_says_most(error: Exception, line: str) -> None:
    assert told(error) == line


@pytest.mark.parametrize(
    ("reference", "source", "message"),
    [
        ("module", "", "`callable` is 'module', expected module:name"),
        ("no_such_module_here:f", "", "No module named 'no_such_module_here'"),
        ("broken_a:f", "1/0", "broken_a:f cannot be imported: ZeroDivisionError: division by zero"),
        ("broken_b:f", "def g(", "SyntaxError: '\\(' was never closed"),
        ("broken_c:f", "", "has no attribute 'f'"),
        ("broken_d:f", "f = 1", "broken_d:f is int, expected something to call"),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, source: str, message: str
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    if reference.startswith("broken"):
        (tmp_path / f"{reference[:8]}.py").write_text(source)
    with pytest.raises(CannotLoad, match=message):
        imported(reference, tmp_path, "callable")


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match=r"none: no such folder \(`path`\)"):
        imported("a:b", tmp_path / "none", "callable")


def test_a_framework_that_is_not_there_comes_with_its_remedy() -> None:
    with pytest.raises(CannotLoad, match=r"No module named 'no_such_thing'\): do this"):
        framework("no_such_thing", "It", "do this")


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(CannotLoad, match="`threads` is -1, expected 0 or more"):
        check_threads(-1)
    with pytest.raises(CannotLoad, match="batches of 1 only, this one has 2 examples"):
        check_batch(1, 2)
    check_batch(0, 2)
