"""Messages of protobuf made at run time from a table.

A table and not generated: code that protoc generates demands a runtime at least as new as the generator, and registers
its file for the whole process, where a client of the server's maker would clash with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goldwatch.probe import BadAnswer


def classes(package: str, table: Mapping[str, str]) -> dict[str, Any]:
    """Return the class of each message of a table by its name. Raises ImportError without protobuf.

    A message is "number name type, ...", where * is repeated, ? is sent even if it is 0, and the name of a
    message of the table is that message.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415

    file = descriptor_pb2.FileDescriptorProto(name=f"goldwatch/{package}.proto", package=package, syntax="proto3")
    for name, fields in table.items():
        message = file.message_type.add(name=name)
        for text in filter(None, fields.split(", ")):
            _add_field(message, text.split(" "), package, table)
    pool = descriptor_pool.DescriptorPool()  # not the pool of the process
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in table}


def parsed(message: Any, body: bytes) -> Any:  # noqa: ANN401 - protobuf has no types
    """Return the message of a class that `body` is. Raises BadAnswer."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    found = message()
    try:
        found.ParseFromString(body)
    except DecodeError as error:
        raise BadAnswer("the answer is no message of the protocol") from error
    return found


def _add_field(message: Any, parts: list[str], package: str, table: Mapping[str, str]) -> None:  # noqa: ANN401
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto  # noqa: PLC0415

    number, name, kind = parts
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.endswith("*"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if kind.endswith("?"):
        field.oneof_index, field.proto3_optional = len(message.oneof_decl), True
        message.oneof_decl.add(name=f"_{name}")
    kind = kind.rstrip("*?")
    if kind in table:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
