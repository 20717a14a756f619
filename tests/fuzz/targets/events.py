"""A live request at the tap: headers, an empty line and a body, as KServe's logger sends them."""

from __future__ import annotations

from goldwatch.core.cloud_events import STRUCTURED, attributed, marks
from goldwatch.daemon.tap import MOST_REQUEST_BYTES, Tap
from goldwatch.errors import GoldwatchError
from goldwatch.worker.drift.clusters import Key
from goldwatch.worker.drift.features import Features, Input
from goldwatch.worker.drift.rows import read

_INPUTS = (Input("amount", ()), Input("ratios", (2,)), Input("country", (), text=True))
_KEY = "user.id"
_MOST_ROWS = 100


def target(data: bytes) -> None:
    """Return if a request becomes rows and columns, or is refused or counted as unreadable."""
    head, _, body = data.partition(b"\n\n")
    lines = [line.partition(":") for line in head.decode("utf-8", "surrogateescape").split("\n")]
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    kind = headers.get("content-type", STRUCTURED)
    tap = Tap(1, 1.0, key=_KEY)
    try:
        found = marks(headers, kind)
    except GoldwatchError:
        return
    if found is None or len(body) > MOST_REQUEST_BYTES:
        return
    tap.offer(body if kind == STRUCTURED else attributed(body, headers, tap.key), *found)
    bodies = tap.take().bodies
    for key in (None, Key(_KEY, 4)):
        rows = read(bodies, _INPUTS, _MOST_ROWS, key)
        assert rows.count <= _MOST_ROWS
        Features.of(_INPUTS, rows.rows).table(rows.rows)
        for reason in rows.reasons:
            reason.encode()
