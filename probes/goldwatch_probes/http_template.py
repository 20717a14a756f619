"""The probe for any other server that takes JSON by HTTP: a template makes the request, expressions read the answer.

BentoML, LitServe, Ray Serve, SageMaker endpoints and what people write by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import Axes, BadAnswer, CannotLoad, Description, Tensors, batch_size, install_command, option
from goldwatch_probes._answers import parse
from goldwatch_probes._bodies import base64_text
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, HttpProbe, Request
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A text that is nothing but this. Braces alone, since the config itself has `${...}` for references.
_PLACE = re.compile(r"\{(base64\()?([^{}\[\]()]+)\)?(\[0\])?\}")
_ALL = "*"


class HttpTemplate(HttpProbe):
    """A model behind one path of a server."""

    needs: ClassVar[str] = "jmespath"

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: http`."""

        path: str = option("Path of predictions, after `url`")
        body: Any = option(
            'The request as JSON; "{NAME}" stands for the values of an input, "{base64(NAME)}" for base64 of its bytes'
        )
        outputs: dict[str, str] = option("JMESPath expression of each output, applied to the answer")
        method: Literal["POST", "PUT"] = option("Method of the request", default="POST")
        health: str = option("Path that answers 200 when the model is ready; nothing is asked if empty", default="")
        model: str = option("Name to show for the model", default="model")
        version: str = option("Version to show for the model", default="")

    takes_batch_axes: ClassVar[bool] = True
    _options: Options
    _expressions: Mapping[str, Any] = {}

    def open(self) -> None:
        """Check the options and connect. Raises CannotLoad, Unreachable or NotReady."""
        options = self._options
        if not options.outputs:
            raise CannotLoad("`outputs` names no output")
        for name in ("path", "health"):
            _check_path(name, getattr(options, name))
        self._expressions = {name: _compiled(name, expression) for name, expression in options.outputs.items()}
        client = self._connect()
        client.connect()
        self.describe()

    def describe(self) -> Description:
        """Check that the model is ready; describe it from the options. Raises CannotLoad, Unreachable or NotReady."""
        client = self._opened()
        if self._options.health:
            client.get(self._options.health.lstrip("/"))
        self._description = Description(model=self._options.model, version=self._options.version)
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Fill in the template. Raises CannotLoad if it does not fit the inputs."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        filling = _Filling(inputs, self._axes.inputs)
        body = filling.fill(self._options.body)
        filling.check_all_used()
        path = self._options.path.lstrip("/")
        return self._opened().request(path, tensors.dump(body), JSON, method=self._options.method)

    def decode(self, response: Answer) -> dict[str, NDArray[Any]]:
        """Return the outputs. Raises BadAnswer."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        answer = parse(response.body)
        found = {name: _found(name, expression, answer) for name, expression in self._expressions.items()}
        alone = {name for name in found if self._axes.outputs.get(name, 0) is None}
        return {
            name: tensors.array([value], name)[0] if name in alone else tensors.array(value, name)
            for name, value in found.items()
        }


class _Filling:
    """The inputs of one request on their way into the template."""

    def __init__(self, inputs: Tensors, axes: Axes) -> None:
        self._inputs = inputs
        self._axes = axes
        self._unused = set(inputs)

    def fill(self, part: Any) -> Any:  # noqa: ANN401 - JSON is anything
        """Return a part of the template with the values in their places. Raises CannotLoad."""
        if isinstance(part, Mapping):
            return {name: self.fill(item) for name, item in part.items()}
        if isinstance(part, (list, tuple)):
            return [self.fill(item) for item in part]
        place = _PLACE.fullmatch(part) if isinstance(part, str) else None
        if not place:
            return part
        return self._values(place[2], single=bool(place[3]), text=base64_text if place[1] else bytes.decode)

    def check_all_used(self) -> None:
        """Raise CannotLoad if the template has no place for an input."""
        if self._unused:
            raise CannotLoad(f"`body` has no place for {', '.join(sorted(self._unused))}; {_places(self._inputs)}")

    def _values(self, name: str, *, single: bool, text: Callable[[bytes], str]) -> Any:  # noqa: ANN401
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        size = batch_size(self._inputs, self._axes)
        if self._axes and (single or name == _ALL):
            place = f"{{{name}{'[0]' if single else ''}}}"
            raise CannotLoad(f'"{place}" in `body` takes examples apart; with a `batch_axis` write {{NAME}} alone')
        if single and size != 1:
            raise CannotLoad(f'"{{{name}[0]}}" in `body` takes one example a request, this one has {size}')
        if name == _ALL:
            self._unused.clear()
            values: Any = tensors.rows(self._inputs, named=True, text=text)
        elif name in self._inputs:
            self._unused.discard(name)
            values = tensors.nested(name, self._inputs[name], text)
        else:
            raise CannotLoad(f'`body` has a place for "{{{name}}}", which is no input; {_places(self._inputs)}')
        return values[0] if single else values


def _places(inputs: Tensors) -> str:
    return f"places are {', '.join(f'{{{name}}}' for name in sorted(inputs))}, and {{*}} for objects of all inputs"


def _check_path(name: str, path: str) -> None:
    if not path.isascii() or not path.isprintable() or " " in path or "#" in path:
        raise CannotLoad(f"`{name}` is {path!r}; it must be a path in ASCII without spaces")


def _compiled(name: str, expression: str) -> Any:  # noqa: ANN401 - jmespath has no types
    try:
        import jmespath  # noqa: PLC0415
    except ImportError as error:
        raise CannotLoad(f"jmespath cannot be imported ({error}); {install_command('jmespath')}") from error
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        why = " ".join(str(error).split())[:200]
        raise CannotLoad(f'the expression of output "{name}" is not JMESPath: {why}') from error


def _found(name: str, expression: Any, answer: Any) -> Any:  # noqa: ANN401
    import jmespath  # noqa: PLC0415

    try:
        value = expression.search(answer)
    except (jmespath.exceptions.JMESPathError, RecursionError) as error:
        raise BadAnswer(f'output "{name}": {" ".join(str(error).split())[:200]}') from error
    if value is None:
        raise BadAnswer(f'output "{name}": the answer has nothing at {expression.expression[:100]}')
    return value
