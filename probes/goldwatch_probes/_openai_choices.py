"""Multiple choice by log-likelihood over the completions API, as lm-eval's `local-completions` does it.

One request has the prompt alone and the prompt with each choice; the server echoes their tokens with log-probabilities.
The tokens of a choice are those after as many as the prompt alone has, if these are the same for all choices. https://github.com/EleutherAI/lm-evaluation-harness
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from goldwatch.probe import BadAnswer, CannotLoad, Tensors
from goldwatch_probes._answers import is_finite, parse_object
from goldwatch_probes._http import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMPT, CHOICES = "prompt", "choices"
NO_ECHO = (
    "the server does not echo the tokens of the prompt with their log-probabilities, which multiple choice needs: vLLM "
    "and SGLang do, llama.cpp and chat APIs do not"
)
SPANS = "a token spans the end of the prompt and a choice; begin choices with a blank, or change the prompt"

Question = tuple[str, tuple[str | None, ...]]
"""A prompt, and its choices in the order of the classes; None where a question has fewer than others."""


class Choices:
    """The form of a question with choices."""

    path = "completions"
    output = "log_likelihoods"
    defaults: Mapping[str, Any] = MappingProxyType({"max_tokens": 1, "temperature": 0})
    """One token is generated, since servers refuse fewer, and ignored."""

    def examples(self, inputs: Tensors) -> list[Question]:
        """Return the question of each example. Raises CannotLoad for inputs that are none."""
        if inputs.keys() != {PROMPT, CHOICES} or any(array.ndim != 1 for array in inputs.values()):
            found = ", ".join(sorted(inputs))
            raise CannotLoad(
                f"`api: choices` takes `{PROMPT}`, a text, and `{CHOICES}` of dtype json; the set has {found}"
            )
        pairs = zip(inputs[PROMPT].tolist(), inputs[CHOICES].tolist(), strict=True)
        return [(_prompt(prompt), _choices(choices)) for prompt, choices in pairs]

    def members(self, example: Question) -> dict[str, Any]:
        """Return what a request asks for."""
        return {"prompt": _texts(example), "echo": True, "logprobs": 1, "stream": False}

    def value(self, example: Question, answer: Answer) -> list[float]:
        """Return the log-likelihood of each choice, in nats; -inf where the question has none. Raises BadAnswer."""
        context, *rest = _echoed(parse_object(answer.body), _texts(example))
        each = iter(rest)
        found = [-math.inf if choice is None else _of_choice(choice, len(context), next(each)) for choice in example[1]]
        if len({tuple(token for token, _ in text[: len(context)]) for text in rest}) > 1:
            raise BadAnswer(SPANS)
        return found


def _texts(question: Question) -> list[str]:
    """Return the prompt alone, and with each choice. Tokens begin with blanks, so those at its end are the choices'."""
    prompt, choices = question
    return [prompt.rstrip(), *(prompt + choice for choice in choices if choice is not None)]


def _prompt(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    if not text.strip():
        raise CannotLoad(f"a `{PROMPT}` is empty; the first token of a text has no log-probability")
    return text


def _choices(value: object) -> tuple[str | None, ...]:
    try:
        found = json.loads(value) if isinstance(value, str | bytes) else None
    except ValueError:
        found = None
    good = isinstance(found, list) and all(each is None or (isinstance(each, str) and each) for each in found)
    if not (good and found and any(found)):
        raise CannotLoad(f'`{CHOICES}` is {str(value)[:60]}; expected a list of texts, such as [" yes", " no", null]')
    return tuple(found)


def _echoed(body: Mapping[str, Any], texts: Sequence[str]) -> list[list[tuple[str, Any]]]:
    """Return the tokens of each text, with their log-probabilities. Raises BadAnswer."""
    entries = body.get("choices")
    if not isinstance(entries, list) or len(entries) != len(texts) or not all(isinstance(e, dict) for e in entries):
        raise BadAnswer(f"the answer has not {len(texts)} `choices`, one for each text that was sent")
    by_index = {entry["index"]: entry for entry in entries if type(entry.get("index")) is int}
    if by_index.keys() != set(range(len(texts))):
        raise BadAnswer("the answer has `choices` without their `index`")
    found = []
    for index, text in enumerate(texts):
        entry = by_index[index]
        logprobs = entry.get("logprobs")
        values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
        if not str(entry.get("text", "")).startswith(text) or not isinstance(values, list):
            raise BadAnswer(NO_ECHO)
        tokens = logprobs.get("tokens")
        if not isinstance(tokens, list) or len(tokens) != len(values) or not all(isinstance(t, str) for t in tokens):
            raise BadAnswer("`logprobs` of the answer has no `tokens`, a text for each of `token_logprobs`")
        found.append(list(zip(tokens, values, strict=True)))
    generated = _generated(body.get("usage"), sum(map(len, found)), len(texts))
    return [pairs[:-1] if generated else pairs for pairs in found]


def _generated(usage: object, tokens: int, texts: int) -> bool:
    """Return whether the last token of each text was generated, and not sent. Raises BadAnswer if that is not known."""
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
    sent, generated = (count if type(count) is int else -1 for count in (*counts, None, None)[:2])
    if generated not in (0, texts) or sent < 1:
        raise BadAnswer(f"the `usage` of the answer is {json.dumps(usage)[:100]}; expected {texts} completion_tokens")
    if sent + generated != tokens:
        raise BadAnswer(f"{NO_ECHO}: it counted {sent + generated} tokens and sent {tokens}")
    return generated > 0


def _of_choice(choice: str, context: int, pairs: Sequence[tuple[str, Any]]) -> float:
    own = [value for _, value in pairs[context:]]
    if not own:
        raise BadAnswer(
            f"the choice {choice[:60]!r} has no token of its own; begin it with a blank, or change the prompt"
        )
    if not all(is_finite(value) and value <= 1e-6 for value in own):
        raise BadAnswer(f"the choice {choice[:60]!r} has a token without a log-probability")
    return math.fsum(own)
