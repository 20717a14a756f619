"""Reads answers of OpenAI's API, whole or as a stream of server-sent events.

The stream may be that of OpenAI, Azure, vLLM, SGLang, TGI, llama.cpp or Ollama: they differ in how they report errors,
where reasoning is, and which chunks have no choices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from goldwatch.probe import BadAnswer
from goldwatch_probes._answers import parse_object
from goldwatch_probes._http import Answer
from goldwatch_probes._sse import BOM, Event, events
from goldwatch_probes._token_times import TokenTimes, token_times

_DONE = "[DONE]"
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Where servers put the text that a model thinks: vLLM and SGLang, newer vLLM and Ollama, others."""

_FAILED = ("error", "abort")
"""Reasons to finish that mean that the server gave up."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The text of an answer, why the model stopped (in the server's words), the usage, and the times of its tokens."""

    text: str
    finish: str
    usage: object
    times: TokenTimes


@dataclass(slots=True)
class _Joined:
    """Choice 0 of an answer, put together from its parts."""

    parts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    finish: str = ""
    usage: object = None
    several: bool = False
    calls: dict[int, tuple[str, str]] = field(default_factory=dict)
    reasons: bool = False
    has_deltas: bool = False

    def take(self, part: Mapping[str, Any]) -> bool:
        """Add a part. Returns whether it carried tokens. Raises BadAnswer."""
        self.usage = part.get("usage") or self.usage
        choices = part.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise BadAnswer("the answer has `choices` that are no list of objects")
        carried = False
        for choice in choices:
            if choice.get("index") in (0, None):
                carried |= self._take_choice(choice)
            else:
                self.several = True
        return carried

    def _take_choice(self, choice: Mapping[str, Any]) -> bool:
        finish = choice.get("finish_reason")
        self.finish = finish if isinstance(finish, str) and finish else self.finish
        if choice.get("error") or finish in _FAILED:
            raise BadAnswer(f"the server reports: {json.dumps(choice.get('error') or f'finish reason {finish}')[:200]}")
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            text, reasoning = _texts(delta.get("content"))
            self.has_deltas = self.has_deltas or bool(text)
            self.parts.append(text)
            carried = self._take_rest(delta, reasoning)
            carried = carried or bool(text)
        else:
            carried = False
        if isinstance(message, dict):
            text, reasoning = _texts(message.get("content"))
            carried = self._take_message(text) or carried
            if not self.has_deltas:
                carried = self._take_rest(message, reasoning) or carried
        if "text" in choice:
            text, _ = _texts(choice["text"])
            self.parts.append(text)
            carried = carried or bool(text)
        return carried

    def _take_message(self, text: str) -> bool:
        """Take a `message`: the whole text after deltas, or where it begins with all that came before it."""
        before = "".join(self.parts)
        if text and before and (self.has_deltas or text.startswith(before)):
            self.parts = [text]
            return text != before and not self.has_deltas
        self.parts.append(text)
        return bool(text)

    def _take_rest(self, part: Mapping[str, Any], reasoning: bool) -> bool:
        """Take reasoning, a refusal and calls of tools. Returns whether there were any. Raises BadAnswer."""
        refusal, _ = _texts(part.get("refusal"))
        self.refusals.append(refusal)
        calls = self._take_calls(part)
        reasoning = reasoning or any(part.get(name) for name in _REASONING)
        self.reasons = self.reasons or reasoning
        return bool(refusal) or calls or reasoning

    def _take_calls(self, part: Mapping[str, Any]) -> bool:
        """Add calls of tools, or pieces of them. Returns whether there were any. Raises BadAnswer."""
        listed = part.get("tool_calls") or ([{"function": part["function_call"]}] if part.get("function_call") else [])
        if not isinstance(listed, list) or not all(isinstance(call, dict) for call in listed):
            raise BadAnswer("the answer has `tool_calls` that are no list of objects")
        for place, call in enumerate(listed):
            index, function = call.get("index", place), call.get("function")
            function = function if isinstance(function, dict) else {}
            name, arguments = self.calls.get(index if type(index) is int else place, ("", ""))
            more = function.get("arguments") or ""
            more = more if isinstance(more, str) else json.dumps(more)
            self.calls[index if type(index) is int else place] = (
                name + str(function.get("name") or ""),
                arguments + more,
            )
        return bool(listed)

    def text(self) -> str:
        """Return the text, or what stands for it: the refusal, or the calls of tools as JSON."""
        return paired("".join(self.parts) or "".join(self.refusals) or self._called())

    def _called(self) -> str:
        """Return the calls as a list of `name` and `arguments`, which are JSON themselves if the model wrote JSON."""
        calls = [{"name": name, "arguments": as_json(arguments)} for name, arguments in self.calls.values()]
        return json.dumps(calls, ensure_ascii=False) if calls else ""


def completion(answer: Answer) -> Completion:
    """Read an answer to chat or completions. Raises BadAnswer."""
    joined = _Joined()
    if answer.body.removeprefix(BOM).lstrip()[:1] == b"{":  # a server that does not stream answers whole
        whole = parse_object(answer.body)
        check_error(whole, "")
        joined.take(whole)
        choices = whole.get("choices")
        if not choices or not {"message", "delta", "text"} & choices[0].keys():
            raise BadAnswer("the answer has no choices[0] with a message or a text")
        return Completion(joined.text(), joined.finish, joined.usage, TokenTimes.unknown("whole"))
    carrying = _read_stream(answer.body, joined)
    times = token_times(answer.arrivals, carrying, _streamed_tokens(joined), several=joined.several)
    return Completion(joined.text(), joined.finish, joined.usage, times)


def _read_stream(body: bytes, joined: _Joined) -> list[tuple[int, int]]:
    """Add all events. Returns where those that carried tokens end, as `token_times` takes it. Raises BadAnswer."""
    carrying: list[tuple[int, int]] = []
    done, event = False, None
    for event in events(body):
        if not event.data.strip() and event.kind != "error":
            continue  # a heartbeat
        if event.data.strip() == _DONE:
            done = True
            break
        if (part := parsed(event)) is not None:
            check_error(part, event.kind)
            if joined.take(part):
                carrying.append((event.end, event.upto))
    if not (done or joined.finish):
        begin = "" if event else f"; it has no event, and begins with {body[:60]!r}"
        raise BadAnswer(f"the stream ended before the model finished: no finish reason and no {_DONE}{begin}")
    return carrying


def parsed(event: Event) -> dict[str, Any] | None:
    """Return the object of an event; None for a last event that was cut off. Raises BadAnswer."""
    try:
        value = json.loads(event.data)
    except (ValueError, RecursionError) as error:
        if event.kind == "error":
            return {"message": event.data}
        if not event.whole:
            return None
        raise BadAnswer(f"an event of the stream is not JSON: {str(error)[:100]}") from error
    if isinstance(value, dict):
        return value
    if event.kind == "error":
        return {"message": value}
    raise BadAnswer(f"an event of the stream is a {type(value).__name__} and not an object")


def check_error(part: Mapping[str, Any], kind: str) -> None:
    """Raise BadAnswer for an object that reports an error, in any of the forms that servers use."""
    is_error = part.get("error") or kind == "error" or "error" in (part.get("object"), part.get("type"))
    if not is_error and "choices" not in part and "usage" not in part:
        is_error = part.get("detail") or part.get("message")
    if is_error:
        raise BadAnswer(f"the server reports: {json.dumps(part.get('error') or part)[:200]}")


def _texts(content: object) -> tuple[str, bool]:
    """Return the text of a `content`, a text or a list of parts, and whether a part is reasoning. Raises BadAnswer."""
    if content is None or isinstance(content, str):
        return content or "", False
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadAnswer(f"the text of the answer is a {type(content).__name__}")
    texts = [part.get("text") for part in content if part.get("type", "text") in ("text", "output_text")]
    reasoning = any(part.get("type") in ("thinking", "reasoning") for part in content)
    return "".join(text for text in texts if isinstance(text, str)), reasoning


def as_json(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return text


def paired(text: str) -> str:
    """Join surrogate pairs that a stream split in two; a half without its other half becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _streamed_tokens(joined: _Joined) -> int | None:
    """Return how many tokens the events should hold: without those of a reasoning that was not streamed."""
    usage = joined.usage
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if not isinstance(usage, dict) or type(count) is not int:
        return None
    details = usage.get("completion_tokens_details")
    hidden = details.get("reasoning_tokens") if isinstance(details, dict) and not joined.reasons else 0
    return count - hidden if type(hidden) is int else count
