"""The probe for MLflow's scoring server, `mlflow models serve`, and for others that take its `/invocations`.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from goldwatch.probe import BadAnswer, CannotLoad, Description, Page, Tensors, batch_size, option
from goldwatch_probes._answers import parse_object
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, HttpProbe, Request
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERSION = re.compile(rb"\s*([0-9A-Za-z.+-]{1,40})\s*")


class MlflowScoring(HttpProbe):
    """The one model of an MLflow scoring server."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: mlflow`. `url` is without /invocations."""

        model: str = option("Name to show for the model; the server reports none", default="model")
        version: str = option("Version to show for the model; the server reports none", default="")
        format: Literal["inputs", "dataframe_split", "dataframe_records"] = option(
            "How tensors are laid out in JSON", default="inputs"
        )
        named: bool = option("Send `inputs` by name; false for a signature of one tensor without name", default=True)
        columns: tuple[str, ...] = option("Columns of `dataframe_split`, if the inputs are not all", default=())
        output: str = option("Name of an output that comes without one", default="output")

    _options: Options

    @staticmethod
    def recognise(url: str, model: str, page: Page) -> list[dict[str, Any]]:  # noqa: ARG004 - as RecognisesServers
        """Return the options of the one model: the server tells MLflow's version as bare text."""
        version = page("version")
        told = isinstance(version, str) and version[:1].isdigit() and _VERSION.fullmatch(version.encode())
        return [{"model": model} if model else {}] if told else []

    def open(self) -> None:
        """Connect, and make sure that the server is healthy. Raises CannotLoad, Unreachable or NotReady."""
        self._connect().get("ping")
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it is. Raises CannotLoad, Unreachable or NotReady."""
        version = _VERSION.fullmatch(self._opened().get("version", missing_allowed=True).body)
        self._description = Description(
            model=self._options.model,
            version=self._options.version,
            framework="mlflow",
            framework_version=version[1].decode() if version else "",
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the request. Raises CannotLoad for what the format cannot carry."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        if self._options.format == "dataframe_split":
            body: Any = _table(inputs, self._options.columns)
        elif self._options.format == "dataframe_records":
            body = tensors.rows(inputs, named=True)
        elif self._options.named:
            body = tensors.columns(inputs)
        else:
            body = tensors.rows(inputs, named=False)
        return self._opened().request("invocations", tensors.dump({self._options.format: body}), JSON)

    def decode(self, response: Answer) -> dict[str, NDArray[Any]]:
        """Return the outputs. Raises BadAnswer."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        answer = parse_object(response.body)
        if "predictions" not in answer:
            raise BadAnswer('the answer has no "predictions"')
        return tensors.outputs(answer["predictions"], self._options.output)


def _table(inputs: Tensors, columns: tuple[str, ...]) -> dict[str, Any]:
    """Return a data frame: one column for an input of single values, and for each value of an input of rows.

    Columns have names if all inputs are of single values, or if `columns` gives them. Raises CannotLoad.
    """
    from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

    size, parts = batch_size(inputs), []
    for name, array in inputs.items():
        if array.ndim > 2:
            raise CannotLoad(f'input "{name}" has examples of shape {list(array.shape[1:])}, which no row can hold')
        parts.append(tensors.nested(name, array.reshape(size, -1)))
    data = [[value for part in parts for value in part[i]] for i in range(size)]
    names = list(columns) or ([*inputs] if all(array.ndim == 1 for array in inputs.values()) else [])
    if names and size and len(names) != len(data[0]):
        raise CannotLoad(f"`columns` names {len(names)} columns, the inputs have {len(data[0])}")
    return {"columns": names, "data": data} if names else {"data": data}
