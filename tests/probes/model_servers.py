"""Small servers of several makers' APIs, written from their documentation, over real ONNX models on real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from aiohttp import web

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits/digits.onnx"
_TF = {"tensor(float)": "DT_FLOAT", "tensor(int64)": "DT_INT64"}
_V2 = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


class OnnxModel:
    def __init__(self, file: Path) -> None:
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = self.session.get_inputs(), self.session.get_outputs()

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        names = [tensor.name for tensor in self.outputs]
        given = {name: np.asarray(values, dtype=np.float32) for name, values in inputs.items()}
        return dict(zip(names, self.session.run(names, given), strict=True))


def _unnamed(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values


def _rows(outputs: dict[str, np.ndarray]) -> list[Any]:
    lists = {name: array.tolist() for name, array in outputs.items()}
    size = len(next(iter(lists.values())))
    return [_unnamed({name: values[i] for name, values in lists.items()}) for i in range(size)]


def _columns(outputs: dict[str, np.ndarray]) -> Any:
    return _unnamed({name: array.tolist() for name, array in outputs.items()})


class Servers:
    """The routes of all of them; `requests` are the (path, headers) that came."""

    def __init__(self, models: dict[str, OnnxModel]) -> None:
        self.models = models
        self.requests: list[tuple[str, Any]] = []

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._remember], client_max_size=2**26)
        for base in ("/v1/models/{model}", "/v1/models/{model}/versions/{version}", "/v1/models/{model}/labels/prod"):
            app.router.add_get(base, self.tf_status)
            app.router.add_get(f"{base}/metadata", self.tf_metadata)
            app.router.add_post(f"{base}:predict", self.tf_predict)
        app.router.add_get("/kserve/v1/models/{model}", self.kserve_ready)
        app.router.add_post("/kserve/v1/models/{model}:predict", self.tf_predict)
        app.router.add_get("/ping", self.ping)
        app.router.add_route("OPTIONS", "/", self.torchserve_openapi)
        app.router.add_get("/models/{model}", self.torchserve_model)
        app.router.add_post("/predictions/{model}", self.torchserve_predict)
        app.router.add_post("/predictions/{model}/{version}", self.torchserve_predict)
        app.router.add_get("/version", self.mlflow_version)
        app.router.add_post("/invocations", self.mlflow_invocations)
        app.router.add_post("/bare", self.bare)
        return app

    def model(self, request: web.Request) -> OnnxModel:
        model = self.models.get(request.match_info["model"])
        if model is None or request.match_info.get("version", "3") != "3":
            raise web.HTTPNotFound(text=json.dumps({"error": "Could not find any versions of the model"}))
        return model

    @web.middleware
    async def _remember(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.path, request.headers))
        answer: web.StreamResponse = await handler(request)
        return answer

    async def ping(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "Healthy"})

    # TensorFlow Serving and KServe v1

    async def tf_status(self, request: web.Request) -> web.Response:
        self.model(request)
        ok = {"error_code": "OK", "error_message": ""}
        states = [("2", "END"), ("3", "AVAILABLE")]
        versions = [{"version": version, "state": state, "status": ok} for version, state in states]
        return web.json_response({"model_version_status": versions})

    async def tf_metadata(self, request: web.Request) -> web.Response:
        model = self.model(request)
        signature = {"inputs": self._infos(model.inputs), "outputs": self._infos(model.outputs), "method_name": "p"}
        signatures = {"serving_default": signature, "__saved_model_init_op": {"inputs": {}, "outputs": {}}}
        spec = {"name": request.match_info["model"], "signature_name": "", "version": "3"}
        return web.json_response({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}})

    @staticmethod
    def _infos(tensors: list[Any]) -> dict[str, Any]:
        def info(tensor: Any) -> dict[str, Any]:
            dims = [{"size": str(size if isinstance(size, int) else -1), "name": ""} for size in tensor.shape]
            return {"dtype": _TF[tensor.type], "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": "n:0"}

        return {tensor.name: info(tensor) for tensor in tensors}

    async def tf_predict(self, request: web.Request) -> web.Response:
        model, body = self.model(request), await request.json()
        name = model.inputs[0].name
        if "instances" in body:
            rows = [row[name] if isinstance(row, dict) else row for row in body["instances"]]
            return web.json_response({"predictions": _rows(model.run({name: rows}))})
        inputs = body["inputs"] if isinstance(body["inputs"], dict) else {name: body["inputs"]}
        return web.json_response({"outputs": _columns(model.run(inputs))})

    async def kserve_ready(self, request: web.Request) -> web.Response:
        self.model(request)
        return web.json_response({"name": request.match_info["model"], "ready": True})

    # TorchServe

    async def torchserve_openapi(self, _: web.Request) -> web.Response:
        return web.json_response({"openapi": "3.0.1", "info": {"title": "TorchServe APIs", "version": "0.12.0"}})

    async def torchserve_model(self, request: web.Request) -> web.Response:
        self.model(request)
        status = "UNLOADING" if request.match_info["model"] == "stuck" else "READY"
        return web.json_response([{"modelVersion": "3", "workers": [{"id": "9000", "status": status}]}])

    async def torchserve_predict(self, request: web.Request) -> web.Response:
        model, body = self.model(request), await request.json()
        wrapped = isinstance(body, dict)
        rows = body["instances"] if wrapped else body
        name = model.inputs[0].name
        answer = _rows(model.run({name: [row[name] if isinstance(row, dict) else row for row in rows]}))
        return web.json_response({"predictions": answer} if wrapped else answer)

    # MLflow

    async def mlflow_version(self, _: web.Request) -> web.Response:
        return web.Response(text="3.18.0\n")

    async def mlflow_invocations(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "dataframe_split" in body:
            model, inputs = self.models["tiny"], {"x": body["dataframe_split"]["data"]}
        else:
            model = self.models["digits"]
            inputs = body["inputs"] if isinstance(body["inputs"], dict) else {"image": body["inputs"]}
        return web.json_response({"predictions": _rows(model.run(inputs))})

    # anything else

    async def bare(self, request: web.Request) -> web.Response:
        outputs = self.models["tiny"].run({"x": (await request.json())["given"]["x"]})
        return web.json_response({"answer": {name: array.tolist() for name, array in outputs.items()}})


@contextmanager
def http_servers(models: dict[str, Path]) -> Iterator[tuple[str, Servers]]:
    """Serve on the loopback in a thread; give the address, and the servers."""
    servers = Servers({name: OnnxModel(file) for name, file in models.items()})
    loop, ready = asyncio.new_event_loop(), futures.Future[int]()
    stop = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(servers.application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.set_result(runner.addresses[0][1])
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{ready.result(10)}", servers
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


class V2Grpc:
    """GRPCInferenceService, with its messages as the makers' own generated code would have them on the wire."""

    def __init__(self, models: dict[str, OnnxModel], messages: dict[str, Any], *, raw: bool = True) -> None:
        self.models, self.messages, self.raw = models, messages, raw
        self.metadata: list[dict[str, str]] = []
        self.asked: list[Any] = []

    def handlers(self, grpc: Any) -> Any:
        def method(name: str) -> Any:
            def handle(body: bytes, context: Any) -> bytes:
                self.metadata.append(dict(context.invocation_metadata()))
                request = self.messages[f"{name}Request"].FromString(body)
                answer: bytes = getattr(self, name)(request, context, grpc).SerializeToString()
                return answer

            return grpc.unary_unary_rpc_method_handler(handle)

        names = ("ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
        return grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {n: method(n) for n in names})

    def ServerReady(self, request: Any, context: Any, grpc: Any) -> Any:  # noqa: N802
        return self.messages["ServerReadyResponse"](ready=True)

    def ModelReady(self, request: Any, context: Any, grpc: Any) -> Any:  # noqa: N802
        self._model(request.name, request.version, context, grpc)
        return self.messages["ModelReadyResponse"](ready=True)

    def ServerMetadata(self, request: Any, context: Any, grpc: Any) -> Any:  # noqa: N802
        return self.messages["ServerMetadataResponse"](name="v2", version="1.0")

    def ModelMetadata(self, request: Any, context: Any, grpc: Any) -> Any:  # noqa: N802
        model = self._model(request.name, request.version, context, grpc)
        inputs, outputs = ([self._head(t) for t in tensors] for tensors in (model.inputs, model.outputs))
        return self.messages["ModelMetadataResponse"](
            name=request.name, versions=["2", "3"], platform="onnx", inputs=inputs, outputs=outputs
        )

    @staticmethod
    def _head(tensor: Any) -> dict[str, Any]:
        shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
        return {"name": tensor.name, "datatype": _V2[tensor.type], "shape": shape}

    def ModelInfer(self, request: Any, context: Any, grpc: Any) -> Any:  # noqa: N802
        model = self._model(request.model_name, request.model_version, context, grpc)
        inputs = {}
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            inputs[tensor.name] = np.frombuffer(raw, "<f4").reshape(list(tensor.shape))
        try:
            outputs = model.run(inputs)
        except Exception as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        self.asked.append(request)
        if wanted := [output.name for output in request.outputs]:
            outputs = {name: outputs[name] for name in wanted}
        heads = [self._head(t) | {"shape": outputs[t.name].shape} for t in model.outputs if t.name in outputs]
        if self.raw:
            contents = [array.tobytes() for array in outputs.values()]
            return self.messages["ModelInferResponse"](outputs=heads, raw_output_contents=contents)
        places = {"FP32": "fp32_contents", "INT64": "int64_contents"}
        for head in heads:
            head["contents"] = {places[head["datatype"]]: outputs[head["name"]].ravel().tolist()}
        return self.messages["ModelInferResponse"](outputs=heads)

    def _model(self, name: str, version: str, context: Any, grpc: Any) -> OnnxModel:
        if name not in self.models or version not in ("", "3"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {name!r} {version}".strip())
        return self.models[name]


@contextmanager
def grpc_server(service: V2Grpc, credentials: Any = None) -> Iterator[str]:
    """Serve on the loopback; give the address."""
    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(service.handlers(grpc),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"{'https' if credentials else 'http'}://127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)
