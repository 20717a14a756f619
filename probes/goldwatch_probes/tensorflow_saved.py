"""The probe for TensorFlow: SavedModel folders by signature, and Keras 3 files."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import (
    Axes,
    CannotLoad,
    Description,
    Tensors,
    TensorSpec,
    check_inputs,
    declared_sizes,
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

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray

SIGNATURE = "serving_default"

Found = tuple[Callable[..., Mapping[str, Any]], Mapping[str, Any], Mapping[str, Any]]
"""A function of named tensors that returns named tensors, and what it takes and returns: name -> TensorFlow's spec."""


class TensorFlow(LocalProbe):
    """A TensorFlow model in this process."""

    # TensorFlow itself comes as tensorflow or tensorflow-cpu; each brings this.
    needs: ClassVar[str] = "keras"
    files: ClassVar[tuple[str, ...]] = ("*.keras", "saved_model.pb")
    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: tensorflow`."""

        file: Path = option("A SavedModel folder, or a .keras file", path=True)
        signature: str = option("Signature of the SavedModel", default=SIGNATURE)
        device: str = option("Device, such as GPU:0 or CPU:0; TensorFlow chooses if empty", default="")
        xla: bool = option("Compile by XLA, which the first requests do", default=False)
        threads: int = option("Threads inside one operator; 0 leaves it to TensorFlow", default=0)
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def open(self) -> None:
        """Load the model. Raises CannotLoad."""
        options = self._options
        path = Path(options.file)
        load = _saved_model if path.is_dir() else _keras
        check_threads(options.threads)
        _check_kind(path)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # the last line on stderr shall be that of a crash
        tensorflow = framework("tensorflow", "TensorFlow", install_command("keras"))
        _set_threads(tensorflow, options.threads)
        _check_device(tensorflow, options.device)
        try:
            with _placed(tensorflow, options.device):
                call, inputs, outputs = load(tensorflow, path, options)
                if options.xla:
                    call = tensorflow.function(call, jit_compile=True)
        except CannotLoad:
            raise
        except Exception as error:  # TensorFlow raises all kinds
            raise CannotLoad(f"{path}: {told(error)}") from error
        axes = self._axes
        self._run = _runner(tensorflow, call, options.device)
        self._description = Description(
            model=options.model or path.stem,
            framework="tensorflow",
            framework_version=tensorflow.__version__,
            device=options.device or ("GPU:0" if tensorflow.config.list_physical_devices("GPU") else "CPU:0"),
            digest=digest(path),
            inputs=tuple(_spec(name, spec, axes.inputs) for name, spec in inputs.items()),
            outputs=tuple(
                _spec(name, spec, axes.outputs) for name, spec in outputs.items() if spec.shape.rank is not None
            ),
            batch=fixed_batch(declared_sizes({name: list(spec.shape) for name, spec in inputs.items()}, axes.inputs)),
        )

    def encode(self, inputs: Tensors) -> Tensors:
        """Check `inputs` against the model. Raises CannotLoad with what was found and what it takes."""
        description = self.describe()
        check_batch(description.batch, check_inputs(inputs, description.inputs))
        return dict(inputs)

    def decode(self, response: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs, which `predict` has fetched from the device."""
        return dict(response)


def _check_kind(path: Path) -> None:
    """Raise CannotLoad unless it looks like one of the two formats that hold no pickled code."""
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise CannotLoad(f"{path}: no saved_model.pb in it; name the folder that tf.saved_model.save wrote")
        return
    if not zipfile.is_zipfile(readable(path)):
        raise CannotLoad(f"{path}: neither a SavedModel folder nor a .keras file; write it by model.save('NAME.keras')")


def _set_threads(tensorflow: Any, threads: int) -> None:  # noqa: ANN401
    threading = tensorflow.config.threading
    if threads and threading.get_intra_op_parallelism_threads() != threads:
        try:
            threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError as error:  # it has run something in this process already
            raise CannotLoad(f"`threads`: {told(error)}") from error


def _check_device(tensorflow: Any, device: str) -> None:  # noqa: ANN401
    """Raise CannotLoad if there is no such device: TensorFlow would take another one without a word."""
    there = [found.name.removeprefix("/device:") for found in tensorflow.config.list_logical_devices()]
    if device and device not in there:
        raise CannotLoad(f"`device` is {device!r}; TensorFlow has {', '.join(there)}")


def _placed(tensorflow: Any, device: str) -> AbstractContextManager[Any]:  # noqa: ANN401
    placed: AbstractContextManager[Any] = tensorflow.device(device) if device else contextlib.nullcontext()
    return placed


def _saved_model(tensorflow: Any, path: Path, options: TensorFlow.Options) -> Found:  # noqa: ANN401
    loaded = tensorflow.saved_model.load(str(path))
    if options.signature not in loaded.signatures:
        there = ", ".join(sorted(loaded.signatures)) or "none"
        raise CannotLoad(f"{path}: no signature {options.signature!r}; it has {there}")
    function = loaded.signatures[options.signature]

    def call(**tensors: Any) -> Any:  # noqa: ANN401
        return loaded.signatures[options.signature](**tensors)  # the signature alone does not keep its variables

    return call, function.structured_input_signature[1], function.structured_outputs


def _keras(tensorflow: Any, path: Path, options: TensorFlow.Options) -> Found:  # noqa: ANN401
    if options.signature != SIGNATURE:
        raise CannotLoad(f"{path}: a .keras file has no signatures; leave out `signature`")
    keras = framework("keras", "Keras", install_command("keras"))
    if keras.backend.backend() != "tensorflow":
        raise CannotLoad(f"Keras is set to {keras.backend.backend()}; set KERAS_BACKEND=tensorflow")
    model = keras.models.load_model(str(path), compile=False, safe_mode=True)  # no Lambda with pickled code
    if not getattr(model, "inputs", None):
        raise CannotLoad(
            f"{path}: the model does not say what its inputs are; call it once before model.save, or export it"
        )
    takes = {t.name: tensorflow.TensorSpec(t.shape, t.dtype) for t in model.inputs}
    returns = {
        name: tensorflow.TensorSpec(t.shape, t.dtype) for name, t in zip(_names(model), model.outputs, strict=True)
    }
    names = list(returns)
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input

    @tensorflow.function  # type: ignore[untyped-decorator]
    def call(**tensors: Any) -> dict[str, Any]:  # noqa: ANN401
        arguments = keras.tree.map_structure(lambda tensor: tensors[tensor.name], structure)
        return dict(zip(names, keras.tree.flatten(model(arguments, training=False)), strict=True))

    return call, takes, returns


def _names(model: Any) -> list[str]:  # noqa: ANN401
    """Return the names of the outputs: a Sequential of Keras 3 has none, and its last layer gives the one output."""
    names = getattr(model, "output_names", None)
    return list(names) if names else [model.layers[-1].name]


def _runner(tensorflow: Any, call: Callable[..., Any], device: str) -> Callable[[Tensors], Any]:  # noqa: ANN401
    """Return what runs a request to the end: copies to the device and back are part of it."""

    def run(request: Tensors) -> dict[str, NDArray[Any]]:
        with _placed(tensorflow, device):
            answer = call(**{name: tensorflow.constant(array) for name, array in request.items()})
            return {name: tensor.numpy() for name, tensor in answer.items()}

    return run


def _spec(name: str, spec: Any, axes: Axes) -> TensorSpec:  # noqa: ANN401
    dtype = "bytes" if spec.dtype.name == "string" else spec.dtype.name
    if spec.shape.rank is None:
        raise CannotLoad(f'"{name}" has no known number of axes; save the model with an input signature')
    return tensor_spec(name, dtype, [-1 if size is None else int(size) for size in spec.shape], axes)
