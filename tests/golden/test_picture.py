from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.picture import _drawn, draw, half_blocks

DIGITS = Path(__file__).parents[2] / "agent/goldwatch/demo/digits/golden"


def test_a_digit_is_drawn_in_half_blocks() -> None:
    lines = draw(GoldenSet.open(DIGITS), 0)
    assert len(lines) == 4
    assert {len(line) for line in lines} == {8}
    assert set("".join(lines)) <= set(" ▀▄█")


def test_an_example_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="the set has examples 0 to 599, not 600"):
        draw(GoldenSet.open(DIGITS), 600)


def test_the_brightness_of_a_picture_is_what_counts_not_its_scale() -> None:
    image = np.array([[0, 1], [1, 0], [0, 0], [1, 1]])
    assert half_blocks(image) == ["▄▀", "▄▄"]
    assert half_blocks(image * 255 - 7) == half_blocks(image)
    assert half_blocks(np.ones((3, 2))) == ["  ", "  "]


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (3, 28, 28), (28, 28, 3), (28, 28, 1), (27, 29)])
def test_what_is_shaped_like_a_small_image_is_drawn(shape: tuple[int, ...]) -> None:
    lines = list(_drawn(np.random.default_rng(1).random(shape)))
    assert len(lines) == 14


def test_a_large_image_is_shrunk_and_a_huge_one_is_summed_up() -> None:
    assert max(len(line) for line in _drawn(np.random.default_rng(1).random((3, 224, 224)))) <= 48
    assert next(iter(_drawn(np.zeros((3, 2000, 2000))))).endswith("(3 x 2000 x 2000 values from 0 to 0, mean 0)")


def test_bytes_that_spell_a_text_are_shown_as_the_text(
    tmp_path: Path, manifest: dict[str, Any], tensors: dict[str, Any]
) -> None:
    words = [b"//etc/passwd", "größer".encode(), bytes([47, 47, 61, 3]), bytes([250, 251, 252, 253])]
    manifest["inputs"] = {"bytes": {"dtype": "uint8", "shape": [16]}}
    tensors.pop("inputs.x")
    tensors["inputs.bytes"] = np.array([list(word.ljust(16, b"\0")) for word in words], np.uint8)
    golden = freeze(tmp_path / "bytes", manifest, tensors)
    assert draw(golden, 0) == ["bytes //etc/passwd"]
    assert draw(golden, 1) == ["bytes größer"]
    assert draw(golden, 2)[0].startswith("bytes 47, 47, 61, 3, 0")
    assert draw(golden, 3)[0].startswith("bytes 250, 251")


def test_numbers_are_written_out_up_to_a_point() -> None:
    assert list(_drawn(np.array([1.25, 1e-9]))) == ["1.25, 1e-09"]
    assert list(_drawn(np.array(7))) == ["7"]
    assert list(_drawn(np.arange(20))) == [f"{', '.join(map(str, range(16)))}, ... (20 values from 0 to 19, mean 9.5)"]
