"""The agents of a namespace, found by their pods, and their reports on Watches as the Watches' status."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from goldwatch.bounded_json import parse_json
from goldwatch.cluster.api import Api
from goldwatch.core.judgement import State

AGENT = "goldwatch.dev/agent"
"""The label of every pod with an agent in it."""
ASKS = "goldwatch.dev/config"
"""The annotation of a pod that asks for a sidecar."""
_VOLUME, _PORT = "goldwatch-config", "goldwatch"
_LIMIT_S = 5.0
_LIST_LIMIT_S = 15.0
_MOST_BYTES = 16 * 2**20
_AT_ONCE = 4
_KEPT = ("watch", "state", "verdicts", "reasons", "last_replay_at", "alert")
_LONGEST_TEXT = 500
_WORST_FIRST = ("alerting", "suspect", "recovered", "steady", "unknown")
"""What is known comes before what is not: an agent that stands by knows nothing, and another does."""

Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Agent:
    """The address of an agent, and the name of the ConfigMap with its config."""

    url: str
    config: str


def agents(pods: Iterable[Mapping[str, Any]]) -> list[Agent]:
    """Return the agents in pods, as far as they have an address."""
    found = []
    for pod in pods:
        spec, address = pod.get("spec") or {}, (pod.get("status") or {}).get("podIP")
        maps = [v.get("configMap") or {} for v in spec.get("volumes") or [] if v.get("name") == _VOLUME]
        containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
        ports = [p["containerPort"] for c in containers for p in c.get("ports") or [] if p.get("name") == _PORT]
        if address and maps and maps[0].get("name") and ports:
            host = f"[{address}]" if ":" in address else address
            found.append(Agent(f"http://{host}:{ports[0]}", maps[0]["name"]))
    return found


async def pods_without_sidecar(api: Api, namespace: str) -> int:
    """Count the pods that have not ended, ask for a sidecar and have none. Raises ApiError.

    The webhook labels each pod to which it adds one, so metadata is enough.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"
    not_ended = "status.phase!=Succeeded,status.phase!=Failed"
    pods = await api.all_of(path, _LIST_LIMIT_S, f"!{AGENT}", fields=not_ended, metadata_only=True)
    return sum(ASKS in (pod["metadata"].get("annotations") or {}) for pod in pods)


async def ask(session: aiohttp.ClientSession, asked: Sequence[Agent]) -> dict[str, dict[str, list[Told]]]:
    """Return the agents' reports: by ConfigMap, by the name of the Watch, an entry for each agent that answered."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(agent: Agent) -> list[Told]:
        async with turn:
            return await _watches(session, agent.url)

    answers = await asyncio.gather(*map(one, asked))
    found: dict[str, dict[str, list[Told]]] = {}
    for agent, told in zip(asked, answers, strict=True):
        for watch in told:
            found.setdefault(agent.config, {}).setdefault(str(watch.get("watch")), []).append(watch)
    return found


async def _watches(session: aiohttp.ClientSession, url: str) -> list[Told]:
    """Ask one agent. One that does not answer, or not as an agent does, is skipped: any pod may have the label."""
    try:
        limit = aiohttp.ClientTimeout(total=_LIMIT_S)
        async with session.get(f"{url}/api/v1/watches", timeout=limit, allow_redirects=False) as answer:
            body = await answer.content.read(_MOST_BYTES + 1) if answer.status == 200 else b""
            while 0 < len(body) <= _MOST_BYTES and (more := await answer.content.read(_MOST_BYTES)):
                body += more
        found = parse_json(body).get("watches") if len(body) <= _MOST_BYTES else None
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError):
        return []
    watches = [watch for watch in found if isinstance(watch, dict)] if isinstance(found, list) else []
    return [{key: watch[key] for key in _KEPT if key in watch} for watch in watches if "watch" in watch]


def status(told: Sequence[Told], configured: int) -> dict[str, Any]:
    """Return the part of a Watch's status that agents report: of several, the worst of those that know.

    `configured` is how many agents have the config of the Watch. An unknown value is None.
    """
    if not told:
        message = "no agent has answered" if configured else "no agent has this Watch's ConfigMap"
        return _status(State.UNKNOWN, message=message, agents=0)
    worst = min(told, key=lambda w: (_rank(w.get("state")), -(_number(w.get("last_replay_at")) or 0)))
    verdicts = [v for v in _list(worst.get("verdicts")) if isinstance(v, dict)]
    verdict = min(verdicts, key=lambda v: (_rank(v.get("state")), -_share(v)), default={})
    reasons = [str(reason) for reason in _list(worst.get("reasons"))]
    state = str(worst.get("state"))
    return _status(
        State(state) if state in _WORST_FIRST else State.UNKNOWN,
        monitor=_short(verdict.get("monitor")),
        evidence=_evidence(verdict),
        lastReplay=_moment(max((_number(w.get("last_replay_at")) or 0 for w in told), default=0)),
        alert=max((int(_number(w.get("alert")) or 0) for w in told), default=0),
        message=_short("; ".join(reasons) or verdict.get("summary")),
        agents=len(told),
    )


def _status(verdict: State, **rest: Any) -> dict[str, Any]:  # noqa: ANN401
    empty = dict.fromkeys(("monitor", "evidence", "lastReplay", "message")) | {"alert": 0}
    return {"verdict": str(verdict)} | empty | rest


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _rank(state: object) -> int:
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else len(_WORST_FIRST)


def _share(verdict: Mapping[str, Any]) -> float:
    """Return how much of the evidence that is needed is there."""
    evidence, threshold = _number(verdict.get("evidence")), _number(verdict.get("threshold"))
    return evidence / threshold if evidence is not None and threshold else -math.inf


def _evidence(verdict: Mapping[str, Any]) -> str | None:
    evidence, threshold = _number(verdict.get("evidence")), _number(verdict.get("threshold"))
    return None if evidence is None or threshold is None else f"{evidence:.1f} of {threshold:.1f}"


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e11
    return float(value) if known and isinstance(value, int | float) else None


def _short(text: object) -> str | None:
    return text[:_LONGEST_TEXT] if isinstance(text, str) and text else None


def _moment(at: float) -> str | None:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if 0 < at < 1e11 else None
