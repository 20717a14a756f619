"""CloudEvents over HTTP, as KServe's inference logger sends them: one request of a model's traffic in each.

In binary mode the attributes are headers (`ce-type`) and the body is the request as received; in structured mode the
body is a JSON object with all of it. This module only reads what identifies live traffic; a worker reads the request
itself. A logger gives an event the id of the request's own header `ce-id`, and can copy other headers to the attribute
`metadata`: either identifies goldwatch's own requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import unquote

from goldwatch.errors import GoldwatchError

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
RESPONSE = "response"
"""The last word of the type of an event that carries an answer, `org.kubeflow.serving.inference.response`."""

MARKS = ("ce-id", "ce-metadata")


def attributed(body: bytes, headers: Mapping[str, str], key: str) -> bytes:
    """Return a request in binary mode as an event in structured mode, if a header has the attribute of a `key`.

    The attribute is the first word of the key, for what follows a dot is in it. `headers` are looked up in lower case.
    """
    name = key.partition(".")[0].lower()
    value = headers.get(f"ce-{name}")
    if value is None:
        return body
    event = json.dumps({"specversion": "1.0", name: unquote(value)})
    return event[:-1].encode("utf-8", "replace") + b', "data": ' + body + b"}"


def marks(headers: Mapping[str, str], content_type: str) -> tuple[str, ...] | None:
    """Return the values that may mark a request as goldwatch's own; None for an event that carries no request.

    `headers` are looked up in lower case. Raises GoldwatchError.
    """
    if content_type == BATCH:
        raise GoldwatchError("batches of CloudEvents are not taken; send one event a request")
    if content_type == STRUCTURED:
        return ()
    kind = headers.get("ce-type")
    if kind is None:
        raise GoldwatchError(
            "expected a CloudEvent: the header ce-type, or the content type application/cloudevents+json"
        )
    if kind.rpartition(".")[2] == RESPONSE:
        return None
    return tuple(headers.get(name, "") for name in MARKS)
