"""The probe for PyTorch: TorchScript, programs of torch.export, and weights in safetensors for a model made by code.

Python unpickles nothing. The kind of a file is detected from its content, not its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import BadAnswer, CannotLoad, Context, Description, Tensors, check_inputs, install_command, option
from goldwatch_probes._local import (
    NOT_OPEN,
    LocalProbe,
    check_batch,
    check_threads,
    digest,
    framework,
    ordered,
    readable,
    told,
)
from goldwatch_probes._torch_files import Kind, Loaded, kind_of, load_exported, load_script, load_weights, named_tensors

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray

_LOADERS = {Kind.SCRIPT: load_script, Kind.EXPORTED: load_exported, Kind.WEIGHTS: load_weights}


class PyTorch(LocalProbe):
    """A PyTorch model in this process, in inference mode."""

    needs: ClassVar[str] = "torch"
    files: ClassVar[tuple[str, ...]] = ("*.pt", "*.pth", "*.pt2")
    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: pytorch`."""

        file: Path = option("TorchScript, a program of torch.export, or weights as .safetensors", path=True)
        factory: str = option("The factory of the model for weights, module:callable; its code is run", default="")
        path: Path | None = option("Folder to import the factory from", default=None, path=True)
        inputs: tuple[str, ...] = option("Names of the arguments in order; their own if empty", default=())
        outputs: tuple[str, ...] = option("Names of the outputs in order, or which keys to keep", default=())
        device: str = option("Device, such as cuda:0", default="cpu")
        dtype: Literal["", "float16", "bfloat16", "float32", "float64"] = option(
            "Dtype that weights and floating inputs are turned into", default=""
        )
        threads: int = option("Threads inside one operator; 0 leaves it to PyTorch", default=0)
        compile: bool = option("Compile by torch.compile, which the first requests do", default=False)
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._loaded: Loaded | None = None
        self._to_tensor: Callable[..., Any] | None = None

    def open(self) -> None:
        """Load the file onto the device. Raises CannotLoad."""
        options = self._options
        file = readable(Path(options.file))
        kind = kind_of(file)
        check_threads(options.threads)
        _check_options(file, kind, options)
        torch = framework("torch", "PyTorch", install_command("torch"))
        if options.threads:
            torch.set_num_threads(options.threads)
        try:
            device = torch.device(options.device)
            loaded = _LOADERS[kind](torch, file, options, self._axes)
            call = torch.compile(loaded.call) if options.compile else loaded.call
            name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
        except CannotLoad:
            raise
        except Exception as error:  # PyTorch raises all kinds
            raise CannotLoad(f"{file}: {told(error)}") from error
        self._run = _runner(torch, call, device, options.outputs)
        self._to_tensor, self._loaded = torch.tensor, loaded
        self._description = Description(
            model=options.model or file.stem,
            framework="torch",
            framework_version=torch.__version__,
            device=name,
            digest=digest(file),
            inputs=loaded.inputs,
            outputs=loaded.outputs,
            batch=loaded.fixed_batch,
        )

    def encode(self, inputs: Tensors) -> list[Any]:
        """Return tensors in the order of the arguments. Raises CannotLoad if they are not what the model takes."""
        description = self.describe()
        if self._loaded is None or self._to_tensor is None:
            raise CannotLoad(NOT_OPEN)
        if description.inputs:
            check_batch(description.batch, check_inputs(inputs, description.inputs))
        arrays = ordered(inputs, self._loaded.names, self._axes.inputs)
        dtypes = self._loaded.dtypes or (None,) * len(arrays)
        # A copy, since arrays of a golden set are read-only and PyTorch knows no such thing.
        return [
            self._to_tensor(array, dtype=dtype if array.dtype.kind == "f" else None)
            for array, dtype in zip(arrays, dtypes, strict=True)
        ]

    def decode(self, response: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return arrays, bfloat16 as float32. Raises BadAnswer if an output is no tensor."""
        return {name: _array(name, value) for name, value in response.items()}

    def close(self) -> None:
        """Drop the model and its memory."""
        super().close()
        self._loaded = self._to_tensor = None


def _check_options(file: Path, kind: Kind, options: PyTorch.Options) -> None:
    """Refuse options that the kind of file leaves no room for. Raises CannotLoad."""
    if kind is Kind.WEIGHTS and not options.factory:
        raise CannotLoad(f"{file}: {kind.value} are no model; name in `factory` what makes it, as module:callable")
    if kind is not Kind.WEIGHTS and options.factory:
        raise CannotLoad(f"{file}: {kind.value} needs no `factory`; leave it out")
    if kind is Kind.EXPORTED and options.dtype:
        raise CannotLoad(f"{file}: {kind.value} has its dtypes in it; leave out `dtype`, or export it again")
    if kind is Kind.SCRIPT and options.compile:
        raise CannotLoad(f"{file}: {kind.value} cannot be compiled by torch.compile; leave out `compile`")


def _runner(torch: Any, call: Callable[..., Any], device: Any, names: Sequence[str]) -> Callable[[Any], Any]:  # noqa: ANN401
    """Return what runs a request to the end: copies to the device and back are part of it, and wait for the device."""

    def run(request: Sequence[Any]) -> dict[str, Any]:
        with torch.inference_mode():
            answer = call(*(tensor.to(device) for tensor in request))
            return {
                name: value.cpu() if isinstance(value, torch.Tensor) else value
                for name, value in named_tensors(torch, answer, names).items()
            }

    return run


def _array(name: str, value: Any) -> NDArray[Any]:  # noqa: ANN401
    if not hasattr(value, "detach"):
        raise BadAnswer(f'output "{name}" is {type(value).__name__}, not a tensor; name the others in `outputs`')
    tensor = value.detach()
    array: NDArray[Any] = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return array
