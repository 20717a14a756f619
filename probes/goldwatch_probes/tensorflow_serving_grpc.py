"""The probe for TensorFlow Serving over gRPC.

Requests are made into bytes, and answers are kept as bytes, outside of `predict`: what is timed is the call alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import (
    Axes,
    BadAnswer,
    CannotLoad,
    Description,
    Tensors,
    TensorSpec,
    check_inputs,
    declared_sizes,
    option,
    tensor_spec,
)
from goldwatch_probes import _tf_proto as proto
from goldwatch_probes._answers import check_outputs, declared_batch
from goldwatch_probes._grpc_client import GrpcProbe, Reply, Request
from goldwatch_probes._proto import parsed
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TensorFlowServingGrpc(GrpcProbe):
    """A model behind TensorFlow Serving's gRPC API: a connection for each thread, one call at a time in each."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: tensorflow-serving-grpc`."""

        model: str = option("Name of the model at the server")
        version: str = option("Version of the model, a number; the server chooses if empty", default="")
        label: str = option("Label of a version, in place of `version`", default="")
        signature: str = option("Signature of the model to call", default="serving_default")

    takes_batch_axes: ClassVar[bool] = True
    _options: Options

    def open(self) -> None:
        """Connect, make sure that a version is available, and read the metadata.

        Raises CannotLoad, Unreachable or NotReady.
        """
        options = self._options
        if not options.model:
            raise CannotLoad("`model` is empty")
        if options.version and options.label:
            raise CannotLoad("`version` and `label` are both given; leave one out")
        if options.version and not options.version.isdecimal():
            raise CannotLoad(f"`version` is {options.version!r}; over gRPC it is a number")
        self._connect(proto.PREDICTION, proto.messages)
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        spec = self._spec()
        status = self._asked(proto.STATUS, "StatusRequest", "StatusResponse", {"model_spec": spec})
        available = [s.version for s in status.model_version_status if s.state == proto.AVAILABLE]
        if not available:
            raise self._opened().not_ready(f'no version of model "{self._options.model}" is available')
        wanted = {"model_spec": spec, "metadata_field": ["signature_def"]}
        metadata = self._asked("GetModelMetadata", "MetadataRequest", "MetadataResponse", wanted)
        signature = self._signature(metadata)
        self._description = Description(
            model=self._options.model,
            # With a label, the newest version need not be the one that answers.
            version=self._options.version or str(metadata.model_spec.version.value or max(available)),
            framework="tensorflow-serving",
            inputs=_specs(signature.inputs, self._axes.inputs),
            outputs=_specs(signature.outputs, self._axes.outputs),
            batch=declared_batch(
                declared_sizes({entry.key: _shape(entry) for entry in signature.inputs}, self._axes.inputs)
            ),
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the request. Raises CannotLoad if the metadata has no such input, dtype or shape."""
        check_inputs(inputs, self._described().inputs)
        entries = [{"key": name, "value": proto.fields(name, array)} for name, array in inputs.items()]
        spec = self._spec() | {"signature_name": self._options.signature}
        request = self._messages["PredictRequest"](model_spec=spec, inputs=entries)
        return self._opened().request("Predict", request.SerializeToString())

    def decode(self, response: Reply) -> dict[str, NDArray[Any]]:
        """Return the outputs, checked against the metadata. Raises BadAnswer."""
        answer = parsed(self._messages["PredictResponse"], response.message)
        outputs = {entry.key: proto.array(entry.key, entry.value) for entry in answer.outputs}
        check_outputs(outputs, self._description.outputs if self._description else ())
        return outputs

    def _spec(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self._options.model}
        if self._options.version:
            found["version"] = {"value": int(self._options.version)}
        if self._options.label:
            found["version_label"] = self._options.label
        return found

    def _signature(self, metadata: Any) -> Any:  # noqa: ANN401 - messages
        packed = next((entry.value.value for entry in metadata.metadata if entry.key == "signature_def"), b"")
        try:
            found = parsed(self._messages["SignatureMap"], packed)
        except BadAnswer as error:
            raise CannotLoad(f"{self._opened().url} GetModelMetadata: {error}") from error
        signatures = {entry.key: entry.value for entry in found.signature_def}
        if self._options.signature not in signatures:
            names = ", ".join(sorted(signatures)) or "none"
            raise CannotLoad(f"the model has no signature {self._options.signature!r}; it has {names}")
        return signatures[self._options.signature]


def _shape(entry: Any) -> list[int]:  # noqa: ANN401 - a message
    return [dim.size for dim in entry.value.tensor_shape.dim]


def _specs(entries: Any, axes: Axes) -> tuple[TensorSpec, ...]:  # noqa: ANN401 - messages
    return tuple(
        tensor_spec(e.key, proto.dtype(e.value.dtype), _shape(e), axes)
        for e in sorted(entries, key=lambda entry: str(entry.key))
    )
