"""The probe for OpenVINO: its own IR, ONNX, and the other formats that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import (
    Axes,
    CannotLoad,
    Description,
    Tensors,
    TensorSpec,
    check_inputs,
    install_command,
    option,
    tensor_spec,
)
from goldwatch_probes._local import (
    LocalProbe,
    check_batch,
    check_threads,
    digest,
    fixed_batch,
    framework,
    readable,
    told,
)
from goldwatch_probes._onnx_files import with_external_data

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray


class OpenVINO(LocalProbe):
    """A model in this process, compiled by OpenVINO."""

    needs: ClassVar[str] = "openvino"
    files: ClassVar[tuple[str, ...]] = ("*.xml", "*.onnx")
    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: openvino`."""

        file: Path = option("The model, an .xml of OpenVINO with its .bin next to it, or an .onnx file", path=True)
        device: str = option("Device, such as CPU, GPU or NPU", default="CPU")
        precision: Literal["", "f32", "f16", "bf16"] = option(
            "Precision to calculate in; empty leaves it to OpenVINO, which may take less than the model has", default=""
        )
        threads: int = option("Threads of one inference on the CPU; 0 leaves it to OpenVINO", default=0)
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def open(self) -> None:
        """Read and compile the model. Raises CannotLoad."""
        options = self._options
        file = readable(Path(options.file))
        weights = file.with_suffix(".bin")
        check_threads(options.threads)
        openvino = framework("openvino", "OpenVINO", install_command("openvino"))
        core = openvino.Core()
        if options.device.partition(".")[0] not in core.available_devices:
            raise CannotLoad(f"no device {options.device}; OpenVINO has {', '.join(core.available_devices)}")
        try:
            compiled = core.compile_model(core.read_model(str(file)), options.device, _settings(options))
        except Exception as error:  # OpenVINO raises RuntimeError for everything, and others
            raise CannotLoad(f"{file}: {told(error)}") from error
        self._run = _runner(compiled)
        self._description = Description(
            model=options.model or file.stem,
            framework="openvino",
            framework_version=openvino.__version__.partition("-")[0],
            device=core.get_property(options.device, "FULL_DEVICE_NAME"),
            digest=digest(file, weights) if file.suffix == ".xml" and weights.is_file() else _digest_of_onnx(file),
            inputs=(inputs := _specs(compiled.inputs, self._axes.inputs)),
            outputs=_specs(compiled.outputs, self._axes.outputs),
            batch=fixed_batch(_batches(inputs, compiled.inputs)),
        )

    def encode(self, inputs: Tensors) -> Tensors:
        """Check `inputs` against the model. Raises CannotLoad with what was found and what it takes."""
        description = self.describe()
        check_batch(description.batch, check_inputs(inputs, description.inputs))
        return dict(inputs)

    def decode(self, response: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Name the outputs."""
        return {spec.name: array for spec, array in zip(self.describe().outputs, response, strict=True)}


def _digest_of_onnx(file: Path) -> str:
    return digest(*with_external_data(file)) if file.suffix == ".onnx" else digest(file)


def _settings(options: OpenVINO.Options) -> dict[str, Any]:
    written = {"INFERENCE_NUM_THREADS": options.threads, "INFERENCE_PRECISION_HINT": options.precision}
    return {key: value for key, value in written.items() if value}


def _runner(compiled: Any) -> Callable[[Mapping[str, Any]], list[Any]]:  # noqa: ANN401
    request = compiled.create_infer_request()

    def run(inputs: Mapping[str, Any]) -> list[Any]:
        # Outputs are copied: the memory of this one request is written again by the next inference.
        return list(request.infer(inputs, share_inputs=True, share_outputs=False).values())

    return run


def _batches(specs: Sequence[TensorSpec], ports: Sequence[Any]) -> list[int]:
    """Return the static sizes of batch axes."""
    sizes = []
    for spec, port in zip(specs, ports, strict=True):
        shape, axis = list(port.get_partial_shape()), spec.batch_axis
        if axis is not None and axis < len(shape) and shape[axis].is_static:
            sizes.append(int(shape[axis].get_length()))
    return sizes


def _specs(ports: Sequence[Any], axes: Axes) -> tuple[TensorSpec, ...]:
    specs = []
    for index, port in enumerate(ports):
        name = port.get_any_name() if port.get_names() else f"output_{index}"
        shape = port.get_partial_shape()
        if not shape.rank.is_static:
            raise CannotLoad(f'"{name}" has no known number of axes; convert the model with shapes')
        sizes = tuple(int(size.get_length()) if size.is_static else -1 for size in shape)
        specs.append(tensor_spec(name, port.get_element_type().to_dtype().name, sizes, axes))
    return tuple(specs)
