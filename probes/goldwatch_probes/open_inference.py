"""The probe for servers that speak the Open Inference Protocol (version 2) over HTTP.

Triton, KServe, MLServer and OpenVINO Model Server do. Client and codec are modules of their own: here is what is asked
of a server, and what its answers mean. The codec is imported where it is used: the agent, which reads only the options
of a probe, stays without numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import (
    BatchAxes,
    Page,
    Tensors,
    check_inputs,
    declared_sizes,
    option,
)
from goldwatch_probes._answers import CAN_IGNORE, check_outputs, declared_batch, text
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, Request
from goldwatch_probes._v2_server import V2Options, V2Server

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINARY_HEADER = "Inference-Header-Content-Length"


class OpenInference(V2Server):
    """A model behind the Open Inference Protocol: one connection, one request at a time."""

    @dataclass(frozen=True)
    class Options(V2Options):
        """Options besides `probe: open-inference`. `url` is without /v2."""

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

    def _declared(self, model: Mapping[str, Any]) -> dict[str, Any]:
        return _declared(model, self._options.outputs, self._axes) if self._options.metadata == "check" else {}

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
