"""The probe for servers that speak the Open Inference Protocol (version 2) over gRPC.

Requests are made into bytes, and answers are kept as bytes, outside of `predict`: what is timed is the call alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import (
    BatchAxes,
    CannotLoad,
    Context,
    Description,
    Looks,
    Tensors,
    check_inputs,
    declared_sizes,
    looks,
    option,
)
from goldwatch_probes._answers import declared_batch, newest, text
from goldwatch_probes._grpc_client import GrpcProbe, Reply, Request
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_HEADS = 256


class OpenInferenceGrpc(GrpcProbe):
    """A model behind the Open Inference Protocol: a connection for each thread, one call at a time in each."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: open-inference-grpc`."""

        model: str = option("Name of the model at the server")
        version: str = option("Version of the model; the server chooses if empty", default="")
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
        self._heads: dict[Looks, bytes] = {}

    def open(self) -> None:
        """Connect, make sure that server and model are ready, and read the metadata.

        Raises CannotLoad, Unreachable or NotReady.
        """
        from goldwatch_probes import _v2_proto  # noqa: PLC0415

        if not self._options.model:
            raise CannotLoad("`model` is empty")
        client = self._connect(_v2_proto.SERVICE, _v2_proto.messages)
        if not self._ask("ServerReady").ready:
            raise client.not_ready("the server says that it is not ready")
        if not self._ask("ModelReady", self._model()).ready:
            raise client.not_ready(f'the server says that model "{self._options.model}" is not ready')
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        model = self._ask("ModelMetadata", self._model())
        server = self._ask("ServerMetadata", optional=True)
        self._heads.clear()  # the inputs may be others now
        self._description = Description(
            model=self._options.model,
            version=self._options.version or newest(list(model.versions)),
            framework=text(server.name) or text(model.platform),
            framework_version=text(server.version),
            **(_declared(model, self._options.outputs, self._axes) if self._options.metadata == "check" else {}),
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the request. Raises CannotLoad if the metadata has no such input, dtype or shape."""
        from goldwatch_probes import _v2_proto  # noqa: PLC0415
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        inputs, own = tensors.split_parameters(inputs, self._options.parameter_inputs)
        alike = looks(inputs)
        head = self._heads.get(alike) or self._head_of(alike, inputs)
        # Bytes of protobuf that follow one another are the two messages merged: only the values are made each time.
        values = self._messages["ModelInferRequest"](
            raw_input_contents=[tensors.pack(a) for a in inputs.values()], parameters=_v2_proto.parameters(own)
        )
        return self._opened().request("ModelInfer", head + values.SerializeToString())

    def _head_of(self, alike: Looks, inputs: Tensors) -> bytes:
        """Return a request without values, the same for all inputs that look like these. Raises CannotLoad."""
        from goldwatch_probes import _v2_proto  # noqa: PLC0415
        from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

        if declared := self._described().inputs:
            check_inputs(inputs, declared, partial=True)
        request = self._messages["ModelInferRequest"](
            model_name=self._options.model,
            model_version=self._options.version,
            parameters=_v2_proto.parameters(self._options.parameters),
            inputs=[tensors.head(name, array) for name, array in inputs.items()],
            outputs=[{"name": name} for name in self._options.outputs],
        )
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        head: bytes = request.SerializeToString()
        self._heads[alike] = head
        return head

    def decode(self, response: Reply) -> dict[str, NDArray[Any]]:
        """Return the outputs, checked against the metadata. Raises BadAnswer."""
        from goldwatch_probes import _v2_answers  # noqa: PLC0415 - needs numpy; the agent stays without

        return _v2_answers.outputs(self._messages["ModelInferResponse"], response.message, self._described().outputs)

    def _model(self) -> dict[str, str]:
        return {"name": self._options.model, "version": self._options.version}

    def _ask(self, method: str, fields: Mapping[str, str] = {}, *, optional: bool = False) -> Any:  # noqa: ANN401
        return self._asked(method, f"{method}Request", f"{method}Response", fields, optional=optional)


def _head(tensor: Any) -> dict[str, Any]:  # noqa: ANN401 - a message
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _declared(model: Any, wanted: Sequence[str], axes: BatchAxes) -> dict[str, Any]:  # noqa: ANN401 - a message
    """Return what the metadata of a model say of its tensors; of the outputs only those that are `wanted`, if any."""
    from goldwatch_probes import _v2_tensors as tensors  # noqa: PLC0415

    specs = tensors.output_specs(map(_head, model.outputs), axes.outputs)
    return {
        "inputs": tuple(tensors.spec_of(_head(tensor), axes.inputs) for tensor in model.inputs),
        "outputs": tuple(spec for spec in specs if not wanted or spec.name in wanted),
        "batch": declared_batch(declared_sizes({t.name: list(t.shape) for t in model.inputs}, axes.inputs)),
    }
