"""The handler of the digits behind TorchServe; the archive brings digits.onnx."""

import numpy as np
import onnxruntime


class Digits:
    initialized = False

    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        self._session = onnxruntime.InferenceSession(f"{folder}/digits.onnx")
        self.initialized = True

    def handle(self, data, context):
        images = [np.asarray((row.get("body") or row.get("data"))["image"], dtype=np.float32) for row in data]
        return [self._session.run(None, {"image": image})[0].tolist() for image in images]
