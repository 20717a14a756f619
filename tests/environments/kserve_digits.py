"""The digits behind KServe's own server: `python kserve_digits.py MODEL HTTP_PORT GRPC_PORT`."""

import sys

import kserve
import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse


class Digits(kserve.Model):
    def __init__(self, file: str) -> None:
        super().__init__("digits")
        self._session = onnxruntime.InferenceSession(file)
        self.ready = True

    async def get_input_types(self):
        return [{"name": "image", "datatype": "FP32", "shape": [-1, 8, 8]}]

    async def get_output_types(self):
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]

    def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, InferRequest):
            found = self._session.run(None, {"image": payload.inputs[0].as_numpy()})[0]
            output = InferOutput("probabilities", list(found.shape), "FP32")
            output.set_data_from_numpy(found, binary_data=False)
            return InferResponse(payload.id or "0", self.name, [output])
        raise ValueError("version 2 only")


if __name__ == "__main__":
    server = kserve.ModelServer(http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), workers=1)
    server.start([Digits(sys.argv[1])])
