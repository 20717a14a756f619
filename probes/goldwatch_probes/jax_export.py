"""The probe for JAX: functions that `jax.export` has serialised, StableHLO inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from goldwatch_probes._local import (
    LocalProbe,
    check_batch,
    digest,
    fixed_batch,
    framework,
    named,
    ordered,
    readable,
    told,
)

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray


class Jax(LocalProbe):
    """A serialised function of JAX in this process; the first request of each size of batch compiles it."""

    needs: ClassVar[str] = "jax"
    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: jax`."""

        file: Path = option("What jax.export.export(...)(...).serialize() returned", path=True)
        inputs: tuple[str, ...] = option("Names of the arguments in order; needed unless they are named", default=())
        outputs: tuple[str, ...] = option("Names of the outputs in order, or which keys to keep", default=())
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._names: tuple[str, ...] = ()

    def open(self) -> None:
        """Read the function. Raises CannotLoad, also if it was exported for another kind of device."""
        options = self._options
        file = readable(Path(options.file))
        jax = framework("jax", "JAX", install_command("jax"))
        export = framework("jax.export", "JAX's export", install_command("jax"))
        try:
            function = export.deserialize(bytearray(file.read_bytes()))
            device = jax.devices()[0]
        except Exception as error:  # whatever reading what is no such file brings
            raise CannotLoad(f"{file}: no function of jax.export: {told(error)}") from error
        if device.platform not in function.platforms:
            raise CannotLoad(f"{file}: exported for {', '.join(function.platforms)}; JAX has {device.platform} here")
        self._names = _names(jax, function, options.inputs, file)
        taken = dict(zip(self._names, function.in_avals, strict=True))
        returned = jax.tree_util.tree_unflatten(function.out_tree, function.out_avals)
        self._run = _runner(jax, function, options.outputs)
        self._description = Description(
            model=options.model or file.stem,
            framework="jax",
            framework_version=jax.__version__,
            device=device.device_kind,
            digest=digest(file),
            inputs=tuple(_spec(name, aval, self._axes.inputs) for name, aval in taken.items()),
            outputs=tuple(
                _spec(name, aval, self._axes.outputs) for name, aval in named(returned, options.outputs).items()
            ),
            batch=fixed_batch(declared_sizes({n: aval.shape for n, aval in taken.items()}, self._axes.inputs)),
        )

    def encode(self, inputs: Tensors) -> list[NDArray[Any]]:
        """Return the arguments in order. Raises CannotLoad with what was found and what the function takes."""
        description = self.describe()
        check_batch(description.batch, check_inputs(inputs, description.inputs))
        return ordered(inputs, self._names, self._axes.inputs)

    def decode(self, response: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the outputs as arrays."""
        import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

        return {name: np.asarray(value) for name, value in response.items()}


def _names(jax: Any, function: Any, written: Sequence[str], file: Path) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the arguments as they are flattened: as written, or the keys of dicts and of keywords."""
    count = len(function.in_avals)
    if written:
        if len(written) != count:
            raise CannotLoad(f"{file}: `inputs` names {len(written)}, the function takes {count}")
        return tuple(written)
    args, kwargs = jax.tree_util.tree_unflatten(function.in_tree, range(count))
    found: dict[int, str] = {}
    for mapping in [*args, kwargs]:
        if isinstance(mapping, Mapping):
            found |= {index: name for name, index in mapping.items() if isinstance(index, int)}
    if len(found) != count:
        raise CannotLoad(f"{file}: the {count} arguments have no names; write them in order as `inputs`")
    return tuple(found[index] for index in range(count))


def _runner(jax: Any, function: Any, names: Sequence[str]) -> Callable[[Sequence[Any]], dict[str, Any]]:  # noqa: ANN401
    """Return what runs a request to the end: JAX returns at once, so its answer is waited for."""
    structure, unflatten = function.in_tree, jax.tree_util.tree_unflatten
    compiled = jax.jit(function.call)

    def run(request: Sequence[Any]) -> dict[str, Any]:
        args, kwargs = unflatten(structure, request)
        return named(jax.device_get(compiled(*args, **kwargs)), names)

    return run


def _spec(name: str, aval: Any, axes: Axes) -> TensorSpec:  # noqa: ANN401
    shape = [size if isinstance(size, int) else -1 for size in aval.shape]
    return tensor_spec(name, aval.dtype.name, shape, axes)
