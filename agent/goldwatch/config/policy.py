"""The section `policy`: limits on a config whose watches come from people who are trusted less than the agent.

The operator writes it into each config that it makes of Watch resources. Runs in the agent and in the operator; the
reader of the file enforces `references` before it follows any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, Strict

from goldwatch.config.base import Section
from goldwatch.config.document import Document
from goldwatch.config.model import Target

SECTIONS = ("targets", "golden", "watches")
"""The sections that a policy limits."""


class Policy(Section):
    """What the sections `targets`, `golden` and `watches` may use. Without this section they may use everything."""

    probes: Annotated[tuple[str, ...], Strict(False)] = Field(  # a list in the file
        default=(),
        description="Probes that run a model, and with it foreign code, in the agent's pod and are allowed all the "
        "same; those that ask a server always are.",
    )
    references: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(),
        description="The references that are allowed, without `${` and `}`, such as file:/etc/goldwatch/secrets/fraud.",
    )


def allowed_references(written: Mapping[str, object]) -> frozenset[str]:
    """Return the references that a section `policy` allows, as it is written.

    It is read before it is checked: one that is malformed, or missing, allows nothing.
    """
    policy = written.get("policy")
    listed = policy.get("references") if isinstance(policy, Mapping) else None
    return frozenset(body for body in listed if isinstance(body, str)) if isinstance(listed, list) else frozenset()


def check_policy(document: Document, targets: dict[str, Target]) -> None:
    """Add a problem for each target that would run code of its own choice in the agent's pod."""
    if "policy" not in document.value:
        return
    listed = document.section("policy").get("probes")
    probes = listed if isinstance(listed, list) else []
    for name in document.section("targets"):
        written = document.section("targets", name)
        if "python" in written:
            document.add(("targets", name, "python"), "another interpreter is not allowed by the section `policy`")
        target = targets.get(name)
        if target is not None and not target.served and target.probe not in probes:
            message = f'the probe "{target.probe}" runs code in the agent and is not in `policy.probes`; '
            document.add(("targets", name, "probe"), message + "use one that asks a server, or ask who runs the agent")
