"""What the outputs of a target are, as read from its answers."""

import numpy as np
import pytest

from goldwatch.commands.building import _usable
from goldwatch.errors import GoldwatchError
from goldwatch.golden.examples import NO_BATCH
from goldwatch.golden.lines import JSON
from goldwatch.worker.load.seen import Seen


@pytest.mark.parametrize(
    ("shapes", "dtype"),
    [
        ([(1, 4), (1, 4)], "float32"),
        ([(1, 4), (1, 5)], JSON),
        ([(3, 4), (1, 4)], NO_BATCH),
        ([(1, 4), (3, 4)], NO_BATCH),
        ([(1, 4), (1, 5), (3, 4), (1, 4)], NO_BATCH),
    ],
)
def test_only_examples_of_differing_shape_are_json(shapes: list[tuple[int, ...]], dtype: str) -> None:
    seen = Seen()
    for shape in shapes:
        seen.add({"boxes": np.zeros(shape, np.float32)}, 1)
    (spec,) = seen.specs()
    assert spec.dtype == dtype


def test_a_model_with_no_usable_output_is_told_of_the_batch_axis() -> None:
    seen = Seen()
    seen.add({"boxes": np.zeros((3, 4), np.float32)}, 1)
    answered = {spec.name: spec for spec in seen.specs()}
    with pytest.raises(GoldwatchError, match=r"--batch-axis outputs\.boxes=none$"):
        list(_usable(answered, "target m", lambda _: None))
