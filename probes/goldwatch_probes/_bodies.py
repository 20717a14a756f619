"""Requests whose examples are bytes, such as images, and answers of scores by the names of classes."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from goldwatch.probe import BadAnswer, CannotLoad, Tensors, batch_size
from goldwatch_probes._answers import is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray


def base64_text(value: bytes) -> str:
    """Return bytes as text that JSON can carry."""
    return base64.b64encode(value).decode()


def as_bytes(inputs: Tensors, *, as_form: bool) -> tuple[bytes, str]:
    """Return the body of a request of one example, and its content type: raw bytes, or a form with a file an input.

    An array of uint8 is the bytes that it holds, as a file in a golden set is. Raises CannotLoad.
    """
    if batch_size(inputs) != 1:
        raise CannotLoad(f"bytes are sent one example a request, this one has {batch_size(inputs)}")
    files = {name: _of_one(name, array) for name, array in inputs.items()}
    if not as_form:
        if len(files) != 1:
            raise CannotLoad(f"one input can be sent as raw bytes; there are {', '.join(sorted(files))}")
        return next(iter(files.values())), "application/octet-stream"
    return multipart([(name, File(name, "application/octet-stream", value)) for name, value in files.items()])


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form. `kind` is its media type, without line breaks."""

    name: str
    kind: str
    content: bytes = field(repr=False)


def multipart(members: Iterable[tuple[str, File | str]]) -> tuple[bytes, str]:
    """Return a form with a part a member, as RFC 7578 has it, and its content type. A name may have several parts.

    Names are escaped as browsers do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html
    """
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in members:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(name)}"'
        if isinstance(value, File):
            head += f'; filename="{_escaped(value.name)}"\r\nContent-Type: {value.kind}'
        content = value.content if isinstance(value, File) else value.encode(errors="replace")
        parts.append(f"{head}\r\n\r\n".encode(errors="replace") + content)
    end = f"--{boundary}--\r\n".encode()
    return b"".join(part + b"\r\n" for part in parts) + end, f"multipart/form-data; boundary={boundary}"


def _escaped(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _of_one(name: str, array: Any) -> bytes:  # noqa: ANN401 - an array of one example
    if array.dtype.name == "uint8":
        return bytes(array.tobytes())
    value = array.ravel().tolist()
    if len(value) != 1 or not isinstance(value[0], (bytes, str)):
        raise CannotLoad(f'input "{name}" is {array.dtype} {list(array.shape[1:])}; bytes are text, or uint8')
    return value[0] if isinstance(value[0], bytes) else value[0].encode()


def class_scores(answer: Any, classes: Sequence[str]) -> NDArray[Any]:  # noqa: ANN401 - from outside
    """Return scores [examples, classes] of an answer {class: score}, or of a list of such. Raises BadAnswer."""
    import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

    rows = answer if isinstance(answer, list) else [answer]
    found = np.zeros((len(rows), len(classes)), dtype=np.float32)
    for row, scores in enumerate(rows):
        if not isinstance(scores, dict) or not all(map(is_number, scores.values())):
            raise BadAnswer("the answer is no object of a score by class")
        if unknown := [name for name in scores if name not in classes]:
            raise BadAnswer(f"the answer has the class {str(unknown[0])[:60]!r}, which `classes` does not name")
        found[row] = [scores.get(name, 0.0) for name in classes]
    return found
