"""One golden set for models whose tensors have other names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from goldwatch.probe import BadAnswer, Context, EncodesEach
from goldwatch.worker.load.timed import make_probe

FAKE = "goldwatch.testing.probe:FakeProbe"
NAMES = {"inputs": {"image": "x"}, "outputs": {"scores": "probabilities"}}
IMAGES = {"image": np.ones((2, 4), np.float32)}


def opened(**options: Any) -> Any:
    probe = make_probe(FAKE, options, Context(1.0))
    probe.open()
    return probe


def test_a_probe_is_asked_in_the_names_of_the_golden_set() -> None:
    plain, probe = opened(), opened(names=NAMES)
    found = probe.decode(probe.predict(probe.encode(IMAGES)))
    theirs = plain.decode(plain.predict(plain.encode({"x": IMAGES["image"]})))
    assert list(found) == ["scores"]
    assert np.array_equal(found["scores"], theirs["probabilities"])
    assert not isinstance(probe, EncodesEach)  # as the probe itself
    assert type(plain).__name__ == "FakeProbe"


def test_an_output_that_the_model_does_not_have_is_a_bad_answer() -> None:
    probe = opened(names={"outputs": {"scores": "logits"}})
    with pytest.raises(BadAnswer, match='no output "logits"; the answer has probabilities'):
        probe.decode(probe.predict(probe.encode({"x": IMAGES["image"]})))
