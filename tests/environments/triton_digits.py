"""The digits behind Triton's own binary: `python triton_digits.py MODEL HTTP_PORT GRPC_PORT`.

LD_LIBRARY_PATH must have the library folder of this Python, or Triton's stub loads the system's and ends.
"""

import sys

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def main(file, http_port, grpc_port):
    session = onnxruntime.InferenceSession(file)

    @batch
    def digits(image):
        return {"probabilities": session.run(None, {"image": image})[0]}

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=int(http_port),
        grpc_address="127.0.0.1",
        grpc_port=int(grpc_port),
        allow_metrics=False,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="digits",
            infer_func=digits,
            inputs=[Tensor(name="image", dtype=np.float32, shape=(8, 8))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(10,))],
            config=ModelConfig(max_batch_size=64),
        )
        triton.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
