"""CloudEvents as KServe's inference logger sends them, at the agent's own endpoint."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from goldwatch.config.live import ClusterKey, Live
from goldwatch.daemon.endpoints import MOST_EVENTS_PER_S, Endpoints
from goldwatch.daemon.tap import MOST_REQUEST_BYTES, Taps
from goldwatch.worker.drift.clusters import Key
from goldwatch.worker.drift.features import Input
from goldwatch.worker.drift.rows import read

BODY = {"instances": [[1.0, 2.0]]}


def event(kind: str = "request", **attributes: str) -> CloudEvent:
    """Return an event with the attributes that the logger gives it."""
    known = {
        "type": f"org.kubeflow.serving.inference.{kind}",
        "source": "http://localhost:9081/",
        "inferenceservicename": "model",
        "namespace": "models",
        "component": "predictor",
        "endpoint": "",
        "metadata": "{}",
        "datacontenttype": "application/json",
    }
    return CloudEvent(known | attributes, BODY)


def post(messages: list[tuple[str, Mapping[str, str], bytes]], taps: Taps) -> list[tuple[int, str]]:
    """Post to the endpoint of a watch, and return each answer's status and text."""

    async def served() -> list[tuple[int, str]]:
        endpoints = Endpoints(lambda _: (b"", "text/plain"), lambda: None, lambda: None, taps)
        port = await endpoints.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                found = []
                for watch, headers, body in messages:
                    async with session.post(f"/live/{watch}", headers=headers, data=io.BytesIO(body)) as answer:
                        found.append((answer.status, await answer.text()))
                return found
        finally:
            await endpoints.stop()

    return asyncio.run(served())


def of(message: HTTPMessage, watch: str = "model") -> tuple[str, Mapping[str, str], bytes]:
    return watch, message.headers, bytes(message.body)


@pytest.fixture
def taps() -> Taps:
    found = Taps()
    found.enforce({"model": Live(requests=20, window=0.0), "logged": Live(file="/var/log/requests")})
    return found


def taken(taps: Taps) -> Any:
    tap = taps.of("model")
    assert tap is not None
    return tap.take()


def test_requests_are_taken_and_answers_passed_over(taps: Taps) -> None:
    answers = post(
        [of(to_binary_event(event())), of(to_structured_event(event())), of(to_binary_event(event("response")))], taps
    )
    assert [status for status, _ in answers] == [200, 200, 200]
    found = taken(taps)
    first, second = sorted((json.loads(body) for body in found.bodies), key=len)
    assert (first, second["data"], found.counts.seen) == (BODY, BODY, 2)


def test_our_own_requests_are_known_by_the_id_of_the_event_or_its_metadata(taps: Taps) -> None:
    ours = [
        to_binary_event(event(id="x-goldwatch-replay")),
        to_structured_event(event(id="x-goldwatch-replay")),
        to_binary_event(event(metadata='{"X-Goldwatch-Replay":["1"]}')),
    ]
    post([*map(of, ours), of(to_binary_event(event()))], taps)
    found = taken(taps)
    assert (len(found.bodies), found.counts.synthetic) == (1, 3)


@pytest.mark.parametrize(
    ("key", "attributes"),
    [("session", {"session": "a\u00e9 1"}), ("metadata.x-session-id", {"metadata": '{"X-Session-Id":["a\u00e9 1"]}'})],
)
def test_an_attribute_that_is_the_key_of_clusters_is_kept_with_the_request(
    key: str, attributes: dict[str, str]
) -> None:
    keyed = Taps()
    keyed.enforce({"model": Live(requests=20, window=0.0, clusters=ClusterKey(key=key))})
    with_it, without = event(**attributes), event()
    post([of(to_binary_event(with_it)), of(to_structured_event(with_it)), of(to_binary_event(without))], keyed)
    found = read(taken(keyed).bodies, (Input("x", (2,)),), 1, Key(key, 10))
    assert (found.count, found.reasons) == (2, {f"it has no {key}, the key of live.clusters": 1})
    assert found.clusters is not None
    assert found.clusters.tolist() == [0, 0]


def test_what_is_no_event_is_told_what_is_expected_and_counted(taps: Taps) -> None:
    plain = {"Content-Type": "application/json"}
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    large = dict(to_binary_event(event()).headers)
    answers = post(
        [
            ("model", plain, b"{}"),
            ("model", batch, b"[]"),
            ("model", large, b"x" * (MOST_REQUEST_BYTES + 1)),
            of(to_binary_event(event())),
        ],
        taps,
    )
    assert [status for status, _ in answers] == [400, 400, 200, 200]
    assert "expected a CloudEvent: the header ce-type" in answers[0][1]
    assert "too large" in answers[2][1]
    assert taken(taps).counts.refused == 3


def test_a_watch_without_a_tap_or_with_a_log_takes_nothing(taps: Taps) -> None:
    found = post([of(to_binary_event(event()), watch) for watch in ("other", "logged")], taps)
    assert [status for status, _ in found] == [404, 404]


def test_too_many_a_second_are_counted_and_answered_at_once(taps: Taps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goldwatch.daemon.endpoints.MOST_EVENTS_PER_S", 3)
    monkeypatch.setattr("goldwatch.daemon.endpoints.time.monotonic", lambda: 1.0)
    answers = post([of(to_binary_event(event()))] * 10, taps)
    assert [status for status, _ in answers] == [200] * 10
    found = taken(taps)
    assert (len(found.bodies), found.counts.refused) == (3, 7)
    assert MOST_EVENTS_PER_S > 3
