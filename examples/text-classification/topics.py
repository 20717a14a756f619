"""The classifier as it is served: words, their weights by TF-IDF, and a logistic regression."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
MADE = Path(__file__).parent / "made"


def load() -> Callable[[Mapping[str, Array]], Array]:
    """Return the model: messages [n] of text to the names of their topics, [n]."""
    model: Mapping[str, Any] = np.load(MADE / "model.npz")
    vocabulary = json.loads((MADE / "vocabulary.json").read_text())
    lowercase = json.loads((MADE / "tokenizer.json").read_text())["lowercase"]

    def vector(text: str) -> Array:
        counts = np.zeros(len(vocabulary))
        for word in words(text, lowercase=lowercase):
            if word in vocabulary:
                counts[vocabulary[word]] += 1
        weighted: Array = counts * model["idf"]
        return np.asarray(weighted / max(float(np.linalg.norm(weighted)), 1e-9))

    def topics(inputs: Mapping[str, Array]) -> Array:
        texts = [text.decode() if isinstance(text, bytes) else text for text in inputs["message"].ravel()]
        sums = np.stack([vector(text) for text in texts]) @ model["weights"] + model["biases"]
        return np.asarray(model["topics"][sums.argmax(axis=1)].astype(object))

    return topics


def words(text: str, *, lowercase: bool) -> list[str]:
    """Return the words of a message."""
    return re.findall(r"\w+", text.lower() if lowercase else text)
