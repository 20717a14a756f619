"""Judges in the config: which target and prompt a score has, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from goldwatch.config import Config, ConfigError, load
from goldwatch.core.monitors.worse import scores_of
from goldwatch.core.score_spec import specs_of

Load = Callable[[str], Config]

START = """\
targets:
  fraud: {{probe: open-inference, url: 'http://localhost:8000', model: fraud}}
  referee:
    {{probe: openai, url: 'http://localhost:8001/v1', model: big, token: '${{TOKEN}}', at_most: 5 per second}}
  nameless: {{probe: openai, url: 'http://localhost:8001/v1'}}
  vectors: {{probe: openai, url: 'http://localhost:8001/v1', model: e, api: embeddings}}
golden: {{fraud: ./golden}}
scores: {{grounded: {score}}}
watches: {{fraud: {{target: fraud, every: 5m, scores: [grounded]}}}}
"""


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load a config in the folder of the test, with the probes that are installed."""

    def loaded(text: str) -> Config:
        (tmp_path / "goldwatch.yaml").write_text(text)
        return load(tmp_path / "goldwatch.yaml", {"TOKEN": "sesame-open"})

    return loaded


def test_a_score_has_a_judge(load_text: Load, tmp_path: Path) -> None:
    written = "{judge: {target: referee, prompt: groundedness, at_least: 4, deadline: 1m}, takes: {context: input}}"
    config = load_text(START.format(score=written))
    [spec] = specs_of(scores_of(config.watches["fraud"])["scores"])
    assert (spec.uses, spec.scale, spec.takes) == ("judge", (0, 1), {"context": "input"})
    judge = spec.judge
    assert judge is not None
    assert (judge.target, judge.prompt, judge.at_least, judge.deadline_s) == ("referee", "groundedness", 4, 60)
    assert judge.scale == (1, 5)
    assert judge.factory == "goldwatch_probes.openai_api:OpenAI"
    assert dict(judge.identity) == {"model": "big"}
    assert judge.options["token"] == "sesame-open"
    assert (judge.most_per_s, judge.tokens_per_s) == (5, None)
    assert Path(judge.store) == tmp_path / "goldwatch.judgings.db"
    assert "sesame" not in config.model_dump_json()


def test_controls_are_besides_the_calls(load_text: Load) -> None:
    written = "{judge: {target: referee, prompt: fluency, calls: 20, controls: 40}}"
    [spec] = specs_of(scores_of(load_text(START.format(score=written)).watches["fraud"])["scores"])
    assert spec.judge is not None
    assert (spec.judge.calls, spec.judge.controls) == (20, 40)


def test_an_objective_is_on_the_scale_of_the_score(load_text: Load) -> None:
    graded = START.format(score="{judge: {target: referee, prompt: fluency}}")
    passing = START.format(score="{judge: {target: referee, prompt: fluency, at_least: 4}}")

    def owing(text: str, objective: str) -> Config:
        return load_text(text.replace("scores: [grounded]", f"scores: [grounded], objectives: {{scores: {objective}}}"))

    [spec] = specs_of(scores_of(owing(graded, "{grounded: at least 4}").watches["fraud"])["scores"])
    assert (spec.scale, spec.limit) == ((1, 5), 4)
    [spec] = specs_of(scores_of(owing(passing, "{grounded: no worse than 2 points}").watches["fraud"])["scores"])
    assert (spec.scale, spec.loss) == ((0, 1), 0.02)
    with pytest.raises(ConfigError, match="is a share of the scale, which is from 1 to 5"):
        owing(graded, "{grounded: at least 90%}")
    with pytest.raises(ConfigError, match="is not within the scale"):
        owing(passing, "{grounded: at least 4}")


def test_a_prompt_is_read_with_the_config(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Is this polite? {{response}}")
    written = "{judge: {target: referee, prompt: mine.txt}, scale: [0, 10]}"
    [spec] = specs_of(scores_of(load_text(START.format(score=written)).watches["fraud"])["scores"])
    assert spec.scale == (0, 10)
    assert spec.judge is not None
    assert spec.judge.messages == (("user", "Is this polite? {{response}}"),)


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ("{judge: {target: refere, prompt: fluency}}", 'no target is named "refere" (did you mean "referee"?)'),
        ("{judge: {target: fraud, prompt: fluency}}", "has the probe open-inference; a judge is asked by the probe"),
        ("{judge: {target: nameless, prompt: fluency}}", "has no `model`; write it, since it is part of what"),
        ("{judge: {target: vectors, prompt: fluency}}", "is for embeddings; a judge is asked by `api: chat`"),
        ("{judge: {target: referee, prompt: fluent}}", "no prompt fluent is shipped; there are coherence, fluency"),
        ("{judge: {target: referee, prompt: ./no.txt}}", "no.txt cannot be read: No such file"),
        ("{judge: {target: referee, prompt: fluency, at_least: 6}}", "6 is not on the scale above its least grade"),
        ("{judge: {target: referee, prompt: fluency}, takes: {text: output}}", "has no placeholder {{text}}"),
        ("{judge: {target: referee, prompt: fluency}, uses: exact}", "write one of `uses` and `judge`"),
        ("{judge: {target: referee, prompt: fluency}, over: replay}", "a judge grades one example; leave `over` out"),
        ("{judge: {target: referee, prompt: fluency}, gives: x}", "`gives` is of a function; a judge has none"),
        ("{judge: {target: referee, prompt: fluency, at_least: 4}, better: lower}", "leave `better: lower` out"),
        ("{judge: {target: referee}}", 'missing key "prompt"'),
        ("{}", "write one of `uses` and `judge`"),
    ],
)
def test_a_judge_that_cannot_grade_is_refused(load_text: Load, score: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_text(START.format(score=score))
    assert said in str(error.value)
