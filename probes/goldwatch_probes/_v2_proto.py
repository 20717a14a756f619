"""The messages of the Open Inference Protocol (version 2) over gRPC, made at run time.

Written as a table and not generated: code that protoc generates demands a runtime at least as new as the generator,
and registers its file for the whole process, where a client of the server's maker would clash with it. The table holds
the fields that a probe reads or writes; protobuf passes over all others.
Specification: https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

from typing import Any

SERVICE = "inference.GRPCInferenceService"

# message -> "number name type", where * is repeated and a capital letter another message of the table
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
        "1 model_name string, 2 model_version string, 5 inputs InferTensor*, 7 raw_input_contents bytes*"
    ),
    "ModelInferResponse": (
        "1 model_name string, 2 model_version string, 5 outputs InferTensor*, 6 raw_output_contents bytes*"
    ),
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


def messages() -> dict[str, Any]:
    """Return the class of each message by its name. Raises ImportError without protobuf."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415

    file = descriptor_pb2.FileDescriptorProto(name="goldwatch/v2.proto", package="inference", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in filter(None, fields.split(", ")):
            _add_field(message, *text.split(" "))
    pool = descriptor_pool.DescriptorPool()  # not the pool of the process
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}")) for name in _MESSAGES
    }


def _add_field(message: Any, number: str, name: str, kind: str) -> None:  # noqa: ANN401 - protobuf has no types
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto  # noqa: PLC0415

    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.endswith("*"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.removesuffix("*")
    if kind in _MESSAGES:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".inference.{kind}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
