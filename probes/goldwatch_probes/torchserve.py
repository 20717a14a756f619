"""The probe for TorchServe, by its inference API and, if its address is given, its management API.

The model's handler defines the form of a request. https://pytorch.org/serve/inference_api.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from goldwatch.probe import BadAnswer, CannotLoad, Context, Description, NotReady, Page, Tensors, option
from goldwatch_probes._answers import newest, parse, text
from goldwatch_probes._bodies import as_bytes, base64_text, class_scores
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, Client, HttpProbe, Request
from goldwatch_probes._remote import RemoteOptions, with_token

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TorchServe(HttpProbe):
    """A model behind TorchServe's inference API."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: torchserve`. `url` is that of the inference API."""

        model: str = option("Name of the model at the server")
        version: str = option("Version of the model; the server chooses if empty", default="")
        management_url: str = option("Address of the management API, for version and readiness", default="", url=True)
        management_token: str = option("Bearer token of the management API", default="", secret=True)
        examples: str = option("Key of the request under which the examples are; none if empty", default="instances")
        named: bool = option("Send each example as an object of inputs by name", default=False)
        predictions: str = option(
            "Key of the answer under which the outputs are, if it is there", default="predictions"
        )
        output: str = option("Name of an output that comes without one", default="output")
        body: Literal["json", "base64", "raw", "multipart"] = option(
            "How examples are sent: base64 is text in JSON, raw and multipart are the bytes of one example a request",
            default="json",
        )
        classes: tuple[str, ...] = option(
            "Order of the classes of an answer {class: score}; a class that it leaves out has the score 0", default=()
        )

    _options: Options

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._management: Client | None = None
        self._model_path = quote(options.model, safe="")
        if options.version:
            self._model_path += f"/{quote(options.version, safe='')}"

    @staticmethod
    def recognise(url: str, model: str, page: Page) -> list[dict[str, Any]]:  # noqa: ARG004 - as RecognisesServers
        """Return the options of the named model; the inference API lists none."""
        health = page("ping")
        if not isinstance(health, dict) or not isinstance(health.get("status"), str):
            return []
        return [{"model": model} if model else {}]

    def open(self) -> None:
        """Connect, and make sure that the server is healthy and, if it can be asked, that the model has a worker.

        Raises CannotLoad, Unreachable or NotReady.
        """
        options = self._options
        if not options.model:
            raise CannotLoad("`model` is empty")
        self._connect().get("ping")
        if options.management_url:
            self._management = Client(
                with_token(options, options.management_url, options.management_token), self._context
            )
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        # The answer to OPTIONS is an OpenAPI document, whose version is that of the server.
        version = self._version()
        info = self._opened().page("", missing_allowed=True, method="OPTIONS").get("info")
        self._description = Description(
            model=self._options.model,
            version=self._options.version or version,
            framework="torchserve",
            framework_version=text(info.get("version")) if isinstance(info, dict) else "",
        )
        return self._description

    def encode(self, inputs: Tensors) -> Request:
        """Make the request. Raises CannotLoad for what JSON cannot carry."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        path, how = f"predictions/{self._model_path}", self._options.body
        if how in ("raw", "multipart"):
            return self._opened().request(path, *as_bytes(inputs, as_form=how == "multipart"))
        text = base64_text if how == "base64" else bytes.decode
        rows = tensors.rows(inputs, named=self._options.named or len(inputs) > 1, text=text)
        body = {self._options.examples: rows} if self._options.examples else rows
        return self._opened().request(path, tensors.dump(body), JSON)

    def decode(self, response: Answer) -> dict[str, NDArray[Any]]:
        """Return the outputs. Raises BadAnswer."""
        from goldwatch_probes import _json_tensors as tensors  # noqa: PLC0415

        answer = parse(response.body)
        if isinstance(answer, dict):
            answer = answer.get(self._options.predictions, answer)
        if classes := self._options.classes:
            return {self._options.output: class_scores(answer, classes)}
        if isinstance(answer, dict) and answer and all(type(score) in (int, float) for score in answer.values()):
            raise BadAnswer("the answer has a score for each class; name them, in order, in `classes`")
        return tensors.outputs(answer, self._options.output)

    def close(self) -> None:
        """Close the connections."""
        if self._management is not None:
            self._management.close()
        self._management = None
        super().close()

    def _version(self) -> str:
        """Return the version from the management API, once one of its workers is ready. Raises NotReady."""
        if self._management is None:
            return ""
        path = f"models/{self._model_path}"
        where = f"{self._management.url}/{path}"
        models = _models(self._management.get(path), where)
        ready = [model for model in models if _has_ready_worker(model)]
        if not ready:
            raise NotReady(f'{where}: no worker of model "{self._options.model}" is ready')
        return newest([text(model.get("modelVersion")) for model in ready])


def _models(answer: Answer, where: str) -> list[Mapping[str, Any]]:
    """Return the versions of a model as the management API lists them. Raises CannotLoad."""
    try:
        models = parse(answer.body)
    except BadAnswer as error:
        raise CannotLoad(f"{where}: {error}") from error
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        raise CannotLoad(f"{where}: the answer is no list of versions; is `management_url` right?")
    return models


def _has_ready_worker(model: Mapping[str, Any]) -> bool:
    workers = model.get("workers")
    return isinstance(workers, list) and any(isinstance(w, dict) and w.get("status") == "READY" for w in workers)
