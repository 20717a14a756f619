"""The messages of the Open Inference Protocol (version 2) over gRPC.

The table holds the fields that a probe reads or writes; protobuf passes over all others.
Specification: https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goldwatch.probe import CannotLoad
from goldwatch_probes._proto import classes

SERVICE = "inference.GRPCInferenceService"

_MESSAGES = {
    "ServerReadyRequest": "",
    "ServerReadyResponse": "1 ready bool",
    "ModelReadyRequest": "1 name string, 2 version string",
    "ModelReadyResponse": "1 ready bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "1 name string, 2 version string",
    "ModelMetadataRequest": "1 name string, 2 version string",
    "ModelMetadataResponse": (
        "1 name string, 2 versions string*, 3 platform string, 4 inputs TensorMetadata*, 5 outputs TensorMetadata*"
    ),
    "TensorMetadata": "1 name string, 2 datatype string, 3 shape int64*",
    "ModelInferRequest": (
        "1 model_name string, 2 model_version string, 4 parameters InferParameters*, 5 inputs InferTensor*, "
        "6 outputs InferRequestedOutput*, 7 raw_input_contents bytes*"
    ),
    "ModelInferResponse": (
        "1 model_name string, 2 model_version string, 5 outputs InferTensor*, 6 raw_output_contents bytes*"
    ),
    "InferRequestedOutput": "1 name string",
    "InferParameters": "1 key string, 2 value InferParameter",  # an entry of a map
    "InferParameter": "1 bool_param bool?, 2 int64_param int64?, 3 string_param string?, 4 double_param double?",
    "InferTensor": "1 name string, 2 datatype string, 3 shape int64*, 5 contents InferTensorContents",
    "InferTensorContents": (
        "1 bool_contents bool*, 2 int_contents int32*, 3 int64_contents int64*, 4 uint_contents uint32*, "
        "5 uint64_contents uint64*, 6 fp32_contents float*, 7 fp64_contents double*, 8 bytes_contents bytes*"
    ),
}

CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where InferTensorContents has the values of a datatype. FP16 has no place there: it comes as raw bytes only."""


_PARAMETERS = {bool: "bool_param", int: "int64_param", str: "string_param", float: "double_param"}


def parameters(written: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of a request as a message has them. Raises CannotLoad for a value that has no place."""
    for name, value in written.items():
        if type(value) not in _PARAMETERS or (type(value) is int and not -(2**63) <= value < 2**63):
            raise CannotLoad(
                f"`parameters`: {name} is {str(value)[:60]!r}; over gRPC it is a number, a text, true or false"
            )
    return [{"key": name, "value": {_PARAMETERS[type(value)]: value}} for name, value in written.items()]


def messages() -> dict[str, Any]:
    """Return the class of each message by its name. Raises ImportError without protobuf."""
    return classes("inference", _MESSAGES)
