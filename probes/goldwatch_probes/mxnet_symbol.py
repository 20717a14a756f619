"""The probe for Apache MXNet: a symbol and its parameters.

MXNet 1.9.1, its last release, needs numpy before 1.24, and so an interpreter of its own (the target's `python`). This
module needs nothing there but numpy, MXNet and goldwatch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import BadAnswer, CannotLoad, Context, Description, Tensors, option
from goldwatch_probes._local import NOT_OPEN, LocalProbe, digest, framework, named, ordered, readable, told

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray

_REMEDY = "pip install mxnet==1.9.1 'numpy<1.24' in an environment of its own, and name its interpreter in `python`"


class MXNet(LocalProbe):
    """An MXNet model in this process."""

    needs: ClassVar[str] = "mxnet"
    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: mxnet`."""

        file: Path = option("The symbol, a .json file", path=True)
        params: Path = option("The parameters, a .params file", path=True)
        inputs: tuple[str, ...] = option("Inputs of the symbol; those that have no parameters if empty", default=())
        outputs: tuple[str, ...] = option("Names of the outputs in order; the symbol's own if empty", default=())
        context: str = option("Device: cpu, gpu, or gpu(1)", default="cpu")
        model: str = option("Name to show for the model; the stem of the symbol if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._names: tuple[str, ...] = ()
        self._to_array: Callable[..., Any] | None = None

    def open(self) -> None:
        """Load symbol and parameters. Raises CannotLoad."""
        options = self._options
        file, params = readable(Path(options.file)), readable(Path(options.params))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it speaks of numpy's future, which is past
            mxnet = framework("mxnet", "MXNet", _REMEDY)
            try:
                context = _context(mxnet, options.context)
                symbol = mxnet.sym.load(str(file))
                self._names = tuple(options.inputs or _without_parameters(mxnet, symbol, params))
                block = mxnet.gluon.SymbolBlock.imports(str(file), list(self._names), str(params), ctx=context)
            except CannotLoad:
                raise
            except Exception as error:  # MXNet raises all kinds
                raise CannotLoad(f"{file} with {params}: {told(error)}") from error
        self._run = _runner(block, context, options.outputs or symbol.list_outputs())
        # In the main memory: the copy to the device is part of the request.
        self._to_array = lambda array: mxnet.nd.array(array, dtype=array.dtype, ctx=mxnet.cpu())
        self._description = Description(
            model=options.model or file.stem,
            framework="mxnet",
            framework_version=mxnet.__version__,
            device=str(context),
            digest=digest(file, params),
        )

    def encode(self, inputs: Tensors) -> list[Any]:
        """Return arrays of MXNet in the order of the inputs. Raises CannotLoad for other names."""
        if self._to_array is None:
            raise CannotLoad(NOT_OPEN)
        return [self._to_array(array) for array in ordered(inputs, self._names, self._axes.inputs)]

    def decode(self, response: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the outputs, which `predict` has waited for."""
        return dict(response)

    def close(self) -> None:
        """Drop the model and its memory."""
        super().close()
        self._to_array = None


def _context(mxnet: Any, written: str) -> Any:  # noqa: ANN401
    kind, _, number = written.rstrip(")").partition("(")
    if kind not in ("cpu", "gpu") or not (number.isdigit() or not number):
        raise CannotLoad(f"`context` is {written!r}, expected cpu, gpu or gpu(NUMBER)")
    return mxnet.Context(kind, int(number or 0))


def _without_parameters(mxnet: Any, symbol: Any, params: Path) -> list[str]:  # noqa: ANN401
    stored = {name.partition(":")[2] or name for name in mxnet.nd.load(str(params))}
    names = [name for name in symbol.list_inputs() if name not in stored]
    if not names:
        raise CannotLoad(f"{params}: every input of the symbol has parameters; name those to fill in `inputs`")
    return names


def _runner(block: Any, context: Any, names: list[str]) -> Callable[[list[Any]], dict[str, Any]]:  # noqa: ANN401
    """Return what runs a request to the end: MXNet returns at once, only the copy back waits for the answer."""

    def run(request: list[Any]) -> dict[str, Any]:
        answer = named(block(*(array.as_in_context(context) for array in request)), names)
        return {name: _array(name, value) for name, value in answer.items()}

    return run


def _array(name: str, value: Any) -> Any:  # noqa: ANN401
    if not hasattr(value, "asnumpy"):
        raise BadAnswer(f'output "{name}" is {type(value).__name__}, not an array')
    return value.asnumpy()
