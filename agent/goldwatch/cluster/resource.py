"""The resource `Watch` of the API group goldwatch.dev: its definition, made from the types of the config.

A Watch has under `spec` what the config has about one watch: the target and the golden set in place of their names. The
schema is structural, as the API server requires: no references to definitions, one type a value. The operator checks
the rules that it cannot express (a probe's own options, one value that depends on another), with the config's errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from goldwatch.config.written import GoldenEntry, TargetEntry, WatchEntry
from goldwatch.core.judgement import State

GROUP = "goldwatch.dev"
VERSION = "v1alpha1"
PLURAL = "watches"
API_VERSION = f"{GROUP}/{VERSION}"
DEFINITION = f"{GROUP}/definition"
"""The annotation of the definition that tells one from another: Helm never updates one that is there."""

Schema = dict[str, Any]

_BY_NAME = ("golden", "target", "targets")
"""The keys of a watch that name what a Watch holds itself."""
_LONGEST_NAME = 63
"""Of a target, golden set or watch in the config, which get the Watch's own name."""
_KEPT = (
    "type",
    "description",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "required",
    "anyOf",  # alternatives of required keys; an anyOf of types is converted
)
_NOT_IN_GO = ("(?!", "(?=", "(?<")
"""The API server's regular expressions look neither ahead nor behind."""

_COLUMNS = (
    ("Verdict", "string", ".status.verdict", 0, "The state of the worst monitor."),
    ("Evidence", "string", ".status.evidence", 0, "How much of it there is against the model, of how much is needed."),
    ("Last Replay", "date", ".status.lastReplay", 0, "How long ago the last replay began."),
    ("Config", "string", '.status.conditions[?(@.type=="Accepted")].reason', 0, "Whether it is in an agent's config."),
    ("Message", "string", ".status.message", 1, "The problem, if there is one."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "How long ago it was created."),
)


def definition() -> Schema:
    """Return the CustomResourceDefinition."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "priority": priority, "description": about}
            for name, kind, path, priority, about in _COLUMNS
        ],
        "schema": {"openAPIV3Schema": _whole()},
    }
    names = {"plural": PLURAL, "singular": "watch", "kind": "Watch", "listKind": "WatchList"}
    digest = hashlib.sha256(json.dumps(version, sort_keys=True).encode()).hexdigest()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "annotations": {DEFINITION: digest[:16]}},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _whole() -> Schema:
    return {
        "type": "object",
        "description": "A standing job of goldwatch: a golden set, replayed against a deployed model on a schedule.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The version of this schema."},
            "kind": {"type": "string", "description": "Watch."},
            # Kubernetes describes it itself, and refuses anything but limits of names.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": _LONGEST_NAME}}},
            "spec": _spec(),
            "status": _status(),
        },
    }


def _spec() -> Schema:
    entry = WatchEntry.model_json_schema()
    about = entry["properties"]
    rest = {key: structural(about[key], entry["$defs"]) for key in about if key not in _BY_NAME}
    target, golden = (kind.model_json_schema() for kind in (TargetEntry, GoldenEntry))
    return {
        "type": "object",
        "description": "The target, the golden set, the schedule, and the objectives of the model.",
        "required": ["target", "golden"],
        "properties": {
            "target": structural(target, target.get("$defs", {})),
            "golden": structural(golden, golden.get("$defs", {})),
            **rest,
        },
        "x-kubernetes-preserve-unknown-fields": True,
    }


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Convert a JSON schema of Pydantic to a structural one; what that cannot express accepts anything.

    Defaults stay with the agent: written into each object, they would outlive the agent that had them.
    """
    if "$ref" in schema:
        found = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        return structural(found | {k: v for k, v in schema.items() if k != "$ref"}, definitions)
    if "anyOf" in schema and "properties" not in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        one = choices[0] if len(choices) == 1 else {}
        return structural(one | {k: v for k, v in schema.items() if k != "anyOf"}, definitions)
    if not isinstance(schema.get("type"), str):
        about = {"description": schema["description"]} if "description" in schema else {}
        return {**about, "x-kubernetes-preserve-unknown-fields": True}
    made = {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:  # Kubernetes knows no constants
        made["enum"] = [schema["const"]]
    if any(sign in made.get("pattern", "") for sign in _NOT_IN_GO):
        del made["pattern"]
    if "items" in schema:
        made["items"] = structural(schema["items"], definitions)
    maps = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    if "properties" not in schema and isinstance(maps[0], dict):
        made["additionalProperties"] = structural(maps[0], definitions)
    if "properties" in schema:
        made["properties"] = {name: structural(of, definitions) for name, of in schema["properties"].items()}
        made["x-kubernetes-preserve-unknown-fields"] = True  # or a misspelt key is dropped, and nobody learns of it
    return made


def _status() -> Schema:
    text = {"type": "string"}
    statuses = ["True", "False", "Unknown"]
    about_reason = "Accepted, Invalid, NotAllowed (by the policy), NotWritten or Refused (with all of its ConfigMap)."
    condition = {
        "type": "object",
        "required": ["type", "status", "reason", "lastTransitionTime"],
        "properties": {
            "type": text | {"description": "Accepted."},
            "status": {"type": "string", "enum": statuses, "description": "True if it is in the config."},
            "reason": text | {"description": about_reason},
            "message": text | {"description": "What is wrong, with its field."},
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "description": "The generation of the spec that was judged.",
            },
            "lastTransitionTime": {
                "type": "string",
                "format": "date-time",
                "description": "When the status of the condition last changed.",
            },
        },
    }
    properties: Schema = {
        "verdict": {
            "type": "string",
            "enum": [str(state) for state in State],
            "description": "The state of the worst monitor; unknown as long as no agent reports.",
        },
        "monitor": {"type": "string", "description": "The monitor in that state."},
        "evidence": {"type": "string", "description": "Its evidence, of how much is needed for an alert."},
        "lastReplay": {"type": "string", "format": "date-time", "description": "When the last replay began."},
        "alert": {"type": "integer", "description": "The number of the open alert at the agent; 0 if there is none."},
        "agents": {"type": "integer", "description": "How many agents have told of this Watch."},
        "message": {"type": "string", "description": "The problem, or the monitor's message."},
        "conditions": {
            "type": "array",
            "description": "Accepted: whether the spec is in the config of an agent.",
            "items": condition,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    }
    about = "The operator's observations; only the operator writes them."
    return {"type": "object", "description": about, "properties": properties}
