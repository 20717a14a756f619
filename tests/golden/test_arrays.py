"""Arrays of users' files: goldwatch reads what numpy reads, in files and in parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goldwatch import scratch
from goldwatch.golden import arrays
from goldwatch.golden.error import GoldenError

ARRAYS: dict[str, Any] = {
    "image": np.arange(60, dtype=np.float32).reshape(5, 4, 3),
    "turned": np.asfortranarray(np.arange(20).reshape(5, 4)),
    "names": np.array(["a", "bc", "", "d", "e"]),
    "big_endian": np.arange(5, dtype=">i4"),
    "none": np.zeros((5, 0)),
    "scalar": np.float64(3),
}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("at_once", [7, 1 << 18])
def test_an_npz_is_read_as_numpy_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., None], at_once: int
) -> None:
    monkeypatch.setattr(scratch, "OWN_BYTES", 0 if at_once == 7 else scratch.OWN_BYTES)
    monkeypatch.setattr(scratch, "_VALUES_AT_ONCE", at_once)
    write(tmp_path / "a.npz", **ARRAYS)
    found = arrays.read(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert found[name].dtype == values.dtype, name
        assert np.array_equal(found[name], values), name


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", bad=np.array([{}], dtype=object))
    with pytest.raises(GoldenError, match=r"bad.npy holds Python objects; write numbers or text of one length"):
        arrays.read(tmp_path / "objects.npz")
    np.savez(tmp_path / "whole.npz", a=np.zeros(1000))
    raw = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(raw[:500])
    (tmp_path / "wrong.npz").write_bytes(raw[:500] + b"?" + raw[501:])
    (tmp_path / "text.npz").write_text("a,b")
    for name in ("cut", "wrong", "text", "missing"):
        with pytest.raises(GoldenError, match="cannot be read: "):
            arrays.read(tmp_path / f"{name}.npz")
