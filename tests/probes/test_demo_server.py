"""The demo server from outside: errors when it cannot start, and answers to requests that no probe would send."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from goldwatch import __version__


def get(url: str, data: bytes | None = None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, data, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_what_it_says_of_itself(address: str) -> None:
    assert get(f"{address}/v2/health/live") == (200, {})
    extensions = ["binary_tensor_data", "model_repository"]
    assert get(f"{address}/v2") == (200, {"name": "goldwatch-demo", "version": __version__, "extensions": extensions})
    assert get(f"{address}/v2/models/tiny") == (
        200,
        {
            "name": "tiny",
            "versions": ["7"],
            "platform": "onnxruntime",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [
                {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "label", "datatype": "INT64", "shape": [-1]},
            ],
        },
    )


INPUT: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1, 2]]}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/", None, 404, "Not Found"),
        ("/v2/models/none", None, 404, "no model 'none'"),
        ("/v2/models/tiny/infer", None, 405, "Method Not Allowed"),
        ("/v2/repository/models/none/load", b"", 404, "no model 'none'"),
        ("/v2/models/tiny/infer", b"", 400, "not an inference request: JSONDecodeError"),
        ("/v2/models/tiny/infer", b"[]", 400, "not an inference request: TypeError"),
        ("/v2/models/tiny/infer", {"inputs": []}, 400, 'also takes "x"'),
        ("/v2/models/tiny/infer", {"inputs": [INPUT | {"name": "y"}]}, 400, 'no input "y"'),
        ("/v2/models/tiny/infer", {"inputs": [INPUT | {"shape": [3]}]}, 400, "cannot reshape"),
        ("/v2/models/tiny/infer", {"inputs": [INPUT | {"datatype": "BF16"}]}, 400, "BF16"),
        (
            "/v2/models/tiny/infer",
            {"inputs": [INPUT | {"datatype": "FP64"}]},
            400,
            "is float64, the model takes float32",
        ),
    ],
)
def test_errors_are_as_the_protocol_says(address: str, path: str, body: Any, status: int, message: str) -> None:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    found, answer = get(address + path, data)
    assert found == status
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--model", "tiny=no-such.onnx"], 1, "error: no-such.onnx: No such file or directory\n"),
        (
            ["--model", "tiny=x", "--probe", "none"],
            1,
            'error: no probe "none" is installed; there are http, ',
        ),
        (["--model", "tiny=x", "--probe", "open-inference"], 1, 'the probe "open-inference" speaks to another server'),
        (["--model", "tiny"], 2, "argument --model: 'tiny', expected NAME=FILE"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_line(
    tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    command = [sys.executable, "-m", "goldwatch.demo.server", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
