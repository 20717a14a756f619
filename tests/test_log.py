"""Log records as people and programs read them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from goldwatch.log import set_up

log = logging.getLogger("goldwatch")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # `set_up` closes those that it finds, which are pytest's
    yield
    root.handlers, root.level = handlers, level


@pytest.fixture
def attribute_of_every_record() -> Iterator[None]:
    """A library that is imported gives every record of the process one more attribute, as Ray does."""
    factory = logging.getLogRecordFactory()

    def with_one_more(*args: Any, **named: Any) -> logging.LogRecord:
        record = factory(*args, **named)
        record.stamp_of_a_library = 17
        return record

    logging.setLogRecordFactory(with_one_more)
    yield
    logging.setLogRecordFactory(factory)


def test_a_record_for_people_is_a_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("human", "info")
    log.info("replayed", extra={"watch": "digits", "accuracy": 0.785})
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d info    replayed  watch=digits  accuracy=0\.785\n", err)


@pytest.mark.usefixtures("attribute_of_every_record")
@pytest.mark.parametrize("style", ["human", "json"])
def test_an_attribute_that_a_library_gives_every_record_is_no_field(
    capsys: pytest.CaptureFixture[str], style: Literal["human", "json"]
) -> None:
    set_up(style, "info")
    log.info("replayed", extra={"watch": "digits"})
    err = capsys.readouterr().err
    assert "digits" in err
    assert "stamp" not in err


def test_a_field_for_people_is_on_the_line_of_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("human", "info")
    log.warning("it cannot be read", extra={"reason": "HTTP 500: gone\n2026-01-01 error    alert 1\x1b[2J"})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith('  reason="HTTP 500: gone\\n2026-01-01 error    alert 1\\u001b[2J"')


def test_a_record_for_programs_is_one_object_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", "info")
    log.error("alert %d\nit is worse", 7, extra={"watch": "digits", "reasons": ["a", "b"], "file": Path("x")})
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record.pop("time"))
    assert record == {
        "level": "error",
        "logger": "goldwatch",
        "message": "alert 7\nit is worse",
        "watch": "digits",
        "reasons": ["a", "b"],
        "file": "x",
    }


@pytest.mark.parametrize("style", ["human", "json"])
def test_an_exception_is_told_with_its_record(
    capsys: pytest.CaptureFixture[str], style: Literal["human", "json"]
) -> None:
    set_up(style, "info")
    try:
        int("of all things")
    except ValueError:
        log.exception("a replay failed")
    err = capsys.readouterr().err
    said = json.loads(err)["exception"] if style == "json" else err
    assert said.rstrip().endswith("ValueError: invalid literal for int() with base 10: 'of all things'")


def test_what_is_below_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("human", "warning")
    log.info("replayed")
    log.warning("skipped")
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == ["warning"]


def test_the_scheduler_does_not_tell_of_skips_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("human", "debug")
    logging.getLogger("apscheduler.scheduler").warning("skipped: maximum number of running instances reached")
    assert capsys.readouterr().err == ""
