from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from goldwatch.cluster import fleet
from goldwatch.cluster.fleet import Agent, agents, ask, status


def pod(ip: str | None = "10.0.0.1", config: str = "fraud", port: str = "goldwatch") -> dict[str, Any]:
    container = {"name": "goldwatch", "ports": [{"name": port, "containerPort": 9870}]}
    volumes = [{"name": "goldwatch-config", "configMap": {"name": config}}]
    return {"spec": {"initContainers": [container], "volumes": volumes}, "status": {"podIP": ip}}


def told(state: str = "steady", at: float = 1_700_000_000.0, evidence: float = 0.4, **rest: Any) -> dict[str, Any]:
    verdict = {"monitor": "worse", "state": state, "evidence": evidence, "threshold": 5.62, "summary": "as it was"}
    watch = {"watch": "fraud", "state": state, "last_replay_at": at, "verdicts": [verdict], "alert": None}
    return watch | {"reasons": []} | rest


def test_agents_are_found_by_address_port_and_config_map() -> None:
    found = agents([pod(), pod("fd00::1"), pod(None), pod(port="http"), {"spec": {}}])
    assert found == [Agent("http://10.0.0.1:9870", "fraud"), Agent("http://[fd00::1]:9870", "fraud")]


def test_the_worst_that_is_known_is_shown_with_its_evidence() -> None:
    found = status([told(), told("alerting", evidence=7.9, alert=42), told("unknown", at=0.0)], 3)
    assert found == {
        "verdict": "alerting",
        "monitor": "worse",
        "evidence": "7.9 of 5.6",
        "lastReplay": "2023-11-14T22:13:20Z",
        "alert": 42,
        "message": "as it was",
        "agents": 3,
    }


def test_who_stands_by_does_not_hide_what_another_knows() -> None:
    standing_by = told("unknown", at=0.0, verdicts=[], reasons=["no replay yet"])
    assert status([standing_by, told()], 2)["verdict"] == "steady"
    assert status([standing_by], 1)["message"] == "no replay yet"


@pytest.mark.parametrize(
    ("configured", "says"), [(0, "no agent has this Watch's ConfigMap"), (2, "no agent has answered")]
)
def test_nobody_knows(configured: int, says: str) -> None:
    assert status([], configured)["message"] == says
    assert status([], configured)["verdict"] == "unknown"


@pytest.mark.parametrize(
    "strange",
    [
        told("fine"),
        told(at=float("inf")),
        told(alert="x"),
        told(verdicts=[3, {"evidence": "much", "state": []}]),
        told(verdicts=3, reasons=3),
        {"watch": "fraud"},
        told(last_replay_at=1e300),
    ],
)
def test_what_an_agent_says_is_bounded(strange: dict[str, Any]) -> None:
    found = status([strange], 1)
    assert found["verdict"] in ("unknown", "steady")
    assert found["lastReplay"] in (None, "2023-11-14T22:13:20Z")


def test_agents_are_asked_and_one_that_answers_wrongly_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_LIMIT_S", 30.0)

    async def answer(request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        texts = {
            "good": '{"watches": [{"watch": "fraud", "scores": [1]}, 3, {}]}',
            "objects": '{"watches": [' + "{}," * 200_000 + '{"watch": "fraud"}]}',
            "numbers": '{"watches": [{"watch": "fraud", "alert": [' + "1," * 1_000_000 + "1]}]}",
            "text": "hello",
            "list": "[]",
            "odd": '{"watches": 3}',
            "deep": "[" * 100_000,
        }
        return web.Response(text=texts.get(kind, ""), status=500 if kind == "bad" else 200)

    async def asked() -> dict[str, dict[str, list[fleet.Told]]]:
        app = web.Application()
        app.router.add_get("/{kind}/api/v1/watches", answer)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            kinds = ("good", "objects", "numbers", "text", "list", "odd", "deep", "bad")
            found = [Agent(str(server.make_url(f"/{kind}")), kind) for kind in kinds]
            return await ask(session, [*found, Agent("http://127.0.0.1:1", "nobody")])

    assert asyncio.run(asked()) == {"good": {"fraud": [{"watch": "fraud"}]}}
