"""A stream of a language model, read by the probe for OpenAI's API."""

from __future__ import annotations

import contextlib

from goldwatch.probe import BadAnswer
from goldwatch_probes._http import Answer
from goldwatch_probes._openai_answers import completion


def target(data: bytes) -> None:
    """Return if a stream that came in eight pieces is read, or refused."""
    ends = range(0, len(data), max(len(data) // 8, 1))
    arrivals = tuple((piece / 10, end) for piece, end in enumerate(ends))
    with contextlib.suppress(BadAnswer):
        completion(Answer(200, {}, data, 0, 1, arrivals)).text.encode()
