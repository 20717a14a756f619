"""What the probes of servers with the paths of the Open Inference Protocol (version 2) share: one model, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from goldwatch.probe import CannotLoad, Context, Description, option
from goldwatch_probes._answers import newest, text
from goldwatch_probes._http_client import HttpProbe
from goldwatch_probes._remote import RemoteOptions


@dataclass(frozen=True)
class V2Options(RemoteOptions):
    """Options of both. `url` is without /v2."""

    model: str = option("Name of the model at the server")
    version: str = option("Version of the model; the server chooses if empty", default="")


class V2Server(HttpProbe):
    """A model at a server, without how it is asked."""

    _options: V2Options

    def __init__(self, options: V2Options, context: Context) -> None:
        super().__init__(options, context)
        self._model_path = f"v2/models/{quote(options.model, safe='')}"
        if options.version:
            self._model_path += f"/versions/{quote(options.version, safe='')}"

    def open(self) -> None:
        """Connect, make sure that server and model are ready, and read the metadata.

        Raises CannotLoad, Unreachable or NotReady.
        """
        if not self._options.model:
            raise CannotLoad("`model` is empty")
        client = self._connect()
        client.get("v2/health/ready")
        client.get(f"{self._model_path}/ready")
        self.describe()

    def describe(self) -> Description:
        """Ask the server what it serves now. Raises CannotLoad, Unreachable or NotReady."""
        model = self._opened().page(self._model_path)
        server = self._opened().page("v2", missing_allowed=True)
        self._description = Description(
            model=self._options.model,
            version=self._options.version or newest(model.get("versions")),
            framework=text(server.get("name")) or text(model.get("platform")),
            framework_version=text(server.get("version")),
            **self._declared(model),
        )
        return self._description

    def _declared(self, model: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - for those who read tensors
        """Return what the metadata of the model say of its tensors, as far as the probe holds answers against them."""
        return {}
