"""What an answer of OpenAI's API says, whole or as a stream of server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from goldwatch.probe import BadAnswer
from goldwatch_probes._answers import parse_object
from goldwatch_probes._http import Answer

_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Completion:
    """The text of an answer, why the model stopped (as it calls it), what was counted, and when the first text came."""

    text: str
    finish: str
    usage: object
    first_s: float | None = None


def completion(answer: Answer) -> Completion:
    """Read an answer to chat or completions. Raises BadAnswer."""
    if answer.body.lstrip()[:1] == b"{":  # a server that does not stream answers whole
        whole = parse_object(answer.body)
        text, finish = _choice(whole)
        return Completion(text, finish, whole.get("usage"))
    return _streamed(answer)


def _streamed(answer: Answer) -> Completion:
    parts: list[str] = []
    finish, usage, first, done = "", None, None, False
    for end, event in _events(answer.body):
        if event == _DONE:
            done = True
            break
        part = _parsed(event)
        _check_error(part)
        usage = part.get("usage") or usage
        if part.get("choices"):
            text, stopped = _choice(part)
            finish = stopped or finish
            first = end if text and first is None else first
            parts.append(text)
    if not (done or finish):
        raise BadAnswer("the stream ended before the model said that it was done")
    return Completion("".join(parts), finish, usage, _arrival(answer, first))


def _events(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the data of each event, with how many bytes of the body it takes to have it.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    position = 0
    for line in body.splitlines(keepends=True):
        position += len(line)
        if line.startswith(b"data:"):
            yield position, line[5:].strip()
        elif line.strip() and not line.startswith((b":", b"event:", b"id:", b"retry:")):
            raise BadAnswer(f"the stream has a line that is no event: {line[:60]!r}")


def _parsed(event: bytes) -> dict[str, Any]:
    try:
        found = json.loads(event)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"an event of the stream is not JSON: {str(error)[:100]}") from error
    if not isinstance(found, dict):
        raise BadAnswer(f"an event of the stream is a {type(found).__name__} and not an object")
    return found


def _choice(part: dict[str, Any]) -> tuple[str, str]:
    """Return the text, and why the model stopped, of the first choice of an answer or of a part of one."""
    _check_error(part)
    choices = part.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise BadAnswer("the answer has no choices[0]")
    said = choice.get("delta") or choice.get("message")
    text = said.get("content") if isinstance(said, dict) else choice.get("text")
    if text is not None and not isinstance(text, str):
        raise BadAnswer(f"the text of the answer is a {type(text).__name__}")
    finish = choice.get("finish_reason")
    return text or "", finish if isinstance(finish, str) else ""


def _check_error(part: dict[str, Any]) -> None:
    if part.get("error"):
        raise BadAnswer(f"the server says: {json.dumps(part['error'])[:200]}")


def _arrival(answer: Answer, end: int | None) -> float | None:
    """Return when the first `end` bytes of the body had come, in seconds since it was asked for."""
    if end is None:
        return None
    return next((at_s for at_s, upto in answer.arrivals if upto >= end), None)
