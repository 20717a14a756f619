"""Secrets of a config are replaced in whatever text holds them, and in its end if it was cut within one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch import redaction
from goldwatch.daemon.words import printable
from goldwatch.http_reading import Unreadable, prometheus_series
from goldwatch.log import set_up
from goldwatch.redaction import redact, redact_all, redact_known, remember

SECRET = 's3cret-"quoted"\\token'


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", ())
    remember([SECRET])


@given(st.text("abc"), st.text("abc"), st.text("xyz", min_size=8, max_size=20), st.integers(4, 20))
def test_neither_a_secret_nor_its_beginning_at_the_end_remains(before: str, after: str, secret: str, cut: int) -> None:
    assert redact(before + after, [secret]) == before + after
    assert redact(before + secret + after, [secret]) == f"{before}***{after}"
    assert redact(before + secret[:cut], [secret]) == f"{before}***"


def test_all_texts_of_json_are_redacted_and_nothing_else() -> None:
    remember(["s3cret-xyz"])
    value = {"s3cret-xyz": ["a s3cret-xyz b", 7, None, {"n": "cut s3cret-x"}, True], "plain": 0.5}
    assert redact_all(value) == {"***": ["a *** b", 7, None, {"n": "cut ***"}, True], "plain": 0.5}
    assert redact_all(["nothing", {"of": "it"}]) == ["nothing", {"of": "it"}]


def test_short_values_and_plain_words_are_not_remembered() -> None:
    remember(["short", "insufficient", "", "letters_of_any_length"])
    assert redact_known("short, insufficient, letters_of_any_length") == "short, insufficient, ***"


def test_a_rotated_secret_stays_known_and_the_number_is_bounded() -> None:
    remember(["another-secret"])
    assert redact_known(f"{SECRET} another-secret") == "*** ***"
    remember(f"secret-{number}" for number in range(2000))
    assert len(redaction._known) == 1000


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # `set_up` closes those that it finds, which are pytest's
    yield
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize("style", ["human", "json"])
@pytest.mark.usefixtures("logging_as_it_was")
def test_no_record_shows_a_secret(capsys: pytest.CaptureFixture[str], style: str) -> None:
    set_up(style, "info")  # type: ignore[arg-type]
    logging.getLogger("another.library").error(
        "sent %s", SECRET, extra={"who": [SECRET], "what": OSError(SECRET)}, exc_info=ValueError(f"bad header {SECRET}")
    )
    err = capsys.readouterr().err
    assert "s3cret" not in err
    assert err.count("***") == 4


def test_no_output_of_a_command_shows_a_secret() -> None:
    assert printable(f"the server says {SECRET}\n") == "the server says ***\n"


def test_a_prometheus_that_sends_its_token_back_is_quoted_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"status": "error", "error": "bad token s3cret-token"}
    monkeypatch.setattr("goldwatch.http_reading.fetch", lambda *_, **__: json.dumps(said).encode())
    with pytest.raises(Unreadable, match=r"refuses up: bad token \*\*\*$"):
        prometheus_series("http://127.0.0.1", "up", {"Authorization": "Bearer s3cret-token"})
