"""Judges: what counts as a grade, what is asked, and what a judge that fails does to the scores."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from goldwatch.cli.app import app
from goldwatch.config.prompts import PLACEHOLDER, SHIPPED, BadPrompt, read_prompt, shipped_prompts
from goldwatch.core.score_spec import JudgeSpec, ScoreSpec, UnscoredReason, controls_problem
from goldwatch.redaction import remember
from goldwatch.worker.evaluators.controls import control_examples
from goldwatch.worker.evaluators.grades import Grades
from goldwatch.worker.evaluators.grading import Judge, NoGrade, read_grade
from goldwatch.worker.evaluators.opened import opened

from tests.judge_server import MODEL, JudgeServer, judge_server

OPENAI = "goldwatch_probes.openai_api:OpenAI"


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    with judge_server() as found:
        yield found


def spec(server: JudgeServer, **changes: Any) -> JudgeSpec:
    found = JudgeSpec(
        target="referee",
        prompt="p",
        factory=OPENAI,
        options={"url": server.url, "model": MODEL, "stream": False},
        identity={"model": MODEL},
        messages=(("system", "Be strict."), ("user", "Q: {{query}} A: {{ response }}")),
        scale=(1.0, 5.0),
    )
    return replace(found, **changes)


def judge(found: JudgeSpec) -> Judge:
    return Judge(ScoreSpec("grounded", "judge", scale=(1.0, 5.0)), found)


def examples(n: int) -> list[dict[str, str]]:
    return [{"query": f"q{i}", "response": f"a{i}"} for i in range(n)]


def grades(found: Judge, given: list[dict[str, str]], *, anew: bool = False) -> tuple[list[Any], Any]:
    sitting = found.sitting()
    try:
        return list(sitting.grades(given, anew=anew)), sitting.used("grounded")
    finally:
        sitting.close()


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("4", 4),
        (" **4** ", 4),
        ("4/5", 4),
        ("4.5.", 4.5),
        ("4 out of 5", 4),
        ("Score: 4 out of 5, since one claim of 7 is wrong", 4),
        ("Score: 4, 5 of 6 claims have support", 4),
        ("Score: 4\n- 5 claims have support", 4),
        ("Score: 4\nof 7 claims 6 have support", 4),
        ("Score: 4", 4),
        ("The answer is good.\n\n**Score:** 4", 4),
        ("score is 3 / 5 because one claim of 7 is wrong", 3),
        ("Score: 4\nScore: 4", 4),
        ("<S0>Let's think, 3 of 5</S0><S1>fine</S1><S2>4</S2>", 4),
        ('{"reason": "2 of 3 claims", "score": 2}', 2),
        ('```json\n{"Score": "2"}\n```', 2),
        ("<think>Score: 1? No, Score: 2</think>Score: 5", 5),
    ],
)
def test_a_plain_grade_is_read(text: str, grade: float) -> None:
    assert read_grade(text, (1, 5)) == grade


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", UnscoredReason.NO_NUMBER),
        ("I cannot judge this.", UnscoredReason.NO_NUMBER),
        ("Two of 5 claims have support.", UnscoredReason.NO_NUMBER),
        ("Score: 2 or rather Score: 4", UnscoredReason.NO_NUMBER),
        ("4/10", UnscoredReason.NO_NUMBER),
        ("Score: 80%", UnscoredReason.NO_NUMBER),
        ("Score: 4 %", UnscoredReason.NO_NUMBER),
        ("Score: 4 percent", UnscoredReason.NO_NUMBER),
        ("Score: 4 out of 10", UnscoredReason.NO_NUMBER),
        ("Score: 4 of 10", UnscoredReason.NO_NUMBER),
        ("Score: 4 out of ten", UnscoredReason.NO_NUMBER),
        ("Score: 4-5", UnscoredReason.NO_NUMBER),
        ("Score: 4.5 \u2013 5", UnscoredReason.NO_NUMBER),
        ("Score: 4 to 5", UnscoredReason.NO_NUMBER),
        ("Score: 4 or 5", UnscoredReason.NO_NUMBER),
        ("Score: 4,5", UnscoredReason.NO_NUMBER),
        (f'{{"score": 1{"0" * 310}}}', UnscoredReason.NO_NUMBER),
        (f'{{"score": {"[" * 100_000}{"]" * 100_000}}}', UnscoredReason.NO_NUMBER),
        ("<think>Score: 4", UnscoredReason.NO_NUMBER),
        ('{"score": true}', UnscoredReason.NO_NUMBER),
        ('{"score": null}', UnscoredReason.NO_NUMBER),
        ("Score: 9", UnscoredReason.OUT_OF_RANGE),
        ("0", UnscoredReason.OUT_OF_RANGE),
    ],
)
def test_what_is_no_plain_grade_is_none(text: str, reason: UnscoredReason) -> None:
    with pytest.raises(NoGrade) as error:
        read_grade(text, (1, 5))
    assert error.value.reason is reason


@given(st.text(max_size=80))
def test_no_text_of_a_judge_does_more_than_grade(text: str) -> None:
    with contextlib.suppress(NoGrade):
        assert 1 <= read_grade(text, (1, 5)) <= 5


def test_a_judge_is_asked_once_for_an_answer(server: JudgeServer, tmp_path: Path) -> None:
    server.says = lambda text: f"Score: {int(text.rpartition('a')[2]) % 5 + 1}"
    found = judge(spec(server, store=str(tmp_path / "grades.db")))
    first, used = grades(found, examples(10))
    assert first == [i % 5 + 1 for i in range(10)]
    assert (used.calls, used.reused, used.input_tokens, used.output_tokens) == (10, 0, 500, 30)
    again, used = grades(judge(spec(server, store=str(tmp_path / "grades.db"))), [*examples(11), *examples(1)])
    assert again[:10] == first
    assert (used.calls, used.reused, server.calls) == (1, 11, 11)
    other, _ = grades(judge(spec(server, store=str(tmp_path / "grades.db"), identity={"model": "x"})), examples(1))
    assert other == [1]
    assert server.calls == 12
    _, used = grades(found, examples(2), anew=True)
    assert (used.calls, used.reused, server.calls) == (2, 0, 14)


def test_grades_since_a_change_are_forgotten(server: JudgeServer, tmp_path: Path) -> None:
    store = str(tmp_path / "grades.db")
    found, other = judge(spec(server, store=store)), judge(spec(server, store=store, identity={"model": "x"}))
    grades(found, examples(3))
    changed_at = time.time()
    server.says = lambda _: "Score: 1"
    assert grades(found, examples(5))[0] == [5, 5, 5, 1, 1]
    grades(other, examples(1))
    found.forget(changed_at)
    server.says = lambda _: "Score: 4"
    assert grades(found, examples(5))[0] == [5, 5, 5, 4, 4]
    assert grades(other, examples(1))[0] == [1]
    unkept = judge(spec(server))
    grades(unkept, examples(1))
    unkept.forget(changed_at)
    server.says = lambda _: "Score: 3"
    assert grades(unkept, examples(1))[0] == [3]


def test_a_grade_on_another_scale_is_another(server: JudgeServer, tmp_path: Path) -> None:
    store = str(tmp_path / "grades.db")
    grades(judge(spec(server, store=store)), examples(1))
    server.says = lambda _: "Score: 9"
    assert grades(judge(spec(server, store=store, scale=(0.0, 10.0))), examples(1))[0] == [9]


def test_a_judge_sees_the_example_as_it_is(server: JudgeServer) -> None:
    tricky = [{"query": "{{response}}", "response": "Score: 5 \\1 {{query}} \u00e9"}]
    grades(judge(spec(server, parameters={"temperature": 0.5})), tricky)
    (body,) = server.bodies
    assert body["messages"] == [
        {"role": "system", "content": "Be strict."},
        {"role": "user", "content": "Q: {{response}} A: Score: 5 \\1 {{query}} \u00e9"},
    ]
    assert (body["model"], body["temperature"]) == (MODEL, 0.5)


def test_what_cannot_be_read_is_unscored_and_asked_again(server: JudgeServer) -> None:
    server.says = lambda text: "no idea" if "a1" in text else "Score: 5"
    found = judge(spec(server))
    first, _ = grades(found, examples(3))
    assert isinstance(first[1], NoGrade)
    assert (first[0], first[2]) == (5, 5)
    server.says = lambda _: "Score: 2"
    assert grades(found, examples(3))[0] == [5, 2, 5]


def test_a_judge_that_fails_gives_no_grades(server: JudgeServer) -> None:
    server.status = 400
    found, used = grades(judge(spec(server, in_flight=1)), examples(30))
    assert {each.reason for each in found} == {UnscoredReason.NOT_JUDGED}
    assert (used.calls, used.failed) == (10, 10)  # after ten in a row it is left alone
    found, used = grades(judge(spec(server, options={"url": "http://127.0.0.1:9/v1", "model": MODEL})), examples(2))
    assert {each.reason for each in found} == {UnscoredReason.NOT_JUDGED}
    assert "the judge referee cannot be used" in str(found[0])
    assert used.calls == 0


def test_calls_and_time_are_bounded(server: JudgeServer) -> None:
    found, used = grades(judge(spec(server, calls=3)), examples(5))
    assert [isinstance(each, NoGrade) for each in found].count(True) == 2
    assert used.calls == server.calls == 3
    assert "3 calls of a replay were used" in str(next(each for each in found if isinstance(each, NoGrade)))
    late, used = grades(judge(spec(server, deadline_s=-1.0)), examples(2))
    assert (used.calls, "for judging had passed" in str(late[0])) == (0, True)


def test_a_turn_after_the_deadline_is_not_waited_for(server: JudgeServer) -> None:
    found, used = grades(judge(spec(server, most_per_s=1 / 600, deadline_s=120.0)), examples(5))
    assert used.calls == server.calls == 1
    late = [str(each) for each in found if isinstance(each, NoGrade)]
    assert late == ["the 120 s for judging had passed; see `deadline`"] * 4


def test_what_a_judge_says_has_no_secret(server: JudgeServer) -> None:
    remember(["fetched-token-77"])
    server.says = lambda _: "your token is fetched-token-77"
    found, _ = grades(judge(spec(server)), examples(1))
    assert "your token is ***" in str(found[0])
    named = spec(server, options={"url": "http://127.0.0.1:9/fetched-token-77", "model": MODEL})
    found, _ = grades(judge(named), examples(1))
    assert "the judge referee cannot be used" in str(found[0])
    assert "fetched-token-77" not in str(found[0])


def test_an_example_makes_two_controls(server: JudgeServer) -> None:
    def problem(controls: int) -> str:
        return controls_problem([ScoreSpec("grounded", "judge", judge=spec(server, controls=controls))], 10)

    assert problem(20) == ""
    assert len(set(control_examples(20, 10))) == 20
    assert problem(21) == (
        "scores.grounded.judge.controls: found 21; expected 20 or fewer, two for each of the 10 "
        "examples of the golden set"
    )


def test_the_fingerprint_is_that_of_model_prompt_and_settings(server: JudgeServer) -> None:
    plain = spec(server)
    same = replace(plain, options={**plain.options, "token": "another"}, calls=5, store="elsewhere", in_flight=1)
    assert judge(plain).fingerprint == judge(same).fingerprint
    assert f"judge {MODEL} p " in judge(plain).fingerprint
    others = [
        replace(plain, identity={"model": "referee-2"}),
        replace(plain, messages=(("user", "{{response}}"),)),
        replace(plain, parameters={"temperature": 1}),
        replace(plain, at_least=4.0),
    ]
    assert len({judge(each).fingerprint for each in (plain, *others)}) == 5
    assert "another" not in repr(same)


def test_a_grade_is_the_score_or_a_pass(server: JudgeServer) -> None:
    evaluator = opened(ScoreSpec("grounded", "judge", scale=(1.0, 5.0), judge=spec(server)))
    assert evaluator.takes == {"query": "input", "response": "output"}
    assert evaluator.judge is not None
    assert evaluator.judge.score(4) == 4
    passes = judge(spec(server, at_least=4.0))
    assert [passes.score(grade) for grade in (3, 4, 5)] == [0, 1, 1]


def test_the_oldest_grades_make_room(tmp_path: Path) -> None:
    kept = Grades(str(tmp_path / "grades.db"), most=5)
    for i in range(8):
        kept.keep({bytes([i]): float(i)})
    assert sorted(kept.read([bytes([i]) for i in range(8)]).values()) == [3, 4, 5, 6, 7]
    assert (tmp_path / "grades.db").stat().st_mode & 0o077 == 0
    nowhere = Grades(str(tmp_path / "missing/grades.db"), most=5)
    nowhere.keep({b"a": 1.0})
    assert nowhere.read([b"a", b"b"]) == {b"a": 1.0}
    (tmp_path / "broken.db").write_text("no database" * 100)
    broken = Grades(str(tmp_path / "broken.db"))
    broken.keep({b"a": 1.0})
    assert broken.read([b"a"]) == {b"a": 1.0}


@pytest.mark.parametrize("name", shipped_prompts())
def test_a_shipped_prompt_asks_for_a_grade(name: str) -> None:
    prompt = read_prompt(name, SHIPPED)
    assert prompt.scale == (1, 5)
    assert [role for role, _ in prompt.messages] == ["system", "user"]
    asked = {found for _, text in prompt.messages for found in PLACEHOLDER.findall(text)}
    assert "response" in asked <= {"query", "response", "context", "ground_truth"}
    for grade in range(1, 6):
        assert f"\n{grade}: " in prompt.messages[1][1]
    with pytest.raises(NoGrade):  # the form that the prompt shows is no grade itself
        read_grade("Score: <the grade>", (1, 5))


def test_a_shipped_prompt_is_printed_as_it_is_used(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["golden", "prompt", "safety"])
    (tmp_path / "mine.prompty").write_text(shown.stdout)
    assert read_prompt("mine.prompty", tmp_path).messages == read_prompt("safety", tmp_path).messages
    assert CliRunner().invoke(app, ["golden", "prompt"]).stdout.split() == list(shipped_prompts())
    refused = CliRunner().invoke(app, ["golden", "prompt", "safe"])
    assert refused.exit_code == 2
    assert "no prompt safe is shipped; there are coherence" in refused.stderr


AZURE = """\
---
name: Fluency
description: A prompty as other tools have them
model:
  api: chat
  parameters:
    temperature: 0.0
    max_tokens: 800
    response_format:
      type: text
inputs:
  response:
    type: string
---
system:
# Instruction
You grade text.
user:
RESPONSE: {{response}}
Please give your Score between the tags <S2>your Score</S2>.
"""


def test_a_prompty_of_another_tool_is_read(tmp_path: Path) -> None:
    (tmp_path / "fluency.prompty").write_text(AZURE)
    prompt = read_prompt("fluency.prompty", tmp_path)
    assert [role for role, _ in prompt.messages] == ["system", "user"]
    assert prompt.parameters == {"temperature": 0.0, "max_tokens": 800, "response_format": {"type": "text"}}
    assert prompt.scale is None
    (tmp_path / "plain.txt").write_text("Is this polite? {{response}}\n")
    assert read_prompt("plain.txt", tmp_path).messages == (("user", "Is this polite? {{response}}"),)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "Grade it.", "has no placeholder, such as {{response}}: every answer would get the same grade"),
        ("a.txt", "{% if x %}{{response}}", "the only template syntax of a prompt is a placeholder"),
        ("a.txt", "{{response|trim}}", "the only template syntax of a prompt is a placeholder"),
        ("a.prompty", "{{response}}", "does not begin with a front matter between lines of ---"),
        ("a.prompty", "---\nname: [\n---\n{{response}}", "is no YAML"),
        ("a.prompty", "---\nscale: [5, 1]\n---\n{{response}}", "write the least and the largest grade, as [1, 5]"),
        ("a.prompty", "---\nmodel: {api: completion}\n---\n{{response}}", "a judge is asked by chat"),
        ("a.prompty", "---\nmodel: {parameters: {n: 5}}\n---\n{{response}}", "sets n; of a request a prompt may set"),
    ],
)
def test_a_bad_prompt_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadPrompt) as error:
        read_prompt(name, tmp_path)
    assert said in str(error.value)


def test_a_request_is_json_of_any_text(server: JudgeServer) -> None:
    request = judge(spec(server)).request({"query": ["a", {"b": 1}], "response": "x\ny"})
    assert json.loads(request)["messages"][1]["content"] == 'Q: ["a", {"b": 1}] A: x\ny'
