from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goldwatch.golden.error import GoldenError
from goldwatch.golden.tensors import NUMPY_DTYPES, map_tensor, read_header, write

arrays = st.sampled_from(sorted(NUMPY_DTYPES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
files = st.dictionaries(st.text(max_size=20).filter(lambda name: name != "__metadata__"), arrays, max_size=5)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensors") / "t.safetensors"


def read(file: Path) -> dict[str, Any]:
    return {name: map_tensor(location) for name, location in read_header(file).items()}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def raw(header: Any, data: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def entry(dtype: Any = "U8", shape: Any = (1,), offsets: Any = (0, 1), **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


@given(files)
def test_reads_what_the_safetensors_library_writes(file: Path, expected: dict[str, Any]) -> None:
    file.write_bytes(safetensors.numpy.save(expected))
    assert_same(read(file), expected)


@given(files)
def test_the_safetensors_library_reads_what_is_written(file: Path, expected: dict[str, Any]) -> None:
    file.unlink(missing_ok=True)
    write(file, expected)
    assert_same(safetensors.numpy.load(file.read_bytes()), expected)
    assert_same(read(file), expected)


@given(files)
def test_written_tensors_are_aligned_and_mapped_read_only(file: Path, expected: dict[str, Any]) -> None:
    file.unlink(missing_ok=True)
    write(file, expected)
    locations = list(read_header(file).values())
    assert all(location.offset % np.dtype(location.dtype).itemsize == 0 for location in locations)
    assert all(location.offset % 64 == 0 for location in locations[:1])
    for location in locations:
        array = map_tensor(location)
        assert isinstance(array, np.memmap) or array.size == 0
        assert not array.flags.writeable
        assert array.flags.aligned


def test_unaligned_tensors_and_other_byte_orders(tmp_path: Path) -> None:
    file = tmp_path / "t"
    header = {"a": entry(), "b": entry("F64", [1], [1, 9])}
    file.write_bytes(raw(header, b"\x07" + np.float64(0.5).tobytes()))
    assert map_tensor(read_header(file)["b"])[0] == 0.5
    big = {"x": np.arange(3, dtype=">i4"), "y": np.arange(6.0).reshape(2, 3).T}
    write(tmp_path / "big", big)
    found = read(tmp_path / "big")
    assert found["x"].tolist() == [0, 1, 2]
    assert found["y"].tolist() == big["y"].tolist()


header_like = st.dictionaries(
    st.sampled_from(["a", "b", "__metadata__"]),
    st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["U8", "F64", "BF16", 3]),
                "shape": st.lists(st.integers(-1, 4) | st.just(2**70) | st.booleans(), max_size=3),
                "data_offsets": st.lists(st.integers(-1, 20), min_size=1, max_size=3),
            }
        ),
    ),
)


@given(st.one_of(st.binary(max_size=64), st.binary(max_size=64).map(raw), st.builds(raw, header_like, st.binary())))
def test_any_bytes_give_tensors_or_a_golden_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with contextlib.suppress(GoldenError):
        for location in read_header(file).values():
            assert map_tensor(location).nbytes == math.prod(location.shape) * np.dtype(location.dtype).itemsize
            assert location.offset + map_tensor(location).nbytes <= len(content)


@given(files, st.data())
def test_every_truncation_is_refused(file: Path, expected: dict[str, Any], data: st.DataObject) -> None:
    whole = safetensors.numpy.save(expected)
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(GoldenError, match="is not a valid safetensors file"):
        read_header(file)


MALFORMED = {
    "it has 3 bytes, too few for the length of a header": b"abc",
    "its header would be 200,000,000 bytes long, the most is 16,777,216": (200_000_000).to_bytes(8, "little"),
    "its header would be 9 bytes long, the file has 10 bytes": (9).to_bytes(8, "little") + b"{}",
    "its header does not begin with {": raw(b" {}"),
    "its header is not usable JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)": raw(
        b"{a"
    ),
    "its header is not usable JSON: 'utf-8' codec can't decode byte 0xff in position 1: invalid start byte": raw(
        b"{\xff"
    ),
    'its header is not usable JSON: key "a" appears twice': raw(b'{"a": 1, "a": 2}'),
    "__metadata__ is not a map of strings to strings": raw({"__metadata__": {"a": 1}}),
    'tensor "a" needs dtype, shape and data_offsets, and nothing else': raw({"a": entry(more=1)}, b"1"),
    'tensor "a" has dtype "BF16", expected one of BOOL, U8, I8, U16, I16, F16, U32, I32, F32, U64, I64, F64': raw(
        {"a": entry("BF16")}
    ),
    'tensor "a": shape is not a list of at most 32 sizes': raw({"a": entry(shape=[-1])}),
    'tensor "a": data_offsets is not a pair of sizes': raw({"a": entry(offsets=[0, True])}),
    'tensor "a": F32 [3, 2] needs 24 bytes, data_offsets say 20': raw({"a": entry("F32", [3, 2], [0, 20])}),
    'tensor "b" overlaps the tensor before it: it begins at byte 0, expected 1': raw(
        {"a": entry(), "b": entry()}, b"1"
    ),
    'tensor "a" leaves a hole before it: it begins at byte 1, expected 0': raw({"a": entry(offsets=[1, 2])}, b"12"),
    "its tensors need 1 bytes of data, it has 0": raw({"a": entry()}),
    "its tensors need 1 bytes of data, it has 2": raw({"a": entry()}, b"12"),
    'tensor "\\x1b[2J\\ud800" needs dtype, shape and data_offsets, and nothing else': raw(b'{"\\u001b[2J\\ud800": 1}'),
}


@pytest.mark.parametrize("message", MALFORMED)
def test_a_malformed_file_is_refused_with_what_is_wrong(tmp_path: Path, message: str) -> None:
    (tmp_path / "t").write_bytes(MALFORMED[message])
    with pytest.raises(GoldenError) as caught:
        read_header(tmp_path / "t")
    whole = f"{tmp_path}: t is not a valid safetensors file: {message}; restore it or freeze the set again"
    assert str(caught.value) == whole


def test_a_header_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(raw(b'{"a":' + b"[" * 100_000))
    with pytest.raises(GoldenError, match="header is not usable JSON: nested too deeply"):
        read_header(tmp_path / "t")


def test_a_file_that_shrinks_after_it_was_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "t", {"a": np.arange(1000)})
    [location] = read_header(tmp_path / "t").values()
    (tmp_path / "t").write_bytes(b"")
    with pytest.raises(GoldenError, match='t: tensor "a" cannot be mapped'):
        map_tensor(location)


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match='tensor "a" of dtype <U2 cannot be stored; expected one of bool, float16'):
        write(tmp_path / "t", {"a": np.array(["no"])})


def test_the_header_is_read_without_numpy() -> None:
    code = "import sys, goldwatch.golden.opened; sys.exit('numpy' in sys.modules)"
    path = str(Path(__file__).parents[2] / "agent")
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})
