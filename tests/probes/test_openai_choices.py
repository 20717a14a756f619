"""Multiple choice by log-likelihood, against a server that echoes the tokens of the prompt and against others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from goldwatch.evaluator import Unscored
from goldwatch.probe import BadAnswer, CannotLoad, Context, Tensors, Tokens
from goldwatch.testing.conformance import ProbeConformance
from goldwatch.worker.evaluators.ranked import acc_norm
from goldwatch_probes._http import Answer
from goldwatch_probes._openai_choices import Choices
from goldwatch_probes.openai_api import OpenAI

from tests.language_apis import LanguageApis, Trigrams, language_apis, tokens_of

CITIES = (" Paris", " Lima", " Tokyo or Kyoto")


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageApis]:
    with language_apis() as served:
        yield served


def probe_of(server: LanguageApis, **options: Any) -> OpenAI:
    given = {"url": f"{server.url}/v1", "api": "choices"} | options
    return OpenAI(OpenAI.Options(**given), Context(time_limit_s=5.0))


def asked(*examples: tuple[str, object]) -> Tensors:
    prompts, choices = np.empty(len(examples), object), np.empty(len(examples), object)
    prompts[:] = [prompt for prompt, _ in examples]
    choices[:] = [json.dumps(each) for _, each in examples]
    return {"prompt": prompts, "choices": choices}


def log_likelihood(text: str, of: str) -> float:
    """Return the sum over the last tokens, straight from the model."""
    tokens = tokens_of(text)
    return sum(Trigrams().log_probability(tokens, len(tokens) - 1 - i) for i in range(len(tokens_of(of)) - 1))


class TestChoices(ProbeConformance):
    @pytest.fixture(autouse=True)
    def _server(self, server: LanguageApis) -> None:
        self.server = server

    def make_probe(self) -> OpenAI:
        return probe_of(self.server)

    def make_missing(self) -> OpenAI:
        return probe_of(self.server, model="no-such-model")

    def inputs(self) -> Tensors:
        return asked(*((f"The capital of {land} is", CITIES) for land in ("France", "Peru")))

    def expected(self) -> Tensors:
        texts = [[f"The capital of {land} is{city}" for city in CITIES] for land in ("France", "Peru")]
        values = [[log_likelihood(t, c) for t, c in zip(each, CITIES, strict=True)] for each in texts]
        return {"log_likelihoods": np.array(values, np.float32)}


def test_a_choice_that_a_question_has_not_is_minus_infinity_and_tokens_are_counted(server: LanguageApis) -> None:
    probe = probe_of(server)
    probe.open()
    response = probe.predict(probe.encode(asked(("The capital of Peru is", [" Lima", None]))))
    found = probe.decode(response)["log_likelihoods"]
    assert found[0, 0] == np.float32(log_likelihood("The capital of Peru is Lima", " Lima"))
    assert found[0, 1] == -math.inf
    assert probe.tokens(response) == Tokens(input=6 + 7, output=2)
    probe.close()


def test_blanks_at_the_end_of_a_prompt_are_of_the_choice(server: LanguageApis) -> None:
    probe = probe_of(server)
    probe.open()
    both = [("The capital of Peru is ", ["Lima"]), ("The capital of Peru is", [" Lima"])]
    found = [probe.decode(probe.predict(probe.encode(asked(each))))["log_likelihoods"].item() for each in both]
    assert found[0] == found[1]
    probe.close()


def test_a_server_without_echo_is_told(server: LanguageApis) -> None:
    probe = probe_of(server)
    probe.open()
    server.echoes = False
    try:
        response = probe.predict(probe.encode(asked(("The capital of Peru is", [" Lima"]))))
    finally:
        server.echoes = True
        probe.close()
    with pytest.raises(BadAnswer, match=r"does not echo the tokens of the prompt .* llama\.cpp and chat APIs do not"):
        probe.decode(response)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"prompt": np.array(["a"], object)},
            "takes `prompt`, a text, and `choices` of dtype json; the set has prompt",
        ),
        (asked(("  ", [" a"])), "a `prompt` is empty"),
        (asked(("a", [])), "expected a list of texts"),
        (asked(("a", [" b", ""])), "expected a list of texts"),
        (asked(("a", [None])), "expected a list of texts"),
        (asked(("a", {"b": 1})), "expected a list of texts"),
    ],
)
def test_what_is_no_question_is_told(inputs: Tensors, message: str) -> None:
    with pytest.raises(CannotLoad, match=message):
        Choices().examples(inputs)


def answer_of(change: Callable[[dict[str, Any]], object]) -> Answer:
    """Return a right answer to a question of one choice, changed."""
    texts = [("a b", [None, -1.0, -9.0]), ("a b c", [None, -1.0, -2.0, -9.0])]
    choices = [
        {"index": i, "text": f"{t} x", "logprobs": {"tokens": [*t.split(), "x"], "token_logprobs": v}}
        for i, (t, v) in enumerate(texts)
    ]
    body = {"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    change(body)
    return Answer(200, {}, json.dumps(body).encode(), 0, 1)


def test_the_generated_token_is_no_part_of_a_choice_and_need_not_come() -> None:
    def without(body: dict[str, Any]) -> None:
        body["usage"]["completion_tokens"] = 0
        for entry in body["choices"]:
            entry["logprobs"]["token_logprobs"].pop()
            entry["logprobs"]["tokens"].pop()

    for change in (without, lambda body: None):
        assert Choices().value(("a b", (" c",)), answer_of(change)) == [-2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["choices"].pop(), "the answer has not 2 `choices`"),
        (lambda b: b["choices"][0].update(index=1), "`choices` without their `index`"),
        (lambda b: b["choices"][0].update(index=[]), "`choices` without their `index`"),
        (lambda b: b["choices"][0].update(text=" x"), "does not echo"),
        (lambda b: b["choices"][1]["logprobs"].pop("tokens"), "no `tokens`, a text for each of `token_logprobs`"),
        (lambda b: b["choices"][1]["logprobs"]["tokens"].pop(), "no `tokens`, a text for each of `token_logprobs`"),
        (lambda b: b["choices"][1].update(logprobs=None), "does not echo"),
        (lambda b: b.pop("usage"), "the `usage` of the answer is null; expected 2 completion_tokens"),
        (lambda b: b["usage"].update(completion_tokens=1), "expected 2 completion_tokens"),
        (lambda b: b["usage"].update(prompt_tokens=6), "does not echo .*: it counted 8 tokens and sent 7"),
        (lambda b: b["choices"][1]["logprobs"].update(token_logprobs=[None, -1, None, -9]), "without a log-prob"),
        (lambda b: b["choices"][1]["logprobs"].update(token_logprobs=[None, -1, 0.5, -9]), "without a log-prob"),
        (lambda b: b["choices"][1]["logprobs"].update(token_logprobs=[None, -1, -(10**400), -9]), "without a log"),
        (
            lambda b: (
                b["choices"][1]["logprobs"].update(token_logprobs=[None, -1, -9], tokens=["a", "b", "x"]),
                b["usage"].update(prompt_tokens=4),
            ),
            "the choice ' c' has no token of its own",
        ),
    ],
)
def test_an_answer_whose_numbers_may_be_wrong_is_bad(change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(BadAnswer, match=message):
        Choices().value(("a b", (" c",)), answer_of(change))


@pytest.mark.parametrize(("second", "values"), [("(A", [-2.0, -3.0]), ("(B", None)])
def test_choices_are_compared_only_by_tokens_of_their_own(second: str, values: list[float] | None) -> None:
    tokens = [["A:", "("], ["A:", "(A", ")"], ["A:", second, "]"]]
    texts = ["A:(", "A:(A)", f"A:{second}]"]
    choices = [
        {
            "index": i,
            "text": text,
            "logprobs": {"tokens": found, "token_logprobs": [None, -1.0, -2.0 - (i == 2)][: len(found)]},
        }
        for i, (text, found) in enumerate(zip(texts, tokens, strict=True))
    ]
    body = {"choices": choices, "usage": {"prompt_tokens": 8, "completion_tokens": 0}}
    answer = Answer(200, {}, json.dumps(body).encode(), 0, 1)
    question = ("A:(", ("A)", f"{second[1]}]"))
    if values:
        assert Choices().value(question, answer) == values
        return
    with pytest.raises(BadAnswer, match="a token spans the end of the prompt and a choice; begin choices with a blank"):
        Choices().value(question, answer)


def test_accuracy_by_length_divides_by_the_letters_of_a_choice() -> None:
    choices, classes = [" a long answer", " short", None], ["0", "1", "2"]
    values = [-7.0, -4.0, -math.inf]  # the second is likelier, the first by letter
    assert [acc_norm(label, values, classes, choices) for label in classes] == [True, False, False]
    with pytest.raises(Unscored, match="2 choices, and 3 log-likelihoods"):
        acc_norm("0", values, classes, choices[:2])
