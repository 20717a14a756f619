"""The probe for ONNX models, run in process by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import (
    Axes,
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    Tensors,
    TensorSpec,
    check_inputs,
    declared_sizes,
    example,
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
    import numpy as np
    from numpy.typing import NDArray

CPU = "CPUExecutionProvider"

DTYPES = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "bytes",
}
"""ONNX Runtime's names of the tensor types that numpy has, and the names in a TensorSpec."""


OPTIMISATIONS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""The names in the options, and those of ONNX Runtime's levels of graph optimisation."""

DEVICES = {CPU: "cpu", "CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "cuda"}
"""Where the tensors of a provider lie, in the words of IO binding."""


class OnnxRuntime(LocalProbe):
    """An ONNX model in this process.

    Outputs that are no tensors (scikit-learn's ZipMap), or of a type that numpy lacks (bfloat16), are left out.
    """

    needs: ClassVar[str] = "onnxruntime"
    files: ClassVar[tuple[str, ...]] = ("*.onnx",)
    takes_batch_axes: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    """ONNX Runtime allows `run` of one session from several threads."""

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: onnx-runtime`."""

        file: Path = option("The model, an .onnx file", path=True)
        threads: int = option("Threads inside one operator; 0 leaves it to ONNX Runtime", default=0)
        providers: tuple[str, ...] = option("Execution providers, the preferred one first", default=(CPU,))
        optimisation: Literal["disable", "basic", "extended", "all"] = option(
            "Graph optimisation: disable, basic, extended or all", default="all"
        )
        io_binding: bool = option("Put inputs on the device before the clock starts, outputs after it", default=False)
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._bind: Callable[[Mapping[str, Any]], Any] | None = None

    def open(self) -> None:
        """Read the file and make a session. Raises CannotLoad."""
        # ONNX Runtime 1.32 sends telemetry to its maker, unless this is set before the import.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        runtime = framework("onnxruntime", "ONNX Runtime", install_command("onnxruntime"))
        file = readable(Path(self._options.file))
        session = _session(runtime, file, self._options)
        inputs = session.get_inputs()
        description = Description(
            model=self._options.model or file.stem,
            version=session.get_modelmeta().custom_metadata_map.get("version", ""),
            framework="onnxruntime",
            framework_version=runtime.__version__,
            device=session.get_providers()[0].removesuffix("ExecutionProvider").lower(),
            digest=digest(*with_external_data(file)),
            inputs=tuple(_spec(tensor, "input", self._axes.inputs) for tensor in inputs),
            outputs=_outputs(session, self._axes.outputs),
            batch=fixed_batch(declared_sizes({tensor.name: tensor.shape for tensor in inputs}, self._axes.inputs)),
        )
        names = [spec.name for spec in description.outputs]
        if self._options.io_binding:
            self._bind = _binder(runtime, session, self._options.providers[0], names)
            self._run = _run_bound(session)
        else:
            self._run = partial(session.run, names)  # timed: it adds no frame of Python
        self._description = description

    def encode(self, inputs: Tensors) -> Any:  # noqa: ANN401 - arrays by name, or what is bound to them
        """Check `inputs` against the model. Raises CannotLoad with what was found and what it takes."""
        description = self.describe()
        check_batch(description.batch, check_inputs(inputs, description.inputs))
        if self._bind is not None:
            return self._bind(inputs)
        return {name: _as_text(name, array) if array.dtype.kind in "SUO" else array for name, array in inputs.items()}

    def encode_each(self, inputs: Tensors, examples: Sequence[int]) -> list[Any]:
        """Make a request of each example. Raises CannotLoad as `encode` does."""
        each = (example(inputs, index) for index in examples)
        first = next(each, None)
        if first is None:
            return []
        request = self.encode(first)
        if self._bind is not None or any(array.dtype.kind in "SUO" for array in first.values()):
            return [request, *map(self.encode, each)]
        return [request, *each]  # they look like the first

    def decode(self, response: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Name the outputs. Raises BadAnswer if one is not the tensor that the model declares."""
        import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

        outputs = {}
        for spec, found in zip(self.describe().outputs, response, strict=True):
            value = found.numpy() if self._bind is not None else found
            if not isinstance(value, np.ndarray):
                raise BadAnswer(f'output "{spec.name}" is {type(value).__name__}, not a tensor')
            outputs[spec.name] = _as_bytes(value) if spec.dtype == "bytes" else value
        return outputs

    def close(self) -> None:
        """Drop the session and its memory."""
        super().close()
        self._bind = None


def _session(runtime: Any, file: Path, options: OnnxRuntime.Options) -> Any:  # noqa: ANN401
    # ONNX Runtime falls back to the CPU with no more than a warning, so check first.
    available = runtime.get_available_providers()
    missing = [name for name in options.providers if name not in available]
    if missing or not options.providers:
        wanted = ", ".join(missing) or "given"
        raise CannotLoad(f"no execution provider {wanted}; this ONNX Runtime has {', '.join(available)}")
    check_threads(options.threads)
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, OPTIMISATIONS[options.optimisation])
    try:
        session = runtime.InferenceSession(str(file), settings, providers=list(options.providers))
    except Exception as error:  # the runtime's own classes have no common base but this
        raise CannotLoad(f"{file}: {told(error)}") from error
    if session.get_providers()[0] != options.providers[0]:
        raise CannotLoad(f"{options.providers[0]} does not start; ONNX Runtime chose {session.get_providers()[0]}")
    return session


def _binder(
    runtime: Any,  # noqa: ANN401
    session: Any,  # noqa: ANN401
    provider: str,
    outputs: Sequence[str],
) -> Callable[[Mapping[str, Any]], Any]:
    """Return what places inputs on the device of the provider and binds them there, with room for the outputs."""
    if provider not in DEVICES:
        raise CannotLoad(f"`io_binding` is not known for {provider}, only for {', '.join(DEVICES)}; leave it out")
    device = DEVICES[provider]

    def bind(inputs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        binding = session.io_binding()
        for name, array in inputs.items():
            if array.dtype.kind in "SUO":
                raise CannotLoad(f'input "{name}" is text, which `io_binding` cannot place; leave it out')
            binding.bind_ortvalue_input(name, runtime.OrtValue.ortvalue_from_numpy(array, device, 0))
        for name in outputs:
            binding.bind_output(name, device)
        return binding

    return bind


def _run_bound(session: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    def run(binding: Any) -> Any:  # noqa: ANN401
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding.get_outputs()

    return run


def _outputs(session: Any, axes: Axes) -> tuple[TensorSpec, ...]:  # noqa: ANN401
    tensors = [output for output in session.get_outputs() if output.type in DTYPES]
    if not tensors:
        found = ", ".join(f"{output.name} ({output.type})" for output in session.get_outputs())
        raise CannotLoad(f"no output of the model is a tensor that numpy can hold: {found}")
    return tuple(_spec(tensor, "output", axes) for tensor in tensors)


def _spec(tensor: Any, role: str, axes: Axes) -> TensorSpec:  # noqa: ANN401
    if tensor.type not in DTYPES:
        raise CannotLoad(f'{role} "{tensor.name}" is {tensor.type}, which numpy has no dtype for')
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return tensor_spec(tensor.name, DTYPES[tensor.type], shape, axes)


def _as_text(name: str, array: NDArray[Any]) -> NDArray[np.object_]:
    """ONNX strings are text, golden sets hold bytes."""
    try:
        flat = [value.decode() if isinstance(value, bytes) else str(value) for value in array.ravel()]
    except UnicodeDecodeError as error:
        raise CannotLoad(f'input "{name}" is not UTF-8 text: {error}') from error
    return _object_array(flat, array.shape)


def _as_bytes(array: NDArray[Any]) -> NDArray[np.object_]:
    flat = [value.encode() if isinstance(value, str) else bytes(value) for value in array.ravel()]
    return _object_array(flat, array.shape)


def _object_array(flat: Sequence[object], shape: tuple[int, ...]) -> NDArray[np.object_]:
    import numpy as np  # noqa: PLC0415

    return np.array(flat, dtype=object).reshape(shape)
