"""The record of a replay for later judging by monitors: which examples were right, how long requests took.

Small enough to be kept for each replay: a bit an example, compressed, and the latencies counted in bins of 4 %.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.scratch import blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS_PER_E = 25
"""Bins of latency for each factor of e: a bin is exp(1/25), 4 %, wide. Bin k holds the latencies around exp(k/25) s."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of a replay of `examples`.

    `right` and `answered` are the bits of that many examples, packed, compressed and in base64; `latency` counts the
    answered requests by bin.
    """

    examples: int
    sent: int
    right: str
    answered: str
    latency: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can carry."""
        return asdict(self)


def observe(
    right: NDArray[np.bool_], answered: NDArray[np.bool_], sent: int, latencies_s: NDArray[np.float64]
) -> Observed:
    """Make it of the outcomes [n] and the latencies of answered requests in seconds; `sent` counts the requests."""
    import numpy as np  # noqa: PLC0415 - the agent hands it on, and does not look into it

    latency: Counter[int] = Counter()
    for rows in blocks(len(latencies_s)):
        bins = np.rint(BINS_PER_E * np.log(np.maximum(latencies_s[rows], 1e-9))).astype(np.int64)
        values, counts = np.unique(bins, return_counts=True)
        latency.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    named = {str(value): latency[value] for value in sorted(latency)}
    return Observed(len(right), sent, _packed(right), _packed(answered), named)


def bits(text: str, examples: int) -> NDArray[np.bool_]:
    """Return the bits [examples] of `right` or `answered`. Raises ValueError for a text of another length."""
    import numpy as np  # noqa: PLC0415 - as above

    try:
        raw = zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"damaged: {error}") from None
    if len(raw) != -(-examples // 8):
        raise ValueError(f"it holds {len(raw)} bytes, not the bits of {examples} examples")
    return np.unpackbits(np.frombuffer(raw, np.uint8), count=examples).astype(np.bool_)


def bin_latency_s(name: str) -> float:
    """Return the representative latency of a bin in seconds."""
    return math.exp(int(name) / BINS_PER_E)


def _packed(values: NDArray[np.bool_]) -> str:
    import numpy as np  # noqa: PLC0415 - as above

    return base64.b64encode(zlib.compress(np.packbits(values).tobytes(), 9)).decode()
