"""The tokens of a replay of a language model, and how times of many requests are kept."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

TOKEN_TIMES = ("first_s", "per_token_s", "gaps_s")


@dataclass(frozen=True, slots=True)
class TokenUse:
    """The tokens of the answered requests of a replay of a language model.

    `input` and `output` count tokens over the `input_told` and `output_told` answers that state them; None if none
    does. `first_s` is the time to the first token and `per_token_s` the mean time between tokens, in seconds, one for
    each answer with a known time; `first_unknown` and `next_unknown` count the others by reason. `gaps_s` are times
    between pieces of text that followed each other. `finish` counts the answers by why the model stopped.
    """

    input: int | None
    output: int | None
    finish: Mapping[str, int]
    first_s: Sequence[float] = ()
    per_token_s: Sequence[float] = ()
    gaps_s: Sequence[float] = ()
    first_unknown: Mapping[str, int] = field(default_factory=dict)
    next_unknown: Mapping[str, int] = field(default_factory=dict)
    input_told: int = 0
    output_told: int = 0

    def __post_init__(self) -> None:
        keep_times(self, TOKEN_TIMES)

    def without_times(self) -> TokenUse:
        """Return the counts alone."""
        return replace(self, first_s=(), per_token_s=(), gaps_s=())

    @property
    def input_each(self) -> float | None:
        """The mean number of input tokens of an answer, None if it is not known."""
        return self.input / self.input_told if self.input is not None and self.input_told else None

    @property
    def output_each(self) -> float | None:
        """The mean number of output tokens of an answer, None if it is not known."""
        return self.output / self.output_told if self.output is not None and self.output_told else None


def keep_times(of: object, names: Sequence[str]) -> None:
    """Store times at eight bytes each. Memory that `scratch` mapped to a file, for many of them, is kept as it is."""
    for name in names:
        if not isinstance(times := getattr(of, name), array | memoryview):
            object.__setattr__(of, name, array("d", times))
