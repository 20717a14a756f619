"""The files that PyTorch models come in: told apart by content, and loaded without Python's pickle.

TorchScript and exported programs are programs: they run what their author wrote, though in PyTorch's own operators.
"""

from __future__ import annotations

import inspect
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from goldwatch.probe import Axes, BatchAxes, CannotLoad, TensorSpec, declared_sizes, install_command, tensor_spec
from goldwatch_probes._local import fixed_batch, framework, imported, named, told

HOW_TO_EXPORT = (
    "export it by torch.export.save(torch.export.export(model, examples), 'model.pt2'), "
    "or save its weights by safetensors.torch.save_file(model.state_dict(), 'model.safetensors') and name a `factory`"
)
_FORCE_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class Kind(Enum):
    """The content of a model file."""

    SCRIPT = "TorchScript"
    EXPORTED = "a program of torch.export"
    WEIGHTS = "weights as safetensors"


@dataclass(frozen=True)
class Loaded:
    """A model on its device. `inputs` and `outputs` are empty if the file does not declare them.

    `call` takes the tensors in the order of `names`. `dtypes` are what floating inputs are turned into, by position;
    empty for no change. `fixed_batch` is the one size of batch that it takes, 0 for any.
    """

    call: Callable[..., Any]
    names: tuple[str, ...]
    dtypes: tuple[Any, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    fixed_batch: int = 0


def kind_of(file: Path) -> Kind:
    """Tell by its content what a file holds. Raises CannotLoad for a pickle, with how to export the model."""
    with file.open("rb") as stream:
        head = stream.read(9)
    if head.startswith(b"PK"):
        return _kind_of_archive(file)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < file.stat().st_size:
        return Kind.WEIGHTS
    found = "a pickle, which runs code as it is loaded" if head[:1] == b"\x80" else "none of these"
    raise CannotLoad(f"{file}: {found}; expected {_expected()}: {HOW_TO_EXPORT}")


def _kind_of_archive(file: Path) -> Kind:
    try:
        with zipfile.ZipFile(file) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise CannotLoad(f"{file}: a damaged archive ({error}); copy or export it again") from error
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return Kind.SCRIPT
    if "archive_format" in names and any(name.startswith("models/") for name in names):
        return Kind.EXPORTED
    if "data.pkl" in names:
        raise CannotLoad(f"{file}: a pickle by torch.save, which runs code as it is loaded; {HOW_TO_EXPORT}")
    raise CannotLoad(f"{file}: an archive of something else; expected {_expected()}: {HOW_TO_EXPORT}")


def _expected() -> str:
    return ", ".join(kind.value for kind in Kind)


def load_script(torch: Any, file: Path, options: Any, axes: BatchAxes) -> Loaded:  # noqa: ARG001, ANN401
    """Load TorchScript, whose arguments have names and no shapes."""
    module = torch.jit.load(str(file), map_location=options.device).eval()
    module, dtype = _cast(torch, module, options.dtype)
    arguments = [argument.name for argument in module.forward.schema.arguments[1:] if not argument.has_default_value()]
    names = tuple(options.inputs or arguments)
    return Loaded(module, names, (dtype,) * len(names))


def load_weights(torch: Any, file: Path, options: Any, axes: BatchAxes) -> Loaded:  # noqa: ARG001, ANN401
    """Make the model by the user's factory, and load the weights. None may be missing or left over."""
    tensors = framework("safetensors.torch", "safetensors", install_command("torch")).load_file(str(file))
    factory = imported(options.factory, options.path, "factory")
    try:
        module = factory()
    except Exception as error:  # the user's own code
        raise CannotLoad(f"`factory` {options.factory}: {told(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise CannotLoad(f"`factory` {options.factory} made {type(module).__name__}, expected a torch.nn.Module")
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = " ".join(line.strip() for line in str(error).splitlines())
        raise CannotLoad(f"{file}: {lines[:300]}") from error
    module, dtype = _cast(torch, module.eval().to(options.device), options.dtype)
    names = tuple(options.inputs or _arguments(module.forward))
    return Loaded(module, names, (dtype,) * len(names))


def _cast(torch: Any, module: Any, dtype: str) -> tuple[Any, Any]:  # noqa: ANN401
    if not dtype:
        return module, None
    return module.to(getattr(torch, dtype)), getattr(torch, dtype)


def _arguments(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]


def load_exported(torch: Any, file: Path, options: Any, axes: BatchAxes) -> Loaded:  # noqa: ANN401
    """Load a program of torch.export, which declares everything but the names of outputs."""
    _check_constants(file)
    with _weights_only():
        program = torch.export.load(str(file))
    if torch.device(options.device).type != "cpu":
        moved = framework("torch.export.passes", "PyTorch's passes", install_command("torch"))
        program = moved.move_to_device_pass(program, options.device)
    taken = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    arguments = [spec.arg for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    found = tuple(argument.name for argument in arguments if not _is_constant(argument))
    names = tuple(options.inputs or found)
    if len(names) != len(found):
        raise CannotLoad(f"`inputs` names {len(names)}, the program takes {len(found)}: {', '.join(found)}")
    values = [taken[name] for name in found]
    return Loaded(
        call=_flat(torch, program, arguments),
        names=names,
        dtypes=tuple(value.dtype if value.dtype.is_floating_point else None for value in values),
        inputs=tuple(_spec(name, value, axes.inputs) for name, value in zip(names, values, strict=True)),
        outputs=_outputs(torch, program, options.outputs, axes.outputs),
        fixed_batch=fixed_batch(
            declared_sizes({n: value.shape for n, value in zip(names, values, strict=True)}, axes.inputs)
        ),
    )


def _check_constants(file: Path) -> None:
    """Refuse constants that PyTorch would unpickle as objects of Python."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.endswith("_constants_config.json"):
                for constant, entry in json.loads(archive.read(name)).get("config", {}).items():
                    if str(entry.get("path_name", "")).startswith("opaque_obj"):
                        raise CannotLoad(
                            f"{file}: the constant {constant!r} is a pickle, which runs code; leave it out"
                        )


@contextmanager
def _weights_only() -> Iterator[None]:
    """Keep PyTorch from unpickling anything but tensors: it falls back to that by itself otherwise."""
    before = os.environ.get(_FORCE_WEIGHTS_ONLY)
    os.environ[_FORCE_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        del os.environ[_FORCE_WEIGHTS_ONLY]
        if before is not None:
            os.environ[_FORCE_WEIGHTS_ONLY] = before


def _is_constant(argument: Any) -> bool:  # noqa: ANN401
    """Return whether an argument is no tensor: the number, text or None that the program was exported with."""
    return hasattr(argument, "value")


def _flat(torch: Any, program: Any, arguments: Sequence[Any]) -> Callable[..., Any]:  # noqa: ANN401
    """Return the program as a function of its tensors in order, however its arguments are nested."""
    module, structure, unflatten = program.module(), program.call_spec.in_spec, torch.utils._pytree.tree_unflatten

    def call(*tensors: Any) -> Any:  # noqa: ANN401
        rest = iter(tensors)
        flat = [argument.value if _is_constant(argument) else next(rest) for argument in arguments]
        args, kwargs = unflatten(flat, structure)
        return module(*args, **kwargs)

    return call


def _outputs(torch: Any, program: Any, names: Sequence[str], axes: Axes) -> tuple[TensorSpec, ...]:  # noqa: ANN401
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    arguments = [spec.arg for spec in program.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    flat = [None if _is_constant(argument) else values[argument.name] for argument in arguments]
    answer = named_tensors(torch, torch.utils._pytree.tree_unflatten(flat, program.call_spec.out_spec), names)
    return tuple(_spec(name, value, axes) for name, value in answer.items())


def named_tensors(torch: Any, answer: Any, names: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401
    """Return the tensors of an answer by name, those of nested outputs as "outer.inner"; what is None is left out.

    `names` is as of `goldwatch_probes._local.named`. Raises BadAnswer.
    """
    return {path: leaf for name, value in named(answer, names).items() for path, leaf in _leaves(torch, name, value)}


def _leaves(torch: Any, name: str, value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if isinstance(value, Mapping) or (isinstance(value, (tuple, list)) and not isinstance(value, torch.Tensor)):
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _leaves(torch, f"{name}.{key}", each)
    elif value is not None:
        yield name, value


def _spec(name: str, value: Any, axes: Axes) -> TensorSpec:  # noqa: ANN401
    dtype = str(value.dtype).removeprefix("torch.")
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return tensor_spec(name, "float32" if dtype == "bfloat16" else dtype, shape, axes)
