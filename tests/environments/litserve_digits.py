"""The digits behind LitServe: `python litserve_digits.py MODEL PORT`."""

import sys

import litserve
import numpy as np
import onnxruntime


class Digits(litserve.LitAPI):
    def setup(self, device):
        self._session = onnxruntime.InferenceSession(sys.argv[1])

    def decode_request(self, request):  # LitServe looks for a parameter of this name
        return np.asarray(request["image"], dtype=np.float32)

    def predict(self, x):
        return self._session.run(None, {"image": x})[0]

    def encode_response(self, output):
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Digits(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False)
