"""The digits behind BentoML: `DIGITS=MODEL bentoml serve bentoml_digits:Digits`."""

import os
from typing import Any

import bentoml
import numpy as np
import onnxruntime


@bentoml.service
class Digits:
    def __init__(self) -> None:
        self._session = onnxruntime.InferenceSession(os.environ["DIGITS"])

    @bentoml.api
    def predict(self, image: list[Any]) -> dict[str, Any]:
        probabilities = self._session.run(None, {"image": np.asarray(image, dtype=np.float32)})[0]
        return {"probabilities": probabilities.tolist()}
