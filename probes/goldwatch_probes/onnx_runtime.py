"""The probe for ONNX models, run in process by ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import (
    BadAnswer,
    CannotLoad,
    Context,
    Description,
    Rejected,
    Tensors,
    TensorSpec,
    check_inputs,
    option,
)

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


class OnnxRuntime:
    """An ONNX model in this process. Outputs that are no tensors (scikit-learn's ZipMap) are left out."""

    served: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str]] = ("onnxruntime", "onnx")

    @dataclass(frozen=True)
    class Options:
        """What a user writes beside `probe: onnx-runtime`."""

        file: Path = option("The model, an .onnx file", path=True)
        threads: int = option("Threads inside one operator; 0 leaves it to ONNX Runtime", default=0)
        providers: tuple[str, ...] = option("Execution providers, the preferred one first", default=(CPU,))
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:  # noqa: ARG002 - a session has no time limit
        self._options = options
        self._session: Any = None
        self._description: Description | None = None
        self._output_names: list[str] = []
        self._fixed_batch: int | None = None

    def open(self) -> None:
        """Read the file and make a session. Raises CannotLoad."""
        runtime = _import_runtime()
        file = Path(self._options.file)
        digest = _digest(file)
        session = _session(runtime, file, self._options)
        inputs = session.get_inputs()
        self._description = Description(
            model=self._options.model or file.stem,
            version=session.get_modelmeta().custom_metadata_map.get("version", ""),
            framework="onnxruntime",
            framework_version=runtime.__version__,
            device=session.get_providers()[0].removesuffix("ExecutionProvider").lower(),
            digest=digest,
            inputs=tuple(_spec(tensor, "input") for tensor in inputs),
            outputs=_outputs(session),
        )
        self._fixed_batch = next((t.shape[0] for t in inputs if t.shape and isinstance(t.shape[0], int)), None)
        self._output_names = [spec.name for spec in self._description.outputs]
        self._session = session

    def describe(self) -> Description:
        """Say what was loaded; `digest` covers the file, not external data beside it. Raises CannotLoad if not open."""
        if self._description is None:
            raise CannotLoad("the probe is not open")
        return self._description

    def encode(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Check `inputs` against the model. Raises CannotLoad with what was found and what it takes."""
        batch = check_inputs(inputs, self.describe().inputs)
        if self._fixed_batch not in (None, batch):
            raise CannotLoad(f"the model takes batches of {self._fixed_batch} only, this one has {batch} examples")
        return {name: _as_text(name, array) if array.dtype.kind in "SUO" else array for name, array in inputs.items()}

    def predict(self, request: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Run the session. Raises Rejected."""
        if self._session is None:
            raise CannotLoad("the probe is not open")
        try:
            return self._session.run(self._output_names, request)  # type: ignore[no-any-return]
        except Exception as error:  # the runtime's own classes have no common base but this
            raise Rejected(_first_line(error)) from error

    def decode(self, response: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """Name the outputs. Raises BadAnswer if one is not the tensor that the model declares."""
        import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

        outputs = {}
        for spec, value in zip(self.describe().outputs, response, strict=True):
            if not isinstance(value, np.ndarray):
                raise BadAnswer(f'output "{spec.name}" is {type(value).__name__}, not a tensor')
            outputs[spec.name] = _as_bytes(value) if spec.dtype == "bytes" else value
        return outputs

    def close(self) -> None:
        """Drop the session and its memory."""
        self._session = None
        self._description = None


def _import_runtime() -> Any:  # noqa: ANN401 - a module without types
    try:
        import onnxruntime  # noqa: PLC0415 - a framework is imported only when a target needs it
    except ImportError as error:
        raise CannotLoad(f"ONNX Runtime cannot be imported ({error}): pip install 'goldwatch[onnx]'") from error
    return onnxruntime


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CannotLoad(f"{file}: {error.strerror or error}") from error


def _session(runtime: Any, file: Path, options: OnnxRuntime.Options) -> Any:  # noqa: ANN401
    # ONNX Runtime falls back to the CPU with no more than a warning, so it is asked beforehand.
    available = runtime.get_available_providers()
    missing = [name for name in options.providers if name not in available]
    if missing or not options.providers:
        wanted = ", ".join(missing) or "given"
        raise CannotLoad(f"no execution provider {wanted}; this ONNX Runtime has {', '.join(available)}")
    if options.threads < 0:
        raise CannotLoad(f"`threads` is {options.threads}, expected 0 or more")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    try:
        session = runtime.InferenceSession(str(file), settings, providers=list(options.providers))
    except Exception as error:  # the runtime's own classes have no common base but this
        raise CannotLoad(f"{file}: {_first_line(error)}") from error
    if session.get_providers()[0] != options.providers[0]:
        raise CannotLoad(f"{options.providers[0]} does not start; ONNX Runtime chose {session.get_providers()[0]}")
    return session


def _outputs(session: Any) -> tuple[TensorSpec, ...]:  # noqa: ANN401
    tensors = [output for output in session.get_outputs() if output.type.startswith("tensor(")]
    if not tensors:
        raise CannotLoad("no output of the model is a tensor")
    return tuple(_spec(tensor, "output") for tensor in tensors)


def _spec(tensor: Any, role: str) -> TensorSpec:  # noqa: ANN401
    if tensor.type not in DTYPES:
        raise CannotLoad(f'{role} "{tensor.name}" is {tensor.type}, which numpy has no dtype for')
    shape = tuple(size if isinstance(size, int) else -1 for size in tensor.shape[1:])
    return TensorSpec(tensor.name, DTYPES[tensor.type], shape)


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


def _first_line(error: Exception) -> str:
    """ONNX Runtime writes one long line, sometimes with a stack below it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
