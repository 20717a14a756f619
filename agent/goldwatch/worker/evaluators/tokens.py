"""What the answers of a language model were made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.token_use import TokenUse
from goldwatch.probe import TIME_UNKNOWN
from goldwatch.scratch import blocks

Column = NDArray[Any]


NAMES = ("first_token_ns", "input_tokens", "output_tokens", "finish", "first_unknown", "next_unknown")
"""The columns that it is made of."""


def token_use(columns: Mapping[str, Column], answered: NDArray[np.bool_]) -> TokenUse | None:
    """Return what the `answered` requests [n] report of their tokens, except times; None if none reports anything.

    `columns` [n] are those of `NAMES`: -1 is a number that the answer does not contain; `finish` is bytes, empty if
    not known.
    """
    reasons, totals, told = Counter[bytes](), Counter[str](), Counter[str]()
    unknown = {name: Counter[str]() for name in ("first_unknown", "next_unknown")}
    for rows in blocks(len(answered)):
        some = {name: columns[name][rows][answered[rows]] for name in NAMES}
        values, counts = np.unique(some["finish"], return_counts=True)
        reasons.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        for name in ("input_tokens", "output_tokens"):
            known = some[name][some[name] >= 0]
            totals[name] += int(known.sum())
            told[name] += known.size
        for name, counter in unknown.items():
            codes = np.bincount(some[name], minlength=1 + len(TIME_UNKNOWN)).tolist()
            counter.update({why: n for why, n in zip(TIME_UNKNOWN, codes[1:], strict=True) if n})
        told["first_token_ns"] += int(np.count_nonzero(some["first_token_ns"] >= 0))
    finish = {text.decode("utf-8", "replace"): n for text, n in reasons.items() if text}
    if not finish and not any(told.values()):
        return None
    return TokenUse(
        input=totals["input_tokens"] if told["input_tokens"] else None,
        output=totals["output_tokens"] if told["output_tokens"] else None,
        finish=finish,
        first_unknown=dict(unknown["first_unknown"]),
        next_unknown=dict(unknown["next_unknown"]),
        input_told=told["input_tokens"],
        output_told=told["output_tokens"],
    )
