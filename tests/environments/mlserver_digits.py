"""The digits behind MLServer: `python mlserver_digits.py MODEL HTTP_PORT GRPC_PORT`."""

import asyncio
import sys

import mlserver
import onnxruntime
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import MetadataTensor


class Digits(mlserver.MLModel):
    async def load(self):
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri)
        return True

    async def predict(self, payload):
        image = NumpyCodec.decode_input(payload.inputs[0])
        found = self._session.run(None, {"image": image})[0]
        output = NumpyCodec.encode_output("probabilities", found)
        return mlserver.types.InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])


async def main(file, http_port, grpc_port):
    model = mlserver.ModelSettings(
        name="digits",
        implementation=Digits,
        platform="onnx",
        inputs=[MetadataTensor(name="image", datatype="FP32", shape=[-1, 8, 8])],
        outputs=[MetadataTensor(name="probabilities", datatype="FP32", shape=[-1, 10])],
        parameters=ModelParameters(uri=file, version="3"),
    )
    server = mlserver.MLServer(
        mlserver.Settings(
            host="127.0.0.1",
            http_port=int(http_port),
            grpc_port=int(grpc_port),
            metrics_endpoint=None,
            parallel_workers=0,
        )
    )
    await server.start([model])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
