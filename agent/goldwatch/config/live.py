"""The section `live` of a watch: where rows of live traffic come from, and what they are compared with."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Strict, Tag

from goldwatch.config import quantities as q
from goldwatch.config.base import Quantity, Section
from goldwatch.config.sections import Percentage

WindowTime = Annotated[
    float,
    Quantity(
        partial(q.parse_duration, low_s=1, high_s=7 * 86_400), q.format_duration, q.DURATION_PATTERN, ("1h", "10m")
    ),
]


class ClusterKey(Section):
    """The key that requests which depend on each other share."""

    key: str = Field(
        min_length=1,
        max_length=200,
        description="What identifies the session, user or client of a request: the name of a key of the log line, of "
        "the request body or of a row in it, or an attribute of the CloudEvent. Dots lead into a mapping, as in "
        "`headers.x-session-id`.",
    )
    max_rows: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="The most rows with the same value of the key that count in a window; of more, this many are "
        "chosen at random. A high number delays tickets if sessions are short.",
    )


def _form(written: Any) -> str | None:  # noqa: ANN401 - whatever the file holds
    if isinstance(written, dict | ClusterKey):
        return "<key>"
    if isinstance(written, int | float) and not isinstance(written, bool):
        return "<number>"
    return "<word>" if written in ("none", "unknown") else None


Clusters = Annotated[
    Annotated[Literal["none", "unknown"], Tag("<word>")]
    | Annotated[int, Field(ge=1, le=10_000), Tag("<number>")]
    | Annotated[ClusterKey, Tag("<key>")],
    Discriminator(
        _form,
        custom_error_type="clusters",
        custom_error_message="write none, unknown, the most requests that depend on each other, or `key: NAME` in it",
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
        default=200, ge=20, le=10_000, description="How many requests complete a window before its time is up."
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
    clusters: Clusters | None = Field(
        default=None,
        description="Which requests of a window depend on each other, such as those of one session: none (all are "
        "independent, which is also supposed if it is not written), the most that do, the key that they share, or "
        "unknown.",
    )
    season: Literal["none", "weekly"] | None = Field(
        default=None,
        description="none states that the traffic has no daily or weekly cycle, which is also supposed if it is not "
        "written. weekly compares blocks of an hour to a week with the reference rows of the same part of the week.",
    )
    learn: bool = Field(
        default=False,
        description="Whether what is usual is learned from the first four weeks of live traffic, for `season: weekly` "
        "where no reference has whole weeks. The reference then chooses the cells alone.",
    )
    time: str = Field(
        default="",
        max_length=200,
        description="The key of a line of the reference that holds its time, for `season: weekly`; dots lead into a "
        "mapping. Without it the `time` of CloudEvents is taken.",
    )

    @property
    def cluster_key(self) -> str:
        """The key that requests which depend on each other share, empty if none is stated."""
        return self.clusters.key if isinstance(self.clusters, ClusterKey) else ""
