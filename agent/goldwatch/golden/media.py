"""Examples as a browser shows and plays them: images as PNG, sounds as WAV, texts and numbers. Needs numpy."""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goldwatch.golden.opened import GoldenSet
from goldwatch.golden.picture import numbers, text_of
from goldwatch.golden.shown import Shown

RATE_HZ = 16_000
"""A golden set does not say how fast a sound is played; speech models take 16,000 samples a second."""

_SOUNDS = ("audio", "sound", "speech", "wave", "waveform", "pcm")
_LONGEST_S = 3
_SMALLEST_SOUND, _WIDEST, _LARGEST_SIDE, _LETTERS = 1000, 128, 4096, 2000


def shown(golden: GoldenSet, example: int) -> list[Shown]:
    """Return the inputs of an example."""
    found = []
    for name, spec in golden.manifest.inputs.items():
        if spec.in_lines:
            found.append(Shown(name, "text", golden.text(f"inputs.{name}")[example][:_LETTERS]))
            continue
        value = np.asarray(golden.tensor(f"inputs.{name}")[example])
        if (text := text_of(value)) is not None:
            found.append(Shown(name, "text", text[:_LETTERS]))
        elif (pixels := _pixels(value)) is not None:
            found.append(Shown(name, "image", _base64(png(pixels))))
        elif _is_sound(name, value):
            found.append(Shown(name, "sound", _base64(wav(value.ravel()))))
        else:
            found.append(Shown(name, "numbers", numbers(value)))
    return found


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _pixels(value: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return pixels [height, width] or [height, width, 3] of what is shaped like an image; None for anything else."""
    if value.ndim == 3 and value.shape[0] in (1, 3, 4) and value.shape[2] not in (1, 3, 4):
        value = np.moveaxis(value, 0, 2)
    if value.ndim == 3 and value.shape[2] in (1, 3, 4):
        value = value[:, :, :3] if value.shape[2] > 1 else value[:, :, 0]
    elif value.ndim != 2:
        return None
    if not all(4 <= side <= _LARGEST_SIDE for side in value.shape[:2]) or value.dtype.kind not in "iufb":
        return None
    step = -(-max(value.shape[:2]) // _WIDEST)
    return _bytes(value[::step, ::step])


def _bytes(value: NDArray[Any]) -> NDArray[np.uint8]:
    """Return brightness from 0 to 255: as it is, of shares of 1, or from the darkest to the brightest value."""
    if value.dtype == np.uint8:
        return value
    some = np.nan_to_num(value.astype(np.float64))
    low, high = float(some.min()), float(some.max())
    if low >= 0 and 0 < high <= 1:
        low, high = 0.0, 1.0
    return np.asarray(np.round((some - low) / ((high - low) or 1.0) * 255), np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels [height, width] or [height, width, 3] as a PNG (ISO/IEC 15948)."""
    height, width = pixels.shape[:2]
    rows = np.hstack([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)])  # each row unfiltered

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _is_sound(name: str, value: NDArray[Any]) -> bool:
    long_enough = value.size >= _SMALLEST_SOUND and max(value.shape) == value.size and value.dtype.kind in "if"
    return long_enough and any(word in name.lower() for word in _SOUNDS)


def wav(samples: NDArray[Any]) -> bytes:
    """Encode the first seconds of a sound as a WAV of one channel and eight bits, the loudest sample at full scale."""
    some = np.nan_to_num(samples[: _LONGEST_S * RATE_HZ].astype(np.float64))
    loudest = float(np.abs(some).max()) or 1.0
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE_HZ)
        file.writeframes(np.asarray(np.round(some / loudest * 127) + 128, np.uint8).tobytes())
    return into.getvalue()
