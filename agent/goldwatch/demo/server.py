"""A small model server that speaks the Open Inference Protocol (version 2) over HTTP, for the demo and for tests.

    python -m goldwatch.demo.server --model digits=digits.onnx --probe onnx-runtime --port 0

It serves models through an installed in-process probe, so that the agent still imports no framework. Once it is ready
it prints one line of JSON: {"address": "http://127.0.0.1:PORT", "models": ["digits"]}. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from aiohttp import web

from goldwatch import __version__
from goldwatch.demo import wire
from goldwatch.probe import CannotLoad, Context, Description, Probe, ProbeError, Rejected, Tensors

_MAX_REQUEST_BYTES = 64 * 2**20
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Model:
    """One model of the server: a file, and the probe that has it open."""

    def __init__(self, name: str, file: Path, probe_class: Any) -> None:  # noqa: ANN401 - a probe's class has no type
        self.name = name
        self._file = file
        self._probe_class = probe_class
        self._busy = asyncio.Lock()  # a probe takes one request at a time
        self._probe: Probe | None = None
        self._description = Description(model=name)

    @property
    def version(self) -> str:
        """The version that the model reports, or 1."""
        return self._description.version or "1"

    async def load(self) -> None:
        """Open the file as it is now, in place of what was open. Raises ProbeError, and then keeps what was open."""
        probe: Probe = self._probe_class(self._probe_class.Options(file=self._file), Context(time_limit_s=60))
        await asyncio.to_thread(probe.open)
        async with self._busy:
            if self._probe is not None:
                self._probe.close()
            self._probe, self._description = probe, probe.describe()

    async def infer(self, inputs: Tensors) -> Tensors:
        """Run a batch, outside the event loop. Raises ProbeError."""
        async with self._busy:
            return await asyncio.to_thread(self._run, inputs)

    def metadata(self) -> dict[str, Any]:
        """Return what the protocol calls model metadata."""
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": self._description.framework,
            "inputs": [wire.metadata(spec) for spec in self._description.inputs],
            "outputs": [wire.metadata(spec) for spec in self._description.outputs],
        }

    def _run(self, inputs: Tensors) -> Tensors:
        if self._probe is None:
            raise CannotLoad("the model is not loaded")
        return self._probe.decode(self._probe.predict(self._probe.encode(inputs)))


class DemoServer:
    """The routes of the protocol."""

    def __init__(self, models: dict[str, Model]) -> None:
        self._models = models

    def application(self) -> web.Application:
        """Return the routes as an application of aiohttp."""
        app = web.Application(middlewares=[_errors_as_json], client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_get("/v2", self._metadata)
        app.router.add_get("/v2/health/live", self._live)
        app.router.add_get("/v2/health/ready", self._live)  # it listens only once all models are loaded
        for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            app.router.add_get(model, self._model_metadata)
            app.router.add_get(f"{model}/ready", self._model_ready)
            app.router.add_post(f"{model}/infer", self._infer)
        app.router.add_post("/v2/repository/index", self._index)
        app.router.add_post("/v2/repository/models/{model}/load", self._load)
        return app

    async def _metadata(self, _: web.Request) -> web.Response:
        extensions = ["binary_tensor_data", "model_repository"]
        return web.json_response({"name": "goldwatch-demo", "version": __version__, "extensions": extensions})

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _model_metadata(self, request: web.Request) -> web.Response:
        return web.json_response(self._model(request).metadata())

    async def _model_ready(self, request: web.Request) -> web.Response:
        model = self._model(request)
        return web.json_response({"name": model.name, "ready": True})

    async def _infer(self, request: web.Request) -> web.Response:
        model = self._model(request)
        inputs, binary = wire.read(await request.read(), request.headers.get(wire.HEADER))
        outputs = await model.infer(inputs)
        body, headers = wire.write(model.name, model.version, outputs, binary=binary)
        return web.Response(body=body, headers=headers)

    async def _index(self, _: web.Request) -> web.Response:
        models = [{"name": m.name, "version": m.version, "state": "READY"} for m in self._models.values()]
        return web.json_response(models)

    async def _load(self, request: web.Request) -> web.Response:
        await self._model(request).load()
        return web.json_response({})

    def _model(self, request: web.Request) -> Model:
        name, version = request.match_info["model"], request.match_info.get("version")
        model = self._models.get(name)
        if model is None or version not in (None, model.version):
            raise web.HTTPNotFound(reason=f"no model {name!r}" + (f" in version {version!r}" if version else ""))
        return model


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)
    except ProbeError as error:
        status = 400 if isinstance(error, (Rejected, CannotLoad)) else 500
        return web.json_response({"error": str(error)}, status=status)


def probe_class(name: str) -> Any:  # noqa: ANN401 - a probe's class has no type
    """Return the class of the installed in-process probe `name`. Raises CannotLoad."""
    found = list(entry_points(group="goldwatch.probes", name=name))
    if not found:
        installed = ", ".join(sorted(entry_points(group="goldwatch.probes").names))
        raise CannotLoad(f'no probe "{name}" is installed; there are {installed or "none"}')
    cls = found[0].load()
    if cls.served:
        raise CannotLoad(f'the probe "{name}" speaks to another server, and so cannot serve')
    return cls


async def serve(models: dict[str, Path], probe: str, port: int) -> None:
    """Load the models, listen on the loopback, print that, and wait for SIGTERM. Raises ProbeError, OSError."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    cls = probe_class(probe)
    loaded = {name: Model(name, file, cls) for name, file in models.items()}
    for model in loaded.values():
        await model.load()
    runner = web.AppRunner(DemoServer(loaded).application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        ready = {"address": f"http://127.0.0.1:{runner.addresses[0][1]}", "models": list(loaded)}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _model_argument(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if not name or not file:
        raise argparse.ArgumentTypeError(f"{text!r}, expected NAME=FILE")
    return name, Path(file)


def main(arguments: list[str] | None = None) -> int:
    """Run the server with the command line's arguments; return the exit status."""
    parser = argparse.ArgumentParser("python -m goldwatch.demo.server", description="Serve models on the loopback.")
    parser.add_argument("--model", action="append", required=True, type=_model_argument, metavar="NAME=FILE")
    parser.add_argument("--probe", default="onnx-runtime", help="the installed in-process probe that runs them")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(dict(options.model), options.probe, options.port))
    except (ProbeError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # an inference that is still running in its thread is not waited for
