"""The probe for servers that speak the Open Inference Protocol (version 2) over HTTP.

Triton, KServe, MLServer and OpenVINO Model Server do. Connection and codec are modules of their own: here is what is
asked of a server, and what its answers mean. The codec is imported where it is used: the agent, which reads only the
options of a probe, stays without numpy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from goldwatch.probe import (
    SYNTHETIC_HEADER,
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    NotReady,
    Rejected,
    Tensors,
    TensorSpec,
    Unreachable,
    check_inputs,
    dtype_name,
    option,
)
from goldwatch_probes._http import Answer, Connection

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINARY_HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Request:
    """An inference request, ready to be sent."""

    body: bytes
    headers: Mapping[str, str] = field(repr=False)  # they hold the token


class OpenInference:
    """A model behind the Open Inference Protocol: one connection, one request at a time."""

    served: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """What a user writes beside `probe: open-inference`."""

        url: str = option("Base address of the server, without /v2")
        model: str = option("Name of the model at the server")
        version: str = option("Version of the model; the server chooses if empty", default="")
        token: str = option("Sent as bearer token", default="", secret=True)
        headers: dict[str, str] = option("Sent with every request; not for secrets", default_factory=dict)
        binary: bool = option("Send tensors as bytes, which MLServer refuses, and not as JSON", default=False)
        ca_file: Path | None = option("Certificate authority of an https server, PEM", default=None, path=True)

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._context = context
        self._connection: Connection | None = None
        self._description: Description | None = None
        self._model_path = f"v2/models/{quote(options.model, safe='')}"
        if options.version:
            self._model_path += f"/versions/{quote(options.version, safe='')}"

    def open(self) -> None:
        """Connect, make sure that server and model are ready, and read the metadata.

        Raises CannotLoad, Unreachable or NotReady.
        """
        options = self._options
        if not options.model:
            raise CannotLoad("`model` is empty")
        self._headers = _headers(options)
        self._connection = Connection(
            options.url,
            time_limit_s=self._context.time_limit_s,
            max_bytes=self._context.max_response_bytes,
            ca_file=options.ca_file,
        )
        self._get("v2/health/ready")
        self._get(f"{self._model_path}/ready")
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        model = self._metadata(self._model_path)
        server = self._metadata("v2", optional=True)
        self._description = Description(
            model=self._options.model,
            version=self._options.version or _newest(model.get("versions")),
            framework=_text(server.get("name")) or _text(model.get("platform")),
            framework_version=_text(server.get("version")),
            inputs=_specs(model.get("inputs")),
            outputs=_specs(model.get("outputs")),
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the body of the request. Raises CannotLoad if the metadata has no such input, dtype or shape.

        MLServer declares no inputs unless told to; then there is nothing to check against.
        """
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        if self._description is None:
            raise CannotLoad("the probe is not open")
        if self._description.inputs:
            # The protocol does not say which inputs are optional: the server rejects a request that lacks one.
            check_inputs(inputs, self._description.inputs, partial=True)
        if not self._options.binary:
            return Request(tensors.encode_json(inputs), {**self._headers, "Content-Type": "application/json"})
        body, header_length = tensors.encode_binary(inputs)
        headers = {"Content-Type": "application/octet-stream", BINARY_HEADER: str(header_length)}
        return Request(body, {**self._headers, **headers})

    def predict(self, request: Request) -> Answer:
        """Send the request and read the whole answer. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        answer = self._opened().request("POST", f"{self._model_path}/infer", request.body, request.headers)
        if answer.status != 200:
            raise Rejected(_refusal(answer))
        return answer

    def decode(self, response: Answer) -> dict[str, NDArray[Any]]:
        """Return the outputs, checked against the metadata. Raises BadAnswer."""
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        outputs = tensors.decode(response.body, response.headers.get(BINARY_HEADER))
        for spec in self._description.outputs if self._description else ():
            _check_output(outputs, spec)
        return outputs

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._description = None

    def _opened(self) -> Connection:
        if self._connection is None:
            raise CannotLoad("the probe is not open")
        return self._connection

    def _metadata(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """Return the JSON object at `path`; an empty one if it is `optional` and the server has no such page."""
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        answer = self._get(path, missing_allowed=optional)
        if answer.status == 404:
            return {}
        try:
            return tensors.parse(answer.body)
        except BadAnswer as error:
            raise CannotLoad(f"{self._opened().url}/{path}: {error}") from error

    def _get(self, path: str, *, missing_allowed: bool = False) -> Answer:
        """Return the answer to GET `path`, with every failure told as one of opening."""
        connection = self._opened()
        try:
            answer = connection.request("GET", path, headers=self._headers)
        except TimeoutError as error:
            raise Unreachable(str(error)) from error
        except BadAnswer as error:
            raise CannotLoad(f"{connection.url}/{path}: {error}") from error
        if answer.status == 200 or (answer.status == 404 and missing_allowed):
            return answer
        for_good = 300 <= answer.status < 400 or answer.status in (401, 403)
        raise (CannotLoad if for_good else NotReady)(f"{connection.url}/{path}: {_refusal(answer)}")


def _headers(options: OpenInference.Options) -> dict[str, str]:
    """Return what is sent with every request. Raises CannotLoad without the value, which may be a secret."""
    headers = {SYNTHETIC_HEADER: "1", **options.headers}
    if options.token:
        headers["Authorization"] = f"Bearer {options.token}"
    for name, value in headers.items():
        if not (name.isascii() and name.isprintable() and value.isascii() and value.isprintable()):
            raise CannotLoad(f"the value of header {name!r} holds a line break or another character not allowed there")
    return headers


def _refusal(answer: Answer) -> str:
    """Say what an answer other than 200 means, in the server's words where it has some."""
    if 300 <= answer.status < 400:
        location = answer.headers.get("Location", "nowhere")[:200]
        return f"answered {answer.status}, a redirect to {location}; redirects are not followed, give the final `url`"
    try:
        said = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = answer.body[:400].decode(errors="replace")
    text = " ".join(str(said).split())[:200]
    return f"answered {answer.status}: {text}" if text else f"answered {answer.status}"


def _newest(versions: object) -> str:
    """Return the version that a server serves when none is asked for: the highest number, as Triton does."""
    if not isinstance(versions, list) or not versions:
        return ""
    names = [str(version)[:100] for version in versions]
    return max(names, key=int) if all(name.isdecimal() for name in names) else names[-1]


def _specs(declared: object) -> tuple[TensorSpec, ...]:
    from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

    return tuple(tensors.spec_of(tensor) for tensor in declared) if isinstance(declared, list) else ()


def _text(value: object) -> str:
    return value[:100] if isinstance(value, str) else ""


def _check_output(outputs: Tensors, spec: TensorSpec) -> None:
    if spec.name not in outputs:
        raise BadAnswer(f'no output "{spec.name}"; the answer has {", ".join(sorted(outputs)) or "none"}')
    array = outputs[spec.name]
    found, shape = dtype_name(array), array.shape[1:]
    if found != spec.dtype:
        raise BadAnswer(f'output "{spec.name}" came as {found}, the metadata says {spec.dtype}')
    if array.ndim != len(spec.shape) + 1 or any(s not in (-1, n) for n, s in zip(shape, spec.shape, strict=True)):
        raise BadAnswer(
            f'output "{spec.name}" has shape {list(array.shape)}, the metadata says {[-1, *spec.shape]} (-1: any)'
        )
