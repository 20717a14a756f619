"""What the answers of a language model were made of."""

from __future__ import annotations

from collections import Counter
from typing import Any

from numpy.typing import NDArray

from goldwatch.judgement import TokenUse

Column = NDArray[Any]


def token_use(
    first_ns: Column, input_tokens: Column, output_tokens: Column, finish: Column, latency_ns: Column
) -> TokenUse | None:
    """Return what the answered requests say of their tokens [n]; None if not one says anything.

    -1 stands for a number that an answer does not tell; `finish` is bytes, empty if it does not tell.
    """
    reasons = Counter(text.decode("utf-8", "replace") for text in finish.tolist() if text)
    if not reasons and not any((column >= 0).any() for column in (first_ns, input_tokens, output_tokens)):
        return None
    several = (first_ns >= 0) & (output_tokens > 1)
    rest_ns = (latency_ns - first_ns)[several] / (output_tokens[several] - 1)
    return TokenUse(
        input=_total(input_tokens),
        output=_total(output_tokens),
        finish=dict(reasons),
        first_s=tuple((first_ns[first_ns >= 0] / 1e9).tolist()),
        per_token_s=tuple((rest_ns / 1e9).tolist()),
        input_told=int((input_tokens >= 0).sum()),
        output_told=int((output_tokens >= 0).sum()),
    )


def _total(counts: Column) -> int | None:
    known = counts[counts >= 0]
    return int(known.sum()) if known.size else None
