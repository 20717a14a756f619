"""The probe for servers that speak the Open Inference Protocol (version 2) over HTTP.

Triton, KServe, MLServer and OpenVINO Model Server do. Client and codec are modules of their own: here is what is asked
of a server, and what its answers mean. The codec is imported where it is used: the agent, which reads only the options
of a probe, stays without numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

from goldwatch.probe import (
    BatchAxes,
    CannotLoad,
    Context,
    Description,
    Page,
    Tensors,
    check_inputs,
    declared_sizes,
    option,
)
from goldwatch_probes._answers import CAN_IGNORE, check_outputs, declared_batch, newest, text
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, HttpProbe, Request
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINARY_HEADER = "Inference-Header-Content-Length"


class OpenInference(HttpProbe):
    """A model behind the Open Inference Protocol: one connection, one request at a time."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: open-inference`. `url` is without /v2."""

        model: str = option("Name of the model at the server")
        version: str = option("Version of the model; the server chooses if empty", default="")
        binary: bool = option("Send tensors as bytes, which MLServer refuses, and not as JSON", default=False)
        metadata: Literal["check", "ignore"] = option(
            "ignore: do not hold inputs and outputs against the server's metadata, where these are wrong",
            default="check",
        )
        outputs: tuple[str, ...] = option("Outputs to ask for; all if empty", default=())
        parameters: dict[str, Any] = option("Parameters of each request, such as priority", default_factory=dict)
        parameter_inputs: tuple[str, ...] = option(
            "Inputs of the golden set that are parameters of the request, such as sequence_id", default=()
        )

    takes_batch_axes: ClassVar[bool] = True
    _options: Options

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._model_path = f"v2/models/{quote(options.model, safe='')}"
        if options.version:
            self._model_path += f"/versions/{quote(options.version, safe='')}"

    @staticmethod
    def recognise(url: str, model: str, page: Page) -> list[dict[str, Any]]:  # noqa: ARG004 - as RecognisesServers
        """Return the options of the named model, or of each that the server lists as ready."""
        server = page("v2")
        if not isinstance(server, dict) or not isinstance(server.get("name"), str):
            return []
        if model:
            return [{"model": model}]
        index = page("v2/repository/index", b"{}")
        entries = [entry for entry in index if isinstance(entry, dict)] if isinstance(index, list) else []
        names = [text(e.get("name")) for e in entries if e.get("state", "READY") in ("READY", "")]
        return [{"model": name} for name in dict.fromkeys(names) if name] or [{}]

    def open(self) -> None:
        """Connect, make sure that server and model are ready, and read the metadata.

        Raises CannotLoad, Unreachable or NotReady.
        """
        if not self._options.model:
            raise CannotLoad("`model` is empty")
        client = self._connect()
        client.get("v2/health/ready")
        client.get(f"{self._model_path}/ready")
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        model = self._opened().page(self._model_path)
        server = self._opened().page("v2", missing_allowed=True)
        self._description = Description(
            model=self._options.model,
            version=self._options.version or newest(model.get("versions")),
            framework=text(server.get("name")) or text(model.get("platform")),
            framework_version=text(server.get("version")),
            **(_declared(model, self._options.outputs, self._axes) if self._options.metadata == "check" else {}),
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the request. Raises CannotLoad if the metadata has no such input, dtype or shape.

        MLServer declares no inputs unless told to; then there is nothing to check against.
        """
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        inputs, own = tensors.split_parameters(inputs, self._options.parameter_inputs)
        if declared := self._described().inputs:
            # The protocol does not declare which inputs are optional: the server rejects a request that lacks one.
            check_inputs(inputs, declared, partial=True)
        path = f"{self._model_path}/infer"
        wanted, parameters = self._options.outputs, self._options.parameters | own
        more: dict[str, Any] = {"outputs": [{"name": name} for name in wanted]} if wanted else {}
        more |= {"parameters": parameters} if parameters else {}
        if not self._options.binary:
            return self._opened().request(path, tensors.encode_json(inputs, more), JSON)
        body, header_length = tensors.encode_binary(inputs, more)
        return self._opened().request(path, body, "application/octet-stream", {BINARY_HEADER: str(header_length)})

    def decode(self, response: Answer) -> dict[str, NDArray[Any]]:
        """Return the outputs, checked against the metadata. Raises BadAnswer."""
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        outputs = tensors.decode(response.body, response.headers.get(BINARY_HEADER.lower()))
        check_outputs(outputs, self._description.outputs if self._description else (), CAN_IGNORE)
        return outputs


def _declared(model: Mapping[str, Any], wanted: Sequence[str], axes: BatchAxes) -> dict[str, Any]:
    """Return what the metadata of a model say of its tensors; of the outputs only those that are `wanted`, if any."""
    from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

    inputs, outputs = (part if isinstance(part, list) else [] for part in (model.get("inputs"), model.get("outputs")))
    specs = tensors.output_specs(outputs, axes.outputs)
    return {
        "inputs": (taken := tuple(tensors.spec_of(tensor, axes.inputs) for tensor in inputs)),
        "outputs": tuple(spec for spec in specs if not wanted or spec.name in wanted),
        "batch": declared_batch(
            declared_sizes({spec.name: each["shape"] for spec, each in zip(taken, inputs, strict=True)}, axes.inputs)
        ),
    }
