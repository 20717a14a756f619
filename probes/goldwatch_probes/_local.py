"""Shared by the probes of models in this process: lifecycle, order and names of tensors, digests, messages.

It needs nothing but the standard library, so that the agent can read the options of a probe without numpy, and the
interpreter of an old framework can run it.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import (
    Axes,
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    ProbeError,
    Rejected,
    Tensors,
    batch_size,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_OPEN = "the probe is not open"

_MESSAGE_LENGTH = 300
_NOISE = ("Traceback (most recent call last)", "Exception from ", "File ")
"""How lines begin that say where in a framework's own source an error arose."""


class LocalProbe:
    """The life of a model in this process. A subclass has `open`, which sets `_run` and `_description`."""

    served: ClassVar[bool] = False

    def __init__(self, options: Any, context: Context) -> None:  # noqa: ANN401 - a subclass has its own
        self._options = options
        self._axes = context.batch_axes
        self._run: Callable[[Any], Any] | None = None
        self._description: Description | None = None

    def describe(self) -> Description:
        """Say what was loaded. Raises CannotLoad if the probe is not open."""
        if self._description is None:
            raise CannotLoad(NOT_OPEN)
        return self._description

    def predict(self, request: Any) -> Any:  # noqa: ANN401 - the subclass's own
        """Run the model. Raises Rejected; errors of goldwatch.probe and TimeoutError pass as they are."""
        if self._run is None:
            raise CannotLoad(NOT_OPEN)
        try:
            return self._run(request)
        except (ProbeError, TimeoutError):
            raise
        except Exception as error:  # the classes that frameworks raise have no common base but this
            raise Rejected(told(error)) from error

    def close(self) -> None:
        """Drop the model and its memory."""
        self._run = None
        self._description = None


def framework(module: str, name: str, remedy: str) -> Any:  # noqa: ANN401 - a module without types
    """Import a module of a framework, called `name` by people. Raises CannotLoad with the `remedy`."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a framework with the wrong numpy raises errors of any class
        raise CannotLoad(f"{name} cannot be imported ({told(error)}): {remedy}") from error


def told(error: BaseException) -> str:
    """Return an error's class and its most useful line: the first that is not part of a stack trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = next((line for line in lines if not line.startswith(_NOISE)), "".join(lines[:1]))
    name = type(error).__name__
    return _shortened(line if line.startswith(name) else f"{name}: {line}" if line else name)


def _shortened(text: str) -> str:
    """Return a text of bounded length without its middle: many messages end with the reason."""
    if len(text) <= _MESSAGE_LENGTH:
        return text
    head = _MESSAGE_LENGTH // 3
    return f"{text[:head].rstrip()} ... {text[-(_MESSAGE_LENGTH - head - 5) :].lstrip()}"


def readable(path: Path) -> Path:
    """Return the path of a file that can be read. Raises CannotLoad with the system's message."""
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise CannotLoad(f"{path}: {error.strerror or error}") from error


def digest(*paths: Path) -> str:
    """Return "sha256:..." of a file. Raises CannotLoad.

    For a folder or several files it is the digest of what `sha256sum` prints of them: a line of digest, two spaces and
    path for each file, sorted by path; paths are relative to the folder, or the file's name.
    """
    try:
        if len(paths) == 1 and not paths[0].is_dir():
            return f"sha256:{_sha256(paths[0])}"
        files = sorted(entry for path in paths for entry in _files(path))
        lines = "".join(f"{_sha256(file)}  {name}\n" for name, file in files)
    except OSError as error:
        raise CannotLoad(f"{error.filename or paths[0]}: {error.strerror or error}") from error
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _files(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return [(path.name, path)]
    return [(file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_threads(threads: int) -> None:
    """Raise CannotLoad if that is no number of threads; 0 leaves it to the framework."""
    if threads < 0:
        raise CannotLoad(f"`threads` is {threads}, expected 0 or more")


def fixed_batch(sizes: Iterable[object]) -> int:
    """Return the one size of batch that a model takes, 0 for any, from the first axis of each input as it declares it.

    A size that is not a positive whole number means any.
    """
    return next((size for size in sizes if isinstance(size, int) and size > 0), 0)


def check_batch(fixed: int, batch: int) -> None:
    """Raise CannotLoad if the model takes batches of another size only; 0 is any size."""
    if fixed not in (0, batch):
        raise CannotLoad(
            f"the model takes batches of {fixed} only, this one has {batch} examples; send {fixed} or fewer"
        )


def ordered(inputs: Tensors, names: Sequence[str], axes: Axes | None = None) -> list[NDArray[Any]]:
    """Return the arrays in the order of `names`; a lone array also if the model names none.

    Raises CannotLoad if the inputs are not exactly these, or have no common number of examples.
    """
    batch_size(inputs, axes)
    if not names and len(inputs) > 1:
        raise CannotLoad(f"the model does not say in which order it takes {_quoted(inputs)}; name them in `inputs`")
    for name in inputs:
        if names and name not in names:
            raise CannotLoad(f'the model has no input "{name}"; it takes {_quoted(names)}')
    missing = [name for name in names if name not in inputs]
    if missing:
        raise CannotLoad(f"the model also takes {_quoted(missing)}; the inputs given are {_quoted(inputs)}")
    return [inputs[name] for name in names or inputs]


def named(answer: Any, names: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401 - whatever a model returns
    """Name the outputs of an answer: those of a mapping by its keys, those of a tuple or list by their position.

    `names`, if any, selects the keys, or names the positions. Without it a lone output is "output", several are
    "output_0" and so on. Raises BadAnswer if the answer does not have them.
    """
    if isinstance(answer, Mapping):
        missing = [name for name in names if name not in answer]
        if missing:
            raise BadAnswer(f"the model returns {_quoted(answer)}, not {_quoted(missing)}")
        return {str(name): answer[name] for name in names or answer}
    values = list(answer) if isinstance(answer, (tuple, list)) else [answer]
    if not names:
        names = ["output"] if len(values) == 1 else [f"output_{i}" for i in range(len(values))]
    if len(names) != len(values):
        raise BadAnswer(f"the model returns {len(values)} outputs, `outputs` names {len(names)}: {_quoted(names)}")
    return dict(zip(names, values, strict=True))


def imported(reference: str, folder: Path | str | None, key: str) -> Any:  # noqa: ANN401 - the user's own
    """Import what `module:name` names, looking in `folder` first. Raises CannotLoad; `key` is the option's name."""
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise CannotLoad(f"`{key}` is {reference!r}, expected module:name")
    if folder:
        if not Path(folder).is_dir():
            raise CannotLoad(f"{folder}: no such folder (`path`)")
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # the user's module does what it likes
        raise CannotLoad(f"`{key}` {reference} cannot be imported: {told(error)}") from error
    if not callable(found):
        raise CannotLoad(f"`{key}` {reference} is {type(found).__name__}, expected something to call")
    return found


def _quoted(names: Iterable[object]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "none"
