"""The probe protocol: the few methods that goldwatch needs to use any model, in process or served.

A probe loads or connects, describes itself and predicts a batch. Loop, clock, time limit, warm-up and retry belong
to the replay engine. This module needs only numpy and the standard library, since it also runs inside the worker of
a framework that is pinned to old versions of everything else.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from goldwatch.errors import GoldwatchError
from goldwatch.installation import install_command as install_command  # noqa: PLC0414 - for probes
from goldwatch.redaction import remember as _remember

if TYPE_CHECKING:  # the agent, which only hands descriptions on, stays without numpy
    from numpy.typing import NDArray

Tensors: TypeAlias = "Mapping[str, NDArray[Any]]"
"""A batch by tensor name; the first axis of each array counts the examples of the batch."""

Axes: TypeAlias = "Mapping[str, int | None]"
"""The batch axes of tensors, by name: the place of the axis, or None if there is none. It is first if not named."""

_Look: TypeAlias = "tuple[str, Any, tuple[int, ...]]"
"""Name, dtype and shape of an array."""

Looks: TypeAlias = "tuple[_Look, ...]"
_FEW = 64

SYNTHETIC_HEADER = "x-goldwatch-replay"
"""Sent with each request to a server, so that its owners can tell golden traffic from users' traffic."""

EVENT_ID_HEADER = "ce-id"
"""Sent beside it, with its name as the value, for those who log requests as CloudEvents."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The ids in one request that join the server's spans to goldwatch's: hexadecimal, of 32 and 16 digits.

    `sampled` asks the server to keep its spans.
    """

    trace_id: str
    span_id: str
    sampled: bool


CURRENT_TRACE: ContextVar[TraceContext | None] = ContextVar("goldwatch_trace", default=None)
"""The trace of the request that `encode` is making, None where replays are not traced."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """The type and shape of one input or output of a model.

    `shape` leaves out the batch axis; -1 means a length that varies. `dtype` is numpy's name for it, or "bytes"
    for text. Of text that a replay keeps, `dtype` is "S" and the most bytes, as numpy writes it; of JSON "J" and the
    most bytes. `batch_axis` is the
    place of the batch axis in the model's tensor, None if it has none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    batch_axis: int | None = 0

    @property
    def whole(self) -> tuple[int, ...]:
        """The shape of the model's tensor: -1 at the batch axis."""
        axis = self.batch_axis
        return self.shape if axis is None else (*self.shape[:axis], -1, *self.shape[axis:])


def tensor_spec(name: str, dtype: str, whole: Sequence[int], axes: Axes) -> TensorSpec:
    """Return the spec of a tensor from the whole shape that a model declares, with its batch axis. Raises CannotLoad.

    A model that declares no axes of a tensor takes and gives one value an example.
    """
    axis = axes.get(name, 0)
    if axis is None:
        return TensorSpec(name, dtype, tuple(whole), None)
    if axis and axis >= len(whole):
        raise CannotLoad(f'"{name}" has shape {list(whole)} at the model, the golden set says `batch_axis: {axis}`')
    return TensorSpec(name, dtype, (*whole[:axis], *whole[axis + 1 :]), axis)


def declared_sizes(shapes: Mapping[str, Sequence[Any]], axes: Axes) -> list[Any]:
    """Return the size at the batch axis of each input that has one, as the model declares it. `shapes` are whole."""
    found = []
    for name, shape in shapes.items():
        axis = axes.get(name, 0)
        if axis is not None and axis < len(shape):
            found.append(shape[axis])
    return found


@dataclass(frozen=True, slots=True)
class Description:
    """The identity that a target reports. An empty string or tuple means not reported.

    Any change of `model`, `version`, `framework`, `framework_version`, `device` or `digest` is recorded as an event of
    the target. `digest` is "sha256:..." of the model file where it can be had. `batch` is the number of examples that
    every request must have, 0 if the model takes any number: goldwatch fills smaller batches.
    """

    model: str
    version: str = ""
    framework: str = ""
    framework_version: str = ""
    device: str = ""
    digest: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    batch: int = 0


@dataclass(frozen=True, slots=True)
class BatchAxes:
    """Where the golden set says that the inputs and outputs of a model have their batch axis."""

    inputs: Axes = field(default_factory=dict)
    outputs: Axes = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether one of them has it elsewhere than first."""
        return bool(self.inputs or self.outputs)


@dataclass(frozen=True, slots=True)
class Context:
    """The engine's settings for a new probe.

    `time_limit_s` bounds one request; a probe that can give up by itself does so then and raises TimeoutError. The
    engine kills the worker of one that cannot. `max_response_bytes` bounds what is read from a server. `batch_axes` are
    by the model's names of tensors; see `TakesBatchAxes`.
    """

    time_limit_s: float
    max_response_bytes: int = 64 * 2**20
    batch_axes: BatchAxes = field(default_factory=BatchAxes)


class ProbeError(GoldwatchError):
    """A failure that the engine records as an observation. The subclasses differ by what it means for the model."""


class Unreachable(ProbeError):
    """No connection, or it broke: nothing is known of the model."""


class NotReady(ProbeError):
    """The server answers, but its model cannot be used now."""


class Rejected(ProbeError):
    """The server or runtime answered this request with an error."""


class Overloaded(Rejected):
    """The server rejected this request for now: it has too many. `retry_after_s` is how long it asks to be left alone.

    The engine sends nothing meanwhile, and ends the replay if that is too long.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadAnswer(ProbeError):
    """An answer came, but it is not what the protocol or the model's description promises."""


class CannotLoad(ProbeError):
    """The target cannot be used at all as configured: no such file, model, input; a missing package."""


@runtime_checkable
class Probe(Protocol):
    """One model behind one framework or protocol.

    A probe is made in a worker process by `cls(options, context)`, which only remembers its arguments; `open` does the
    work. `options` is an instance of the `Options` dataclass of the class: each of its fields is a key that the user
    writes next to `probe:` in the config, made with `option`.
    """

    @property
    def Options(self) -> type:  # noqa: N802 - a class inside the class; only so do type checkers take it for one
        """The dataclass of the options. Each field is made by `option`."""

    served: ClassVar[bool]
    """True if the model lives in another process or host, so that opening it costs little."""

    def open(self) -> None:
        """Load the model, or connect and make sure that it is ready.

        Raises CannotLoad, Unreachable or NotReady.
        """

    def describe(self) -> Description:
        """Say what the opened target is. Raises ProbeError if the target does not answer."""

    def encode(self, inputs: Tensors) -> Any:  # noqa: ANN401 - the request is the probe's own affair
        """Make a request of a batch. Not timed. Raises CannotLoad if the model has no such input."""

    def predict(self, request: Any) -> Any:  # noqa: ANN401
        """Issue the request and return the whole raw answer. This, and only this, is timed.

        Raises TimeoutError, Unreachable or Rejected.
        """

    def decode(self, response: Any) -> Tensors:  # noqa: ANN401
        """Turn the raw answer into output tensors, batch axis first. Not timed. Raises BadAnswer."""

    def close(self) -> None:
        """Let go of everything. May be called more than once, and without `open`."""


@runtime_checkable
class NeedsPackage(Protocol):
    """An ability that a probe may have: to name the package that it needs, for `goldwatch doctor` to look for."""

    needs: ClassVar[str]
    """The name of the distribution. `install_command` knows the extra that brings it."""


@runtime_checkable
class HoldsFiles(Protocol):
    """An ability that a probe may have: to know its models by their file names, for `goldwatch init`.

    The file, or the folder, is then the value of its option `file`.
    """

    files: ClassVar[tuple[str, ...]]
    """Patterns of names, such as "*.onnx"; a folder is known by the name of a file in it."""


Page: TypeAlias = "Callable[..., Any]"
"""Asks a server for a path relative to its address, with a body by POST: `page(path, body=None)`.

Returns the parsed JSON of an answer with status 200, its text if it is no JSON, and None for any other answer.
"""


@runtime_checkable
class RecognisesServers(Protocol):
    """An ability that a probe may have: to know a server that it can speak to, for `goldwatch init`."""

    @staticmethod
    def recognise(url: str, model: str, page: Page) -> list[dict[str, Any]]:
        """Return the options of each model at the server, the name `model` if that is given; none for other servers.

        `url` has no slash at its end, and is the option `url` unless the answer has another.
        """


TIME_UNKNOWN = ("whole", "together", "count", "choices")
"""Why a token time is not known: the answer was not streamed, its tokens were received at once, the server's count of
tokens does not fit the pieces of text or is missing, or it counts the tokens of several choices."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens and times of one answer of a language model. None or empty if the answer does not have them.

    `first_s` is the time from sending to the first token, `per_token_s` the mean time between tokens, and `gaps_s` the
    times between pieces of text that followed each other, in seconds. A time that is not known is left out;
    `first_unknown` and `next_unknown` are then one of `TIME_UNKNOWN`. `finish` is why the model stopped, in the
    server's words.
    """

    first_s: float | None = None
    per_token_s: float | None = None
    gaps_s: Sequence[float] = ()
    first_unknown: str = ""
    next_unknown: str = ""
    input: int | None = None
    output: int | None = None
    finish: str = ""


@runtime_checkable
class CountsTokens(Protocol):
    """An ability that a probe may have: to count the tokens of an answer."""

    def tokens(self, response: Any) -> Tokens:  # noqa: ANN401 - what `predict` returned
        """Return what one raw answer, to one example, was made of. Not timed. Raises BadAnswer."""


@runtime_checkable
class Concurrent(Protocol):
    """An ability that a probe may have: to be asked by several threads at once.

    If `concurrent` is True, then `encode`, `predict` and `decode` may be called from several threads at a time, and a
    call in one does not wait for that in another: a served probe has a connection for each thread. Without it, requests
    follow one another.
    """

    concurrent: ClassVar[bool]


@runtime_checkable
class EncodesEach(Protocol):
    """An ability that a probe may have: to make the requests of many examples sooner than one after the other.

    It pays where a model answers in microseconds: what all examples have in common is then checked once.
    """

    def encode_each(self, inputs: Tensors, examples: Sequence[int]) -> list[Any]:
        """Make a request of each of these examples, the same as `encode` makes of it alone, in next to no time.

        The first axis of `inputs` counts all examples that there are. Raises CannotLoad if the model has no such input.
        """


@runtime_checkable
class KnowsTimes(Protocol):
    """An ability that a probe may have: to know when a request left, and when its answer arrived at this machine.

    Then goldwatch's own wait for a processor, before and after, is not taken for the server's time.
    """

    def times_ns(self, response: Any) -> tuple[int, int]:  # noqa: ANN401 - what `predict` returned
        """Return when the request of one raw answer was sent, and when the last byte of the answer arrived.

        Both by `time.monotonic_ns`. If it had to connect first, it was sent when that began. Not timed, does not raise.
        Times outside the call of `predict`, or not one after the other, are ignored.
        """


@runtime_checkable
class Resends(Protocol):
    """An ability that a probe may have: to count the requests that it sent again.

    A request may be sent again where the server had closed an idle connection as it was on its way.
    """

    @property
    def resent(self) -> int:
        """How many requests were sent again since the probe was opened."""


@runtime_checkable
class TakesBatchAxes(Protocol):
    """An ability that a probe may have: to send and answer tensors whose batch axis is not the first.

    If `takes_batch_axes` is True, `encode` gets and `decode` returns tensors as the model has them, with their batch
    axis where `Context.batch_axes` says. Without it, a golden set with such tensors is refused.
    """

    takes_batch_axes: ClassVar[bool]


def remember_secrets(secrets: Iterable[str]) -> None:
    """Keep values that a probe came by, such as a token, out of all messages of this process."""
    _remember(secrets)


def is_concurrent(probe: Probe) -> bool:
    """Say whether several threads may ask the probe at once."""
    return isinstance(probe, Concurrent) and probe.concurrent


def option(
    text: str,
    *,
    default: Any = dataclasses.MISSING,  # noqa: ANN401
    default_factory: Any = dataclasses.MISSING,  # noqa: ANN401
    secret: bool = False,
    path: bool = False,
    url: bool = False,
) -> Any:  # noqa: ANN401 - as dataclasses.field, whose place it takes
    """Declare one option of a probe, as in `url: str = option("Base address of the server")`.

    `text` is shown in the schema and the docs. A `secret` must come by reference (`${NAME}` or `${file:PATH}`) and is
    never shown; a `path` is resolved against the folder of the config; a `url` is an address of HTTP.
    """
    metadata = {"text": text, "secret": secret, "path": path, "url": url}
    return field(default=default, default_factory=default_factory, metadata=metadata, kw_only=True, repr=not secret)


def dtype_name(array: NDArray[Any]) -> str:
    """Return the dtype of `array` as a TensorSpec writes it: numpy's name, or "bytes" for text and byte strings."""
    return named_dtype(array.dtype)


def kept_as(dtype: str) -> str:
    """Return the dtype of the array in which a replay keeps an output: JSON ("J" and its bytes) lies there as text."""
    return f"S{dtype[1:]}" if dtype.startswith("J") else dtype


@lru_cache(maxsize=256)
def named_dtype(dtype: Any) -> str:  # noqa: ANN401 - numpy.dtype
    """Return what `dtype_name` does of an array with this dtype of numpy, whose name takes long to ask for."""
    return "bytes" if dtype.kind in "SUO" else str(dtype.name)


def check_inputs(inputs: Tensors, specs: Sequence[TensorSpec], *, partial: bool = False) -> int:
    """Return the number of examples in `inputs`, checked by name, dtype and shape against the inputs of a model.

    It is 1 if no input has a batch axis. With `partial` the model may have further inputs, with defaults of its own.
    Raises CannotLoad with what was found and what the model takes.
    """
    return _checked(looks(inputs), tuple(specs), partial)


def looks(tensors: Tensors) -> Looks:
    """Return what tensors look like, values aside: what can be checked once for all that look alike."""
    return tuple([(name, array.dtype, array.shape) for name, array in tensors.items()])


def example(inputs: Tensors, index: int) -> Tensors:
    """Return one example as a batch."""
    return {name: array[index : index + 1] for name, array in inputs.items()}


def has_shape(found: Sequence[int], expected: Sequence[int]) -> bool:
    """Return whether a shape is as expected; -1 means any length."""
    return len(found) == len(expected) and all(e in (-1, n) for n, e in zip(found, expected, strict=True))


@lru_cache(maxsize=256)
def _checked(found: Looks, specs: tuple[TensorSpec, ...], partial: bool) -> int:
    """Check what inputs look like. The examples of a golden set look alike, so one is checked for all of them."""
    known = {spec.name: spec for spec in specs}
    for name, dtype, shape in found:
        if name not in known:
            raise CannotLoad(f'the model has no input "{name}"; it takes {_names(known)}')
        _check_input(dtype, shape, known[name])
    given = [name for name, _, _ in found]
    missing = [name for name in known if name not in given]
    if missing and not partial:
        raise CannotLoad(f"the model also takes {_names(missing)}; the inputs given are {_names(given)}")
    return _common_size(found, {spec.name: spec.batch_axis for spec in specs})


def batch_size(inputs: Tensors, axes: Axes | None = None) -> int:
    """Return the common length of the batch axes, 1 if there is none. Raises CannotLoad if they differ."""
    return _common_size(looks(inputs), axes or {})


def _common_size(found: Looks, axes: Axes) -> int:
    sizes = {}
    for name, _, shape in found:
        axis = axes.get(name, 0)
        if axis is not None:
            sizes[name] = shape[axis] if axis < len(shape) else None
    if found and not sizes:
        return 1
    size = next(iter(sizes.values()), None)
    if size is None or len(set(sizes.values())) > 1:
        raise CannotLoad(f"the inputs have no common number of examples: {sizes or 'no inputs'}")
    return int(size)


def _check_input(dtype: Any, whole: tuple[int, ...], spec: TensorSpec) -> None:  # noqa: ANN401 - numpy.dtype
    if (found := named_dtype(dtype)) != spec.dtype:
        raise CannotLoad(f'input "{spec.name}" is {found}, the model takes {spec.dtype}')
    if has_shape(whole, spec.whole):
        return
    if spec.batch_axis != 0:
        raise CannotLoad(
            f'input "{spec.name}" is sent with shape {list(whole)}, the model takes {list(spec.whole)} (-1: any)'
        )
    said = f'input "{spec.name}" has examples of shape {list(whole[1:])}, the model takes {list(spec.shape)} (-1: any)'
    if len(whole) - 1 > len(spec.shape):
        said += "; if its tensor has no batch axis, say so in the golden set: `batch_axis` (docs/golden-sets.md)"
    raise CannotLoad(said)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "none"


def single_output(outputs: Tensors, name: str, dtype: str, shape: tuple[int, ...], batch: int) -> NDArray[Any]:
    """Return output `name`, checked to be numeric of `shape` (-1 for any length) for `batch` examples, as `dtype`.

    A `dtype` of "S" and a number is text of at most that number of bytes, "J" and a number JSON of any value. Raises
    BadAnswer with what was found and expected; also if a floating value is NaN or +inf, or all values of an example
    are -inf (`usable`).
    """
    import numpy as np  # noqa: PLC0415 - only where there are tensors

    if name not in outputs:
        raise BadAnswer(f'no output "{name}"; the answer has {", ".join(sorted(outputs)) or "none"}')
    if dtype.startswith("J"):
        return _structured(name, outputs[name], int(dtype[1:]), batch)
    array = np.asarray(outputs[name])
    expected = (batch, *shape)
    if not has_shape(array.shape, expected) and not (dtype.startswith("S") and array.shape == (batch, 1)):
        raise BadAnswer(f'output "{name}" has shape {list(array.shape)}, expected {list(expected)}')
    if dtype.startswith("S"):
        return np.array([_text(name, value, int(dtype[1:])) for value in array.reshape(batch)], dtype=dtype)
    if not _can_become(array.dtype, dtype):
        raise BadAnswer(f'output "{name}" has dtype {array.dtype}, expected {dtype}')
    array = array.astype(dtype, copy=False)
    if array.dtype.kind == "f" and not all_finite(array) and not usable(array.reshape(batch, -1)).all():
        raise BadAnswer(f'output "{name}" contains NaN or infinity')
    return array


def all_finite(array: NDArray[Any]) -> bool:
    """Say whether no value of an array of numbers is NaN or infinite."""
    import numpy as np  # noqa: PLC0415 - only where there are tensors

    # Summing few values is quicker than two calls of numpy. A finite sum has finite terms.
    if array.size <= _FEW and math.isfinite(sum(array.ravel().tolist())):
        return True
    return bool(np.isfinite(array).all())


def usable(rows: NDArray[Any]) -> NDArray[Any]:
    """Return for each row of scores [n, values] whether it can be an answer.

    -inf masks a class, so it is a value if the row has a finite one too. NaN and +inf are none.
    """
    import numpy as np  # noqa: PLC0415 - only where there are tensors

    finite = np.isfinite(rows)
    return np.asarray((finite | np.isneginf(rows)).all(axis=1) & finite.any(axis=1))


@lru_cache(maxsize=256)
def _can_become(dtype: Any, wanted: str) -> bool:  # noqa: ANN401
    import numpy as np  # noqa: PLC0415

    return bool(np.can_cast(dtype, wanted, casting="same_kind"))


def _structured(name: str, values: Any, most: int, batch: int) -> NDArray[Any]:  # noqa: ANN401 - of any shape
    """Return the value of each example as JSON [batch]. Raises BadAnswer."""
    import numpy as np  # noqa: PLC0415

    if np.ndim(values[:1]) == 0 or len(values) != batch:
        raise BadAnswer(f'output "{name}" has {len(values)} values, expected one for each of {batch} examples')
    return np.array([_text(name, _as_json(name, value), most) for value in values], dtype=f"S{most}")


def _as_json(name: str, value: object) -> str:
    """Return a value as JSON, floats as short as their type allows. A text is taken for JSON already."""

    def plain(found: Any) -> Any:  # noqa: ANN401 - whatever an array holds
        if isinstance(found, bytes):
            return found.decode("utf-8", "replace")
        if not hasattr(found, "dtype"):
            raise BadAnswer(f'output "{name}" holds {type(found).__name__}, which is no JSON')
        return found.astype(str).astype(float).tolist() if found.dtype.kind == "f" else found.tolist()

    if isinstance(value, (str, bytes)):
        text = str(plain(value)) if isinstance(value, bytes) else value
        if not _is_finite(text):
            raise BadAnswer(f'output "{name}" contains NaN or infinity')
        return text
    try:
        return json.dumps(plain(value) if hasattr(value, "dtype") else value, default=plain, allow_nan=False)
    except ValueError as error:
        raise BadAnswer(f'output "{name}" contains NaN or infinity') from error


def _is_finite(text: str) -> bool:
    """Say whether no number of a JSON text is NaN or infinite; also of a text that is no JSON."""
    numbers: list[str] = []
    try:
        json.loads(text, parse_constant=numbers.append, parse_float=numbers.append, parse_int=str)
    except (ValueError, RecursionError):
        return True
    return all(math.isfinite(float(number)) for number in numbers)


def _text(name: str, value: object, most: int) -> bytes:
    """Return text as the UTF-8 that a replay keeps. Raises BadAnswer."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise BadAnswer(f'output "{name}" is {type(value).__name__}, expected text')
    found = text.encode("utf-8", "replace")
    if len(found) > most:
        raise BadAnswer(f'output "{name}" has more than the {most:,} bytes that the golden set keeps')
    if b"\0" in found:
        raise BadAnswer(f'output "{name}" holds the character NUL')
    return found
