"""The probe for anything that Python can call: for what no other probe loads, and for the user's own pre-processing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any, ClassVar

from goldwatch.probe import BadAnswer, CannotLoad, Description, Tensors, batch_size, option
from goldwatch_probes._local import LocalProbe, digest, imported, named, told

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray


class PythonCallable(LocalProbe):
    """A callable of the user's code: takes a mapping of arrays, returns an array, several, or a mapping of them."""

    takes_batch_axes: ClassVar[bool] = True

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: python`."""

        callable: str = option("The callable for each batch, module:name; its code is run")
        path: Path | None = option("Folder to import it from", default=None, path=True)
        factory: bool = option(
            "It makes the model: it is called once, and what it returns with each batch", default=False
        )
        arguments: dict[str, Any] = option("Keyword arguments of the factory", default_factory=dict)
        outputs: tuple[str, ...] = option("Names of the outputs in order, or which keys to keep", default=())
        model: str = option("Name to show for the model; that of the callable if empty", default="")

    def open(self) -> None:
        """Import the callable, and make the model if it is a factory. Raises CannotLoad."""
        options = self._options
        if options.arguments and not options.factory:
            raise CannotLoad("`arguments` are those of a factory; set `factory: true`, or leave them out")
        found = imported(options.callable, options.path, "callable")
        call = self._made(found) if options.factory else found
        self._run = lambda request: named(call(request), options.outputs)
        self._description = Description(
            model=options.model or options.callable.partition(":")[2],
            framework="python",
            framework_version=python_version(),
            device="",
            digest=_digest(options.callable),
        )

    def _made(self, factory: Any) -> Any:  # noqa: ANN401 - the user's own
        try:
            made = factory(**self._options.arguments)
        except Exception as error:  # the user's code does what it likes
            raise CannotLoad(f"`callable` {self._options.callable}: {told(error)}") from error
        if not callable(made):
            raise CannotLoad(f"`callable` {self._options.callable} made {type(made).__name__}, expected a callable")
        return made

    def encode(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Return the inputs as they are. Raises CannotLoad if they have no common number of examples."""
        self.describe()
        batch_size(inputs, self._axes.inputs)
        return dict(inputs)

    def decode(self, response: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the outputs as arrays. Raises BadAnswer if one cannot be made an array."""
        import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

        outputs = {}
        for name, value in response.items():
            try:
                outputs[name] = np.asarray(value)
            except Exception as error:  # rows of unequal length; arrays of other libraries raise their own
                raise BadAnswer(f'output "{name}" is no array: {told(error)}') from error
        return outputs


def _digest(reference: str) -> str:
    """Return the digest of the module's file: not of what else it imports or reads."""
    file = getattr(sys.modules[reference.partition(":")[0]], "__file__", None)
    return digest(Path(file)) if file else ""
