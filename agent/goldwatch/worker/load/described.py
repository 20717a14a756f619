"""The identity that a target reports, within bounds. Runs in the worker.

A description goes to the agent, into the ledger with each replay, and into labels of metrics; a server's own text has
no bound.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from goldwatch.probe import CannotLoad, Description, Probe
from goldwatch.redaction import redact_known

MAX_TENSORS = 1000
"""Inputs and outputs together."""
MAX_CHARACTERS = 500
MAX_AXES = 64
_TEXTS = ("model", "version", "framework", "framework_version", "device", "digest")


def described(probe: Probe) -> Description:
    """Return the description of an open target. Raises CannotLoad for one beyond the bounds, and what the probe raises.

    Texts of the target itself are cut; names of tensors are not, since a cut name is another one.
    """
    found = probe.describe()
    tensors = (*found.inputs, *found.outputs)
    if len(tensors) > MAX_TENSORS:
        raise CannotLoad(f"the target describes {len(tensors):,} inputs and outputs; {MAX_TENSORS:,} are allowed")
    for tensor in tensors:
        name = f'"{tensor.name[:40]}..."' if len(tensor.name) > 40 else f'"{tensor.name}"'
        if len(tensor.name) > MAX_CHARACTERS:
            length = f"a name of {len(tensor.name):,} characters"
            raise CannotLoad(f"the target describes a tensor {name} with {length}; {MAX_CHARACTERS} are allowed")
        if len(tensor.shape) > MAX_AXES:
            raise CannotLoad(
                f"the target describes a tensor {name} with {len(tensor.shape)} axes; {MAX_AXES} are allowed"
            )
    texts: dict[str, Any] = {name: redact_known(getattr(found, name))[:MAX_CHARACTERS] for name in _TEXTS}
    return replace(found, **texts)
