"""The probe for TensorFlow Serving over its REST API, and for servers of KServe's first protocol, a part of it.

https://www.tensorflow.org/tfx/serving/api_rest and https://github.com/kserve/website, "Data Plane (V1)"
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

from goldwatch.probe import (
    Axes,
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    NotReady,
    Page,
    Tensors,
    TensorSpec,
    check_inputs,
    declared_sizes,
    option,
    tensor_spec,
)
from goldwatch_probes._answers import check_outputs, declared_batch, newest, parse_object, text
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, HttpProbe, Request
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = {
    "DT_BOOL": "bool",
    "DT_HALF": "float16",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_STRING": "bytes",
    **{f"DT_{sign.upper()}INT{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
"""TensorFlow's dtypes that numpy has, and the names in a TensorSpec."""


class TensorFlowServing(HttpProbe):
    """A model behind TensorFlow Serving's REST API."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: tensorflow-serving`. `url` is without /v1."""

        model: str = option("Name of the model at the server")
        version: str = option("Version of the model; the server chooses if empty", default="")
        label: str = option("Label of a version, in place of `version`", default="")
        signature: str = option("Signature of the model to call", default="serving_default")
        format: Literal["row", "columnar"] = option("How tensors are laid out in JSON", default="row")
        output: str = option("Name of the one output, if the server has no metadata", default="output")

    takes_batch_axes: ClassVar[bool] = True
    _options: Options

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._model_path = f"v1/models/{quote(options.model, safe='')}"
        if options.version:
            self._model_path += f"/versions/{quote(options.version, safe='')}"
        elif options.label:
            self._model_path += f"/labels/{quote(options.label, safe='')}"

    @staticmethod
    def recognise(url: str, model: str, page: Page) -> list[dict[str, Any]]:  # noqa: ARG004 - as RecognisesServers
        """Return the options of the named model. These servers list no models."""
        status = page(f"v1/models/{quote(model, safe='')}") if model else None
        known = isinstance(status, dict) and ("model_version_status" in status or status.get("name") == model)
        return [{"model": model}] if known else []

    def open(self) -> None:
        """Connect, make sure that a version is available, and read the metadata.

        Raises CannotLoad, Unreachable or NotReady.
        """
        if not self._options.model:
            raise CannotLoad("`model` is empty")
        if self._options.version and self._options.label:
            raise CannotLoad("`version` and `label` are both given; leave one out")
        self._connect()
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        client = self._opened()
        status = client.page(self._model_path)
        version = _available(status, f"{client.url}/{self._model_path}")
        # KServe's first protocol ends with the status.
        metadata = client.page(f"{self._model_path}/metadata", missing_allowed=True)
        signature = _signature(metadata, self._options.signature)
        self._description = Description(
            model=self._options.model,
            version=self._options.version or version,
            framework="tensorflow-serving" if "model_version_status" in status else "",
            inputs=(inputs := _specs(signature.get("inputs"), self._axes.inputs)),
            outputs=_specs(signature.get("outputs"), self._axes.outputs),
            batch=_batch(signature["inputs"], self._axes.inputs) if inputs else 0,
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the request. Raises CannotLoad if the metadata has no such input, dtype or shape."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        declared = self._described().inputs
        if declared:
            check_inputs(inputs, declared)
        body: dict[str, Any] = {"signature_name": self._options.signature} if declared else {}
        if self._axes and self._options.format != "columnar":
            raise CannotLoad("the golden set has a `batch_axis`, which rows cannot have; set `format: columnar`")
        if self._options.format == "columnar":
            body["inputs"] = tensors.columns(inputs, _text)
        else:
            body["instances"] = tensors.rows(inputs, named=len(inputs) > 1, text=_text)
        return self._opened().request(f"{self._model_path}:predict", tensors.dump(body), JSON)

    def decode(self, response: Answer) -> dict[str, NDArray[Any]]:
        """Return the outputs, checked against the metadata. Raises BadAnswer."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        specs = self._description.outputs if self._description else ()
        answer = parse_object(response.body)
        value = answer.get("predictions", answer.get("outputs"))
        if value is None:
            raise BadAnswer('the answer has neither "predictions" nor "outputs"')
        if b'"b64"' in response.body:
            value = _unmarked(value)
        only = specs[0].name if len(specs) == 1 else self._options.output
        found = tensors.outputs(value, only, {spec.name: spec.dtype for spec in specs})
        check_outputs(found, specs)
        return found


def _available(status: Mapping[str, Any], where: str) -> str:
    """Return the version that the server would use, from its status. Raises NotReady, CannotLoad."""
    versions = status.get("model_version_status")
    if versions is None and "ready" in status:  # KServe
        if str(status["ready"]).lower() != "true":
            raise NotReady(f"{where}: the server says that the model is not ready")
        return ""
    if not isinstance(versions, list) or not all(isinstance(entry, dict) for entry in versions):
        raise CannotLoad(f"{where}: the answer is no status of a model")
    available = [entry.get("version") for entry in versions if entry.get("state") == "AVAILABLE"]
    if not available:
        raise NotReady(f"{where}: no version is available; {_told(versions)}")
    return newest(available)


def _told(versions: list[dict[str, Any]]) -> str:
    for entry in versions:
        status = entry.get("status")
        said = text(status.get("error_message")) if isinstance(status, dict) else ""
        return f"version {text(entry.get('version'))} is {text(entry.get('state'))} {said}".strip()
    return "there is none"


def _signature(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the signature `name` of the metadata, empty if there is no metadata. Raises CannotLoad."""
    if not metadata:
        return {}
    match metadata:
        case {"metadata": {"signature_def": {"signature_def": {**signatures}}}}:
            pass
        case _:
            raise CannotLoad("the metadata of the model has no signatures")
    signature = signatures.get(name)
    if not isinstance(signature, dict):
        there = ", ".join(sorted(str(key) for key in signatures if not str(key).startswith("__"))) or "none"
        raise CannotLoad(f'the model has no signature "{name}"; it has {there[:200]}')
    return signature


def _specs(declared: object, axes: Axes) -> tuple[TensorSpec, ...]:
    """Return the specs of one side of a signature; none if the rank of a tensor is not known."""
    tensors = declared.items() if isinstance(declared, dict) else ()
    specs = [_spec(name, tensor, axes) for name, tensor in sorted(tensors)]
    return tuple(spec for spec in specs if spec) if all(specs) else ()


def _batch(declared: Mapping[str, Any], axes: Axes) -> int:
    """Return the one size of batch that inputs declare, which `_specs` has checked; 0 for any."""
    shapes = {name: [int(dim["size"]) for dim in each["tensor_shape"]["dim"]] for name, each in declared.items()}
    return declared_batch(declared_sizes(shapes, axes))


def _spec(name: str, tensor: object, axes: Axes) -> TensorSpec | None:
    match tensor:
        case {"tensor_shape": {"unknown_rank": True}}:
            return None
        case {"dtype": str(dtype), "tensor_shape": {"dim": [*dims]}} if dtype in DTYPES:
            pass
        case _:
            raise CannotLoad(f'the metadata describes tensor "{name}" as {str(tensor)[:100]}')
    try:
        return tensor_spec(name, DTYPES[dtype], [int(dim["size"]) for dim in dims], axes)
    except (KeyError, TypeError, ValueError) as error:
        raise CannotLoad(f'tensor "{name}" has shape {str(dims)[:100]} in the metadata') from error


def _text(value: bytes) -> str | dict[str, str]:
    """Return a byte string as JSON has it: as text, or as base64 in the API's mark for it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _unmarked(value: Any) -> Any:  # noqa: ANN401 - from outside
    """Replace all marks for base64 by the bytes. Raises BadAnswer."""
    match value:
        case {"b64": str(encoded)} if len(value) == 1:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise BadAnswer(f"the answer has base64 that cannot be decoded: {error}") from error
        case dict():
            return {name: _unmarked(item) for name, item in value.items()}
        case list():
            return [_unmarked(item) for item in value]
    return value
