"""Reads answers of OpenAI's Responses API, whole or as a stream of server-sent events.

A stream ends with an event that has the whole answer, which is what is judged; the events before it give the times.
Servers and gateways may send that event without text, or with a part of it: then the answer is bad.
https://developers.openai.com/api/reference/resources/responses
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from goldwatch.probe import BadAnswer
from goldwatch_probes._answers import parse_object
from goldwatch_probes._http import Answer
from goldwatch_probes._openai_answers import Completion, as_json, check_error, paired, parsed
from goldwatch_probes._sse import BOM, events
from goldwatch_probes._token_times import TokenTimes, token_times

_DONE = "[DONE]"
_LAST = ("response.completed", "response.incomplete", "response.failed")
_TEXT = "response.output_text.delta"
_FINISH = {"completed": "stop", "max_output_tokens": "length"}
"""The words of the chat API for the same reasons."""


def response(answer: Answer) -> Completion:
    """Read an answer. Raises BadAnswer."""
    if answer.body.removeprefix(BOM).lstrip()[:1] == b"{":
        whole = parse_object(answer.body)
        check_error(whole, "")
        return _completion(whole, TokenTimes.unknown("whole"))
    carrying: list[tuple[int, int]] = []
    kinds: set[str] = set()
    said: list[str] = []
    for event in events(answer.body):
        if not event.data.strip() and event.kind != "error":
            continue  # a heartbeat
        if event.data.strip() == _DONE or (part := parsed(event)) is None:
            continue
        kind = str(part.get("type") or event.kind)
        if kind in _LAST:
            last = part.get("response")
            if not isinstance(last, dict):
                raise BadAnswer(f"the event {kind} has no `response`")
            found = _completion(last, token_times(answer.arrivals, carrying, _streamed(last, kinds), several=False))
            _check_whole(kind, last["output"], said)
            return found
        if kind.endswith(".delta"):
            if delta := part.get("delta"):
                kinds.add(kind)
                carrying.append((event.end, event.upto))
                said += [delta] if kind == _TEXT and isinstance(delta, str) else []
        elif not kind.startswith("response."):
            check_error(part, event.kind)
    raise BadAnswer(f"the stream ended before the model finished: no event {', '.join(_LAST[:2])}")


def _completion(whole: Mapping[str, Any], times: TokenTimes) -> Completion:
    """Return what a whole `response` says. Raises BadAnswer."""
    status, output = whole.get("status"), whole.get("output")
    if status not in ("completed", "incomplete"):
        raise BadAnswer(f"the server reports: {json.dumps(whole.get('error') or f'status {status}')[:200]}")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise BadAnswer("the answer has no `output` that is a list of objects")
    details = whole.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) and status == "incomplete" else status
    text = "".join(_texts(output, "output_text", "text")) or "".join(_texts(output, "refusal", "refusal"))
    finish = _FINISH.get(str(reason), str(reason or status))
    return Completion(paired(text or _calls(output)), finish, _usage(whole), times)


def _check_whole(kind: str, output: list[dict[str, Any]], said: list[str]) -> None:
    """Compare the text of the last event with the texts that were streamed. Raises BadAnswer if it is cut."""
    whole = paired("".join(_texts(output, "output_text", "text")))
    if len(whole.strip()) < len(paired("".join(said)).strip()):
        raise BadAnswer(f"the event {kind} lacks text that was streamed before it; set `stream: false`")


def _texts(output: list[dict[str, Any]], kind: str, name: str) -> Iterator[str]:
    """Yield the parts of all messages that are of one kind. Raises BadAnswer."""
    for item in output:
        parts = item.get("content") if item.get("type") == "message" else []
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise BadAnswer("a message of the answer has `content` that is no list of objects")
        yield from (str(part.get(name) or "") for part in parts if part.get("type") == kind)


def _calls(output: list[dict[str, Any]]) -> str:
    """Return the calls of tools as JSON, as those of the chat API are; empty if there are none."""
    arguments = {"function_call": "arguments", "custom_tool_call": "input"}
    calls = [
        {"name": str(item.get("name") or ""), "arguments": as_json(str(item.get(member) or ""))}
        for item in output
        if (member := arguments.get(str(item.get("type"))))
    ]
    return json.dumps(calls, ensure_ascii=False) if calls else ""


def _usage(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage under the names of the chat API."""
    usage = whole.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return {"prompt_tokens": usage.get("input_tokens"), "completion_tokens": usage.get("output_tokens")}


def _streamed(whole: Mapping[str, Any], kinds: set[str]) -> int | None:
    """Return how many tokens the events should hold: without those of a reasoning that was not streamed as it is."""
    usage = whole.get("usage")
    count = usage.get("output_tokens") if isinstance(usage, dict) else None
    if not isinstance(usage, dict) or type(count) is not int:
        return None
    details = usage.get("output_tokens_details")
    hidden = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    if type(hidden) is not int or "response.reasoning_text.delta" in kinds:
        return count
    return None if any("summary" in kind for kind in kinds) else count - hidden
