"""Jobs of workers: the types of requests and responses, the codes of errors, and the jobs that replay.

The agent calls a job through `Workers`; in the worker the function that `handles` it runs. Requests, responses and
errors cross the wall as JSON (`codec`). Workers in other interpreters replay and import this module, so it needs the
standard library alone; `judging_jobs` has the jobs of workers that judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

from goldwatch.core.disturbances import Found
from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.trace import Trace
from goldwatch.golden.tensors import TensorLocation
from goldwatch.probe import BatchAxes, Description, NotReady, TensorSpec, Unreachable

Request = TypeVar("Request")
Response = TypeVar("Response")


class ErrorCode(StrEnum):
    """The class of the error that ended a job, for the agent."""

    TARGET = "target"
    """The target's doing: it cannot be reached, is not ready, or does not answer in time."""
    PACKAGE = "package"
    """A package is missing in the interpreter of the worker."""
    OTHER = "other"
    """A matter of config, golden set, probe or goldwatch."""

    @classmethod
    def of(cls, error: BaseException) -> ErrorCode:
        """Return the code of an error; a subclass, of whichever package, has that of what it derives from."""
        if isinstance(error, Unreachable | NotReady | TimeoutError):
            return cls.TARGET
        return cls.PACKAGE if isinstance(error, ModuleNotFoundError) else cls.OTHER


@dataclass(frozen=True, slots=True)
class Progress:
    """A message of a running replay.

    First the description of the opened target and the seconds that opening took, None if it was open; later the seconds
    of the first request.
    """

    description: Description | None = None
    open_s: float | None = None
    first_request_s: float | None = None


Emit: TypeAlias = Callable[[Progress], None]
"""Tells the agent something while a job runs."""

Handler: TypeAlias = Callable[[Request, list[int], Emit], Response]
"""Runs a job in the worker: takes the request and the descriptors that came with it, which it closes."""


@dataclass(frozen=True, slots=True)
class Job(Generic[Request, Response]):
    """One kind of work. `handler` is where its function is, "module:function"; the worker imports it when it is needed.

    A job that `needs_lease` sends requests to a target: a replica without the lease may not run it, and the worker ends
    at once when the lease does.
    """

    handler: str
    request: type[Request]
    response: type[Response]
    needs_lease: bool = False


_job_of: dict[Any, Job[Any, Any]] = {}


def handles(
    job: Job[Request, Response],
) -> Callable[[Handler[Request, Response]], Handler[Request, Response]]:
    """Mark the function that runs a job."""

    def mark(function: Handler[Request, Response]) -> Handler[Request, Response]:
        _job_of[function] = job
        return function

    return mark


def job_of(function: Handler[Any, Any]) -> Job[Any, Any]:
    """Return the job that a function handles. Raises KeyError if it handles none."""
    return _job_of[function]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """One replay, or the rest of one; see `goldwatch.daemon.plan.Plan`. `rows` is the length of the columns."""

    factory: str
    options: Mapping[str, Any]
    inputs: tuple[TensorLocation, ...]
    outputs: tuple[TensorSpec, ...]
    rows: int
    tokens: bool
    trace: Trace | None
    load: LoadPlan
    warmup: int
    pairs: int
    time_limit_s: float
    batch_axes: BatchAxes = field(default_factory=BatchAxes)


@dataclass(frozen=True, slots=True)
class ReplayResponse:
    """The result of a replay, besides its columns.

    `pairs_ns` has the latencies of requests that were made twice, `errors` counts messages, `resent` the requests sent
    again. The budgets allow the next request at `turn_ns`, by the monotonic clock. `description` is the target's at the
    end, None if it is not served or gave none. `answered` describes the outputs, read off the answers, if none
    of them is kept (`goldwatch.worker.load.seen`).
    """

    pairs_ns: tuple[tuple[int, int], ...]
    errors: Mapping[str, int]
    resent: int
    disturbances: Found
    turn_ns: int
    description: Description | None
    answered: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadGenSettings:
    """LoadGen's settings, in its own terms. None leaves its default, or the value from warm-up.

    Times are seconds. `target_qps` is that of Server, and what is expected of Offline; `target_latency_s` is Server's.
    `audit` is the absolute path of an audit.config of the compliance tests, which overrides settings.
    """

    scenario: str
    mode: str
    min_duration_s: float
    min_queries: int
    batch: int = 1
    target_qps: float | None = None
    target_latency_s: float | None = None
    audit: str | None = None


@dataclass(frozen=True, slots=True)
class LoadGenRequest:
    """One test of MLPerf's LoadGen, over the golden set at `path`.

    Its files go into the folder `output`; `most_per_s` is the budget of the warm-up.
    """

    factory: str
    options: Mapping[str, Any]
    time_limit_s: float
    path: str
    settings: LoadGenSettings
    output: str
    most_per_s: float | None


@dataclass(frozen=True, slots=True)
class LoadGenResponse:
    """The target's identity, how many requests were sent, and the counts of error messages."""

    description: Description
    errors: Mapping[str, int]
    requests: int


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """Open a target, and close it again."""

    factory: str
    options: Mapping[str, Any]
    time_limit_s: float


DESCRIBE = Job("goldwatch.worker.load.once:describe", DescribeRequest, Description, needs_lease=True)
REPLAY = Job("goldwatch.worker.load.timed:replay", ReplayRequest, ReplayResponse, needs_lease=True)
"""Takes the descriptor of the columns."""
LOADGEN = Job("goldwatch.worker.load.loadgen:run", LoadGenRequest, LoadGenResponse, needs_lease=True)

Plain: TypeAlias = dict[str, Any]
"""The request or response of a job that names its own keys."""
