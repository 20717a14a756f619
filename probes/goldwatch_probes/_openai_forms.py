"""Forms of requests other than prompts: documents to rank, and sounds to transcribe.

Rerank: https://docs.vllm.ai (Jina and Cohere have the same), https://huggingface.github.io/text-embeddings-inference.
Transcription: https://developers.openai.com/api/reference/resources/audio.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from goldwatch.probe import BadAnswer, CannotLoad, Tensors
from goldwatch_probes._answers import is_finite, parse, parse_object
from goldwatch_probes._bodies import File
from goldwatch_probes._http import Answer

QUERY, DOCUMENTS, REQUEST = "query", "documents", "request"
_DATA = "data:"
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and the documents to rank by name, in the order in which they are sent."""

    text: str
    documents: dict[str, str]


class Rerank:
    """The form of rerankers. `texts` is the name of the documents in a request, `most` its `top_n`, None for all."""

    path = "rerank"
    output = "text"

    def __init__(self, texts: str, most: object = None) -> None:
        self._texts = texts
        self._most = most
        # a server of Text Embeddings Inference has one model
        self.defaults: Mapping[str, Any] = {"model": None} if texts == "texts" else {}

    def examples(self, inputs: Tensors) -> list[Query]:
        """Return the query of each example. Raises CannotLoad for inputs that are none."""
        if self._most is not None and (type(self._most) is not int or self._most < 1):
            raise CannotLoad(f"`top_n` in `more` is {str(self._most)[:20]}; expected a whole number from 1")
        if inputs.keys() != {QUERY, DOCUMENTS} or any(array.ndim != 1 for array in inputs.values()):
            found = ", ".join(sorted(inputs))
            raise CannotLoad(
                f"a reranker takes `{QUERY}`, a text, and `{DOCUMENTS}` of dtype json; the set has {found}"
            )
        pairs = zip(inputs[QUERY].tolist(), inputs[DOCUMENTS].tolist(), strict=True)
        return [Query(_text(query), _documents(documents)) for query, documents in pairs]

    def members(self, example: Query) -> dict[str, Any]:
        """Return what a request asks for."""
        return {"query": example.text, self._texts: list(example.documents.values())}

    def value(self, example: Query, answer: Answer) -> str:
        """Return the names of the documents, one a line, best first; of equal ones the first. Raises BadAnswer."""
        found = parse(answer.body)
        results = found.get("results") if isinstance(found, dict) else found
        if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
            raise BadAnswer("the answer is no list of results, and has no `results`")
        names = list(example.documents)
        ranked = {_index(result, len(names)): _score(result) for result in results}
        expected = min(self._most, len(names)) if isinstance(self._most, int) else len(names)
        if len(ranked) < len(results):
            raise BadAnswer(f"the answer has {len(results)} results for {len(ranked)} documents")
        if len(results) != expected:
            raise BadAnswer(f"the answer has {len(results)} results; expected {expected} of {len(names)} documents")
        best = sorted(ranked, key=lambda index: (-ranked[index], index))
        return "\n".join(names[index] for index in best)


class Transcriptions:
    """The form of speech to text: the members of a request, of which `file` is a file of the golden set."""

    path = "audio/transcriptions"
    output = "text"
    defaults: Mapping[str, Any] = MappingProxyType({"response_format": "json", "temperature": 0})

    def examples(self, inputs: Tensors) -> list[dict[str, Any]]:
        """Return the members of each example. Raises CannotLoad for inputs that are none."""
        if inputs.keys() != {REQUEST} or inputs[REQUEST].ndim != 1:
            found = ", ".join(sorted(inputs))
            raise CannotLoad(f"`api: transcriptions` takes `{REQUEST}` of dtype json; the set has {found}")
        return [_request(value) for value in inputs[REQUEST].tolist()]

    def members(self, example: dict[str, Any]) -> dict[str, Any]:
        """Return what a request asks for."""
        return example

    def value(self, example: dict[str, Any], answer: Answer) -> str:  # noqa: ARG002 - a form has it
        """Return the text. Raises BadAnswer."""
        text = parse_object(answer.body).get("text")
        if not isinstance(text, str):
            raise BadAnswer("the answer has no `text`")
        return text


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _json(value: object) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(value) if isinstance(value, str | bytes) else None
    except (ValueError, RecursionError):
        return None


def _documents(value: object) -> dict[str, str]:
    """Return documents by name; those of a list are numbered from 0. Raises CannotLoad."""
    found = _json(value)
    found = dict(zip(map(str, range(len(found))), found, strict=True)) if isinstance(found, list) else found
    if not isinstance(found, dict) or not found or not all(isinstance(text, str) for text in found.values()):
        raise CannotLoad(f"`{DOCUMENTS}` is {str(value)[:60]}; expected a list of texts, or an object of texts by name")
    for name in found:
        if not name.isprintable() or not name.strip() == name != "" or name.startswith("["):
            raise CannotLoad(f"`{DOCUMENTS}` has the name {name[:60]!r}; a name is one line, and does not begin with [")
    return found


def _index(result: dict[str, Any], documents: int) -> int:
    index = result.get("index")
    if type(index) is not int or not 0 <= index < documents:
        raise BadAnswer(f"a result has the index {str(index)[:20]}; there are {documents} documents, from 0")
    return index


def _score(result: dict[str, Any]) -> float:
    score: Any = result.get("relevance_score", result.get("score"))
    if not is_finite(score):
        raise BadAnswer("a result has no finite `relevance_score` or `score`")
    return float(score)


def _request(value: object) -> dict[str, Any]:
    found: Any = _json(value)
    url = found.get("file") if isinstance(found, dict) else None
    head, _, content = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not head.startswith(_DATA) or not head.endswith(";base64"):
        raise CannotLoad(f'`{REQUEST}` has no `file` of the golden set; write {{"file": "file:clip.wav"}} in its line')
    if fixed := sorted({"model", "stream"} & found.keys()):
        raise CannotLoad(f"`{REQUEST}` has {fixed[0]}, which the target sets; leave it out of the golden set")
    kind = head.removeprefix(_DATA).removesuffix(";base64")
    if not _MEDIA_TYPE.fullmatch(kind):
        raise CannotLoad(f"`file` has the media type {kind[:60]!r}; expected one such as audio/wav")
    try:
        raw = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise CannotLoad(f"`file` is no base64: {error}") from error
    return {**found, "file": File(f"audio.{_SUFFIXES.get(kind, 'bin')}", kind, raw)}


_SUFFIXES = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
"""Servers look at the suffix to decode a sound."""
