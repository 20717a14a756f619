"""Examples as people can see them in a terminal: numbers, text, and small images in half blocks. Needs numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.opened import GoldenSet

_MOST_NUMBERS = 16
_MOST_LETTERS = 200
_WIDEST = 48
_LARGEST_IMAGE = 512
_LEAST_LETTERS = 4
_LARGEST_BYTE = 255
_INK = 0.35
"""The share of the way from the darkest to the brightest pixel from which on one is drawn."""


def draw(golden: GoldenSet, example: int) -> list[str]:
    """Return the lines that show one example's inputs. Raises IndexError for an example that the set has not."""
    if not 0 <= example < golden.examples:
        raise IndexError(f"the set has examples 0 to {golden.examples - 1}, not {example}")
    lines = []
    for name, spec in golden.manifest.inputs.items():
        if spec.in_lines:
            lines.append(f"{name} {_told(golden.text(f'inputs.{name}')[example])}")
            continue
        value = np.asarray(golden.tensor(f"inputs.{name}")[example])
        shown = list(_drawn(value)) if (text := text_of(value)) is None else [_told(text)]
        lines += [f"{name} {shown[0]}"] if len(shown) == 1 else shown
    return lines


def _told(text: str) -> str:
    """Return a text on one line, of bounded length, with nothing that a terminal would obey."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return f"{plain[:_MOST_LETTERS]}..." if len(plain) > _MOST_LETTERS else plain


def text_of(value: NDArray[Any]) -> str | None:
    """Return the text that a vector of bytes spells in UTF-8, padded with zeros; None if it spells none."""
    if value.ndim != 1 or value.dtype.kind not in "iu" or value.size < _LEAST_LETTERS:
        return None
    if int(value.min()) < 0 or int(value.max()) > _LARGEST_BYTE:
        return None
    try:
        text = value.astype(np.uint8).tobytes().rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
    readable = all(c.isprintable() or c.isspace() for c in text)
    return text if readable and sum(c.isalpha() for c in text) >= len(text) / 2 else None


def half_blocks(image: NDArray[Any]) -> list[str]:
    """Draw a picture [height, width], two rows of pixels to a line of text. One of a single brightness is blank."""
    low, high = float(image.min()), float(image.max())
    inked = image > low + _INK * (high - low)
    if len(inked) % 2:
        inked = np.vstack([inked, np.zeros((1, inked.shape[1]), np.bool_)])
    blocks = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    pairs = zip(inked[::2], inked[1::2], strict=True)
    return ["".join(blocks[bool(t), bool(b)] for t, b in zip(top, bottom, strict=True)) for top, bottom in pairs]


def _drawn(value: NDArray[Any]) -> Iterator[str]:
    image = _image(value)
    if image is not None:
        yield from half_blocks(_shrunk(image))
    else:
        yield numbers(value)


def numbers(value: NDArray[Any]) -> str:
    """Write the values of a tensor; of many the first ones, and what the others are like."""
    first = ", ".join(_number(x) for x in value.ravel()[:_MOST_NUMBERS].tolist())
    if value.size <= _MOST_NUMBERS:
        return first
    shape, some = " x ".join(map(str, value.shape)), value.astype(np.float64)
    span = f"{_number(float(some.min()))} to {_number(float(some.max()))}"
    return f"{first}, ... ({shape} values from {span}, mean {_number(float(some.mean()))})"


def _image(value: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the brightness [height, width] of what is shaped like a small image; None for anything else."""
    if value.ndim == 3 and value.shape[0] in (1, 3, 4):
        value = value[:3].mean(axis=0)
    elif value.ndim == 3 and value.shape[2] in (1, 3, 4):
        value = value[:, :, :3].mean(axis=2)
    if value.ndim != 2 or not all(4 <= side <= _LARGEST_IMAGE for side in value.shape):
        return None
    return value.astype(np.float64)


def _shrunk(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the image no wider than a column of text, each pixel the mean of a square."""
    step = -(-max(image.shape) // _WIDEST)
    height, width = (side // step * step for side in image.shape)
    blocks = image[:height, :width].reshape(height // step, step, width // step, step)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _number(value: float | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
