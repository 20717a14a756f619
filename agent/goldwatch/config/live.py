"""The section `live` of a watch: where rows of live traffic come from, and what they are compared with."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import Field, Strict

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section
from goldwatch.config.sections import Percentage

WindowTime = Annotated[
    float,
    Quantity(
        partial(q.parse_duration, low_s=1, high_s=7 * 86_400), q.format_duration, q.DURATION_PATTERN, ("1h", "10m")
    ),
]


class Live(Section):
    """Live traffic, whose inputs *drift* compares with a reference. Without a file they come as CloudEvents."""

    file: str = Field(
        default="",
        description="The log that the model server writes, a JSON value a line, or a folder of logs, relative to the "
        "folder of the config. Without it requests are taken as CloudEvents, as KServe's inference logger sends them, "
        "at POST /live/WATCH.",
    )
    reference: str = Field(
        default="",
        description="A file of rows to compare with, in the same forms as the log, such as a sample of the training "
        "data; without it, the inputs of the golden set.",
    )
    inputs: Annotated[tuple[str, ...], Strict(False)] = Field(  # a list in the file
        default=(), description="The inputs of the golden set that are watched; if not written, all of them."
    )
    tolerance: Percentage = Field(
        default=0.05,
        description="How far the share of rows below the median may move without a ticket; rarer values may move less.",
    )
    requests: int = Field(
        default=200, ge=20, le=10_000, description="How many requests make a window, before its time has come."
    )
    window_s: WindowTime = Field(
        default=3600.0, alias="window", description="A window that has fewer requests is judged after this."
    )
    rows: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="The most rows that are taken of one request, at random; they may depend on each other.",
    )
    clusters: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="The most requests of a window that depend on each other, such as those of one session; 1 states "
        "that all are independent, which is also supposed if it is not written.",
    )
    season: Literal["none"] | None = Field(
        default=None,
        description="none states that the traffic has no daily or weekly cycle. "
        "With a cycle drift raises false tickets.",
    )
