"""The probe for language models behind Triton's generate extension: `generate` and `generate_stream`.

A decoupled model answers a request with many responses, which come as server-sent events; their texts are joined.
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_generate.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from goldwatch.probe import BadAnswer, CannotLoad, Tensors, Tokens, batch_size, option
from goldwatch_probes._answers import parse_object
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, Request
from goldwatch_probes._openai_answers import paired, parsed
from goldwatch_probes._sse import BOM, events
from goldwatch_probes._token_times import TokenTimes, token_times
from goldwatch_probes._v2_server import V2Options, V2Server

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REQUEST = "request"


@dataclass(slots=True)
class _Answers:
    """The answers to the examples of a batch, which are asked for one after the other."""

    answers: tuple[Answer, ...]
    output: str
    _read: tuple[tuple[str, TokenTimes], ...] | None = None

    def read(self) -> tuple[tuple[str, TokenTimes], ...]:
        """Parse the answers, once: a stream is many lines of JSON. Raises BadAnswer."""
        if self._read is None:
            self._read = tuple(generated(answer, self.output) for answer in self.answers)
        return self._read


class TritonGenerate(V2Server):
    """One model of a server, asked for one text an example."""

    @dataclass(frozen=True)
    class Options(V2Options):
        """Options besides `probe: triton-generate`. `url` is without /v2."""

        stream: bool = option("Ask generate_stream, so that the first text can be timed", default=True)
        more: dict[str, Any] = option("Further members of each request, such as max_tokens", default_factory=dict)
        input: str = option("Member of the request that has the prompt", default="text_input")
        output: str = option("Member of the answer that has the text", default="text_output")

    _options: Options

    def encode(self, inputs: Tensors) -> tuple[Request, ...]:
        """Make a request for each example. Raises CannotLoad for inputs that are no prompts."""
        name, values = next(iter(inputs.items()))
        if batch_size(inputs) and (len(inputs) != 1 or values.ndim != 1 or values.dtype.kind not in "OUS"):
            names = ", ".join(sorted(inputs))
            raise CannotLoad(f"a prompt is one input of text, or `{_REQUEST}` of dtype json; the set has {names}")
        return tuple(self._request(name, value) for value in values.tolist())

    def predict(self, request: tuple[Request, ...]) -> _Answers:  # type: ignore[override] # one for each example
        """Send the requests one after another. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        client = self._opened()
        return _Answers(tuple(client.send(each) for each in request), self._options.output)

    def times_ns(self, response: _Answers) -> tuple[int, int]:  # type: ignore[override]
        """Return when the first request was sent, and when the last byte of the last answer arrived."""
        return response.answers[0].sent_ns, response.answers[-1].arrived_ns

    def decode(self, response: _Answers) -> dict[str, NDArray[Any]]:
        """Return the texts. Raises BadAnswer."""
        import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

        found: NDArray[Any] = np.empty(len(response.answers), dtype=object)
        found[:] = [said for said, _ in response.read()]
        return {"text": found}

    def tokens(self, response: _Answers) -> Tokens:
        """Return when the first text of the one answer came; counts of tokens are not read. Raises BadAnswer."""
        [(_, times)] = response.read()
        return Tokens(**times._asdict())

    def _request(self, name: str, value: object) -> Request:
        prompt = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        own = _members(prompt, self._options.input) if name == _REQUEST else {self._options.input: prompt}
        path = f"{self._model_path}/{'generate_stream' if self._options.stream else 'generate'}"
        request = self._opened().request(path, json.dumps(self._options.more | own).encode(), JSON)
        return Request(request.written, self._options.stream)


def _members(value: str, needed: str) -> dict[str, Any]:
    """Return the members of a request that a golden set has frozen, which come as JSON. Raises CannotLoad."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict) or needed not in found:
        raise CannotLoad(f'input "{_REQUEST}" is {value[:60]!r}; expected an object with {needed}, of dtype json')
    return found


def generated(answer: Answer, output: str) -> tuple[str, TokenTimes]:
    """Return the text of an answer, whole or streamed, and when its parts came. Raises BadAnswer."""
    if answer.body.removeprefix(BOM).lstrip()[:1] == b"{":
        return paired(_part(parse_object(answer.body), output)), TokenTimes.unknown("whole")
    parts, carrying = list[str](), list[tuple[int, int]]()
    for event in events(answer.body):
        if not event.data.strip() and event.kind != "error":
            continue  # a heartbeat
        if (found := parsed(event)) is None:
            raise BadAnswer("the stream ended within a response")
        parts.append(_part(found, output))
        if parts[-1]:
            carrying.append((event.end, event.upto))
    if not parts:
        raise BadAnswer(f"the stream has no response, and begins with {answer.body[:60]!r}")
    if _repeats(parts):
        raise BadAnswer("each response repeats the one before; turn off `accumulate_tokens`")
    return paired("".join(parts)), token_times(answer.arrivals, carrying, None, several=False)


def _repeats(parts: list[str]) -> bool:
    """Say whether each of at least three texts begins with the one before; a text may come twice in a row."""
    said = [part for part, _ in groupby(filter(None, parts))]
    return len(said) > 2 and all(later.startswith(part) for part, later in pairwise(said))


def _part(found: Mapping[str, Any], output: str) -> str:
    """Return the text. Other members are tensors of the model, so of errors Triton's own form alone is read."""
    if error := found.get("error"):
        raise BadAnswer(f"the server reports: {json.dumps(error)[:200]}")
    value = found.get(output)
    if isinstance(value, list) and len(value) == 1:  # one beam
        value = value[0]
    if not isinstance(value, str):
        raise BadAnswer(f'the answer has no text "{output}"; it has {", ".join(sorted(found))[:200] or "nothing"}')
    return value
