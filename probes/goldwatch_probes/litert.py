"""The probe for LiteRT (TensorFlow Lite): .tflite files, quantised ones too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import (
    Axes,
    CannotLoad,
    Context,
    Description,
    Tensors,
    TensorSpec,
    check_inputs,
    declared_sizes,
    install_command,
    option,
    tensor_spec,
)
from goldwatch_probes._local import LocalProbe, check_threads, digest, fixed_batch, framework, readable, told

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tensor:
    """An input or output of the model: value = (integer - zero_point) x scale. A scale of 0: it is not quantised.

    `shape` is the whole shape as the model declares it, -1 for any size.
    """

    index: int
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    def spec(self, name: str, axes: Axes) -> TensorSpec:
        """Say what goldwatch sees of it: floating numbers where the model has quantised ones."""
        return tensor_spec(name, "float32" if self.scale else self.dtype, self.shape, axes)


class LiteRT(LocalProbe):
    """A .tflite model in this process. Quantises floating inputs by the model's parameters, dequantises its outputs."""

    needs: ClassVar[str] = "ai-edge-litert"
    files: ClassVar[tuple[str, ...]] = ("*.tflite",)
    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: litert`."""

        file: Path = option("The model, a .tflite file", path=True)
        signature: str = option("Signature to call, if the model has several", default="")
        threads: int = option("Threads of the interpreter; 0 leaves it to LiteRT", default=0)
        delegates: tuple[str, ...] = option("Shared libraries of delegates, the preferred one first", default=())
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._inputs: Mapping[str, Tensor] = {}
        self._outputs: Mapping[str, Tensor] = {}

    def open(self) -> None:
        """Load the file. Raises CannotLoad."""
        from importlib.metadata import version  # noqa: PLC0415

        options = self._options
        file = readable(Path(options.file))
        check_threads(options.threads)
        interpreter = _interpreter(file, options)
        call, self._inputs, self._outputs = _callable(interpreter, file, options.signature)
        self._run = call
        axes = self._axes
        self._description = Description(
            model=options.model or file.stem,
            framework="litert",
            framework_version=version("ai-edge-litert"),
            device=Path(options.delegates[0]).stem if options.delegates else "cpu",
            digest=digest(file),
            inputs=tuple(tensor.spec(name, axes.inputs) for name, tensor in self._inputs.items()),
            outputs=tuple(tensor.spec(name, axes.outputs) for name, tensor in self._outputs.items()),
            batch=fixed_batch(declared_sizes({n: t.shape for n, t in self._inputs.items()}, axes.inputs)),
        )

    def encode(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Quantise floating inputs of a quantised model; integers of its own dtype pass. Raises CannotLoad."""
        self.describe()
        axes = self._axes.inputs
        specs = [
            tensor_spec(name, tensor.dtype, tensor.shape, axes)
            if name in inputs and inputs[name].dtype.name == tensor.dtype
            else tensor.spec(name, axes)
            for name, tensor in self._inputs.items()
        ]
        check_inputs(inputs, specs)
        return {name: _quantised(array, self._inputs[name]) for name, array in inputs.items()}

    def decode(self, response: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Turn quantised outputs into float32."""
        return {name: _dequantised(response[name], tensor) for name, tensor in self._outputs.items()}


def _interpreter(file: Path, options: LiteRT.Options) -> Any:  # noqa: ANN401
    litert = framework("ai_edge_litert.interpreter", "LiteRT", install_command("ai-edge-litert"))
    delegates = []
    for library in options.delegates:
        try:
            delegates.append(litert.load_delegate(library))
        except (OSError, ValueError) as error:
            raise CannotLoad(f"`delegates`: {library}: {told(error)}") from error
    try:
        return litert.Interpreter(
            str(file), num_threads=options.threads or None, experimental_delegates=delegates or None
        )
    except Exception as error:  # LiteRT raises all kinds
        raise CannotLoad(f"{file}: {told(error)}") from error


def _callable(
    interpreter: Any,  # noqa: ANN401
    file: Path,
    signature: str,
) -> tuple[Callable[[Any], Any], dict[str, Tensor], dict[str, Tensor]]:
    """Return what runs the model, and its inputs and outputs by name: those of a signature where there is one."""
    there = list(interpreter.get_signature_list())
    if (signature and signature not in there) or (not signature and len(there) > 1):
        raise CannotLoad(
            f"{file}: `signature` is {signature!r}, expected one of {', '.join(there) or 'none: leave it out'}"
        )
    if not there:
        inputs, outputs = (_by_name(d) for d in (interpreter.get_input_details(), interpreter.get_output_details()))
        return _plain(interpreter, inputs, outputs), inputs, outputs
    runner = interpreter.get_signature_runner(signature or there[0])
    inputs = {name: _tensor(detail) for name, detail in runner.get_input_details().items()}
    outputs = {name: _tensor(detail) for name, detail in runner.get_output_details().items()}
    return lambda request: runner(**request), inputs, outputs


def _by_name(details: list[Mapping[str, Any]]) -> dict[str, Tensor]:
    return {detail["name"]: _tensor(detail) for detail in details}


def _plain(
    interpreter: Any,  # noqa: ANN401
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
) -> Callable[[Any], Any]:
    """Do for a model without signatures what LiteRT's runner of a signature does: resize for the batch, run, copy."""

    def run(request: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        for name, array in request.items():
            interpreter.resize_tensor_input(inputs[name].index, array.shape)
        interpreter.allocate_tensors()
        for name, array in request.items():
            interpreter.set_tensor(inputs[name].index, array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(tensor.index) for name, tensor in outputs.items()}

    return run


def _tensor(detail: Mapping[str, Any]) -> Tensor:
    import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    return Tensor(
        index=int(detail["index"]),
        dtype="bytes" if dtype.kind in "SUO" else dtype.name,
        shape=tuple(map(int, detail["shape_signature"])),
        scale=float(scale) if dtype.kind in "iu" else 0.0,
        zero_point=int(zero_point),
    )


def _quantised(array: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415

    if not tensor.scale or array.dtype.name == tensor.dtype:
        return array
    limits = np.iinfo(tensor.dtype)
    integers = np.round(array / np.float32(tensor.scale)) + tensor.zero_point
    return np.clip(integers, limits.min, limits.max).astype(tensor.dtype)


def _dequantised(array: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415

    if not tensor.scale:
        return array
    values: NDArray[Any] = (array.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale)
    return values
