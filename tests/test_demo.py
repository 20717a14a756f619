"""The demo: what it draws, and that it shows what it promises."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from goldwatch.core.judgement import Flip, Judgement, Quantile, Severity, State
from goldwatch.daemon.alert import Alert
from goldwatch.demo import screen
from goldwatch.demo.handbook import PASSAGES, SYSTEM
from goldwatch.demo.language import TEMPLATES, Answerer

from tests.builders import difference, judgement, verdict

PAINTED = np.zeros((2, 8, 8), np.float32)
PAINTED[0, 0, :] = 1.0  # a line at the top
PAINTED[0, 7, 0] = 1.0  # and a point at the bottom left
PAINTED[1, 2:4, 3] = 1.0  # a block in the middle


def drawn(judgements: list[Judgement], alert: Alert | None = None, pictures: str = "") -> str:
    console = Console(width=110, no_color=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(screen.screen("the title", judgements, alert, pictures, "the footer"))
    return capture.get()


def test_flipped_digits_are_drawn_side_by_side_above_what_they_were_and_are_now() -> None:
    flips = [Flip(0, "7", "7", "1"), Flip(1, "8", "8", "3")]
    assert screen.digits(PAINTED, flips).splitlines() == [
        "▀▀▀▀▀▀▀▀           ",
        "              █    ",
        "                   ",
        "▄                  ",
        " 7 -> 1     8 -> 3 ",
    ]


def test_no_more_digits_are_drawn_than_fit() -> None:
    flips = [Flip(0, "7", "7", "1")] * 20
    assert screen.digits(PAINTED, flips, most=3).splitlines()[-1].count("7 -> 1") == 3


def test_flipped_texts_are_shown_below_their_questions() -> None:
    flips = [Flip(1, "noon", "at noon", "at night"), Flip(0, "two", "two", "three")]
    assert screen.texts(["How many?", "When?"], flips).splitlines() == [
        *("When?", "- at noon", "+ at night"),
        *("How many?", "- two", "+ three"),
    ]
    assert screen.texts(["How many?", "When?"], flips, most=1).count("?") == 1


def test_the_language_server_answers_by_its_template() -> None:
    answerer = Answerer([passage for _, passage, _ in PASSAGES])

    def right(template: str) -> int:
        prompts = [TEMPLATES[template].format(system=SYSTEM, user=question) for question, _, _ in PASSAGES]
        given = zip(map(answerer.answer, prompts), PASSAGES, strict=True)
        return sum(answer == passage and label in answer for answer, (_, passage, label) in given)

    assert right("chat") == len(PASSAGES)
    assert right("instruct") < len(PASSAGES) / 4


def test_without_flips_there_is_nothing_to_draw() -> None:
    assert screen.digits(PAINTED, []) == ""


def test_a_line_tells_a_replay() -> None:
    told = judgement(
        started_at=1_800_000_000.0,
        difference=difference(moved=3),
        quantiles=(Quantile(0.5, 0.0012), Quantile(0.9, 0.034)),
        verdicts=(verdict("worse", State.SUSPECT, evidence=3.0), verdict("changed", evidence=None, threshold=None)),
    )
    assert screen.line(told) == "08:00:00 0.950 597/600 1.2 ms 34 ms  worse:suspect(3.0/5.6) changed:steady"


def test_a_replay_without_answers_has_dashes() -> None:
    lost = judgement(scores=(), quantiles=(), verdicts=(verdict(state=State.UNKNOWN, evidence=None),))
    assert screen.line(lost) == "08:00:00 - - - -  worse:unknown"


def test_the_screen_shows_the_last_replays_and_the_evidence() -> None:
    many = [judgement(started_at=1_800_000_000.0 + 60 * i) for i in range(10)]
    shown = drawn(many)
    assert "the title" in shown
    assert "08:01:00" not in shown
    assert all(f"08:0{minute}:00" in shown for minute in range(2, 10))
    assert "evidence 0.5 of 5.6" in shown
    assert "alert" not in shown
    assert shown.splitlines()[-1].startswith("the footer")


def test_the_evidence_bar_is_full_at_the_threshold_and_never_longer() -> None:
    at, beyond = (drawn([judgement(verdicts=(verdict(evidence=e),))]) for e in (5.6, 560.0))
    assert at.count("█") == beyond.count("█") == 30
    assert "░" not in at


def test_an_alert_is_shown_with_its_pictures() -> None:
    alert = Alert(4, "digits", "served", Severity.PAGE, ("worse",), 1_800_000_000.0, "[page] served is worse [bold]")
    shown = drawn([judgement()], alert, "▀▄█")
    assert "alert 4" in shown
    assert "[page] served is worse [bold]" in shown  # brackets are text, not markup
    assert "▀▄█" in shown


@pytest.mark.real
@pytest.mark.parametrize("option", [[], ["--language-model"]], ids=["digits", "language model"])
def test_the_demo_ends_with_one_alert_after_the_damage(option: list[str]) -> None:
    command = [sys.executable, "-c", "from goldwatch.cli import main; main()", "demo", "--seconds", "60", *option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    damage = next(i for i, line in enumerate(lines) if line.startswith("the server now "))
    replays = [(i, "alerting" in line) for i, line in enumerate(lines) if line[2:3] == ":" and "worse:" in line]
    alerting = [i for i, alert in replays if alert]
    assert alerting[0] > damage
    assert alerting == [i for i, _ in replays if i >= alerting[0]]
    assert len([i for i, _ in replays if damage < i < alerting[0]]) <= 1  # one may be under way at the damage
    assert len({line for line in lines if "─ alert" in line or "alert 1" in line}) == 1
    assert "alert 2" not in done.stdout
    (sound,) = re.findall(r"Shown: (\d+) replays of a sound model without an alert, then ", done.stdout)
    before = len([i for i, _ in replays if i < damage])
    assert 5 <= int(sound) <= before <= int(sound) + 1
    assert lines[-1] == "goldwatch check goldwatch.yaml"
