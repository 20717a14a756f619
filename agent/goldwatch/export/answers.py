"""The answers of a collector: how many records of a push it rejected, and why. The SDK's exporters drop them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Hear = Callable[[int, str], None]
"""Takes the number of records that a collector rejected of a push that it took, and its reason."""

_PROTO = "opentelemetry.proto.collector"
_ANSWERS = {
    "metrics": ("metrics", "ExportMetricsServiceResponse", "rejected_data_points"),
    "logs": ("logs", "ExportLogsServiceResponse", "rejected_log_records"),
    "traces": ("trace", "ExportTraceServiceResponse", "rejected_spans"),
}
"""The service of each signal, its answer, and the field of `partial_success` that counts."""

_UNREADABLE = "its answer is not one of OTLP, so it is unknown whether it keeps them"


def session(signal: str, hear: Hear) -> Any:  # noqa: ANN401 - a session of requests, which has no types
    """Make a session for the SDK's exporter over HTTP that reads each answer of 2xx."""
    made = import_module("requests").Session()

    def read(response: Any, **_: object) -> None:  # noqa: ANN401 - as above
        if response.ok and not response.is_redirect:
            _read(signal, response.content, response.headers.get("Content-Type", ""), hear)

    made.hooks["response"].append(read)
    return made


def attentive(exporter: type, signal: str, hear: Hear) -> type:
    """Return the SDK's class of an exporter over gRPC, made to read each answer.

    It makes a stub for each new connection and keeps it as `_client`; it has no public place for an interceptor.
    """

    def put(self: Any, stub: Any) -> None:  # noqa: ANN401 - grpcio has no types
        self._heard = stub and _Stub(stub, signal, hear)

    return type(exporter.__name__, (exporter,), {"_client": property(lambda self: self._heard, put)})


class _Stub:
    """The stub of a service, whose answers are read."""

    def __init__(self, inner: Any, signal: str, hear: Hear) -> None:  # noqa: ANN401 - grpcio has no types
        self._inner, self._signal, self._hear = inner, signal, hear

    def Export(self, **request: Any) -> Any:  # noqa: ANN401, N802 - as the stub declares it
        answer = self._inner.Export(**request)
        _pass_on(self._signal, answer, self._hear)
        return answer


def _read(signal: str, body: bytes, content_type: str, hear: Hear) -> None:
    from google.protobuf import json_format  # noqa: PLC0415 - comes with the extra
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    service, name, _ = _ANSWERS[signal]
    answer = getattr(import_module(f"{_PROTO}.{service}.v1.{service}_service_pb2"), name)()
    try:
        if body and "json" in content_type:
            json_format.Parse(body, answer, ignore_unknown_fields=True)
        else:
            answer.ParseFromString(body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError):
        hear(0, _UNREADABLE)
        return
    _pass_on(signal, answer, hear)


def _pass_on(signal: str, answer: Any, hear: Hear) -> None:  # noqa: ANN401 - protobuf has no types
    rejected = getattr(answer.partial_success, _ANSWERS[signal][2])
    if rejected > 0 or answer.partial_success.error_message:
        hear(max(rejected, 0), answer.partial_success.error_message)
