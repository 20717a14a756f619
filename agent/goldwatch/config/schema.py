"""The JSON schema of the config, for editors: from the types, with the options of each installed probe."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from goldwatch.config.probes import BrokenProbe, EntryPointLike, Probes, installed_probes, probe_type
from goldwatch.config.written import ConfigFile

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Schema = {
    "type": "string",
    "pattern": r"\$\{[^{}]+\}",
    "description": "A reference: ${NAME}, ${NAME:-default} or ${file:PATH}.",
}


class _Generator(GenerateJsonSchema):
    """Writes the defaults of quantities as a user would."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        result = super().default_schema(schema)
        form = schema["schema"].get("serialization", {}).get("function")
        if form and "default" in result:
            result["default"] = form(schema["default"])
        return result


def json_schema(probes: Probes = installed_probes) -> Schema:
    """Return the schema (2020-12). A probe that cannot be imported is named, but its options are not checked."""
    schema = ConfigFile.model_json_schema(schema_generator=_Generator)
    definitions = schema["$defs"]
    entry = definitions["TargetEntry"]
    choices = {}
    for name, found in sorted(probes().items()):
        choices[f"target-{name}"] = _target(name, found, entry, definitions)
    definitions["TargetEntry"] = {
        "description": entry["description"],
        "oneOf": [{"$ref": f"#/$defs/{choice}"} for choice in choices],
    }
    definitions.update(choices)
    definitions["GoldenEntry"] = _with_short_form(definitions["GoldenEntry"])
    for definition in [schema, *definitions.values()]:
        _finish(definition)
    definitions["reference"] = _REFERENCE
    return {"$schema": _DIALECT, **schema, "title": "goldwatch.yaml"}


def _target(name: str, found: EntryPointLike, entry: Schema, definitions: Schema) -> Schema:
    """Return the schema of a target with this probe."""
    own: Schema = {**deepcopy(entry["properties"]), "probe": {"const": name, "description": f"The probe {name}."}}
    try:
        kind = probe_type(found)
    except BrokenProbe as error:
        about = f"A target of the probe {name}, which cannot be used: {error}"
        return {"type": "object", "description": about, "properties": own, "required": ["probe"]}
    definitions.update(kind.schema.get("$defs", {}))
    options = {
        key: {"$ref": "#/$defs/reference", "description": option["description"]} if key in kind.secrets else option
        for key, option in kind.schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "description": f"A target of the probe {name}.",
        "properties": {**own, **options},
        "required": ["probe", *kind.schema.get("required", [])],
        "additionalProperties": False,
    }


def _with_short_form(mapping: Schema) -> Schema:
    path = mapping["properties"]["path"]
    return {"description": mapping["description"], "anyOf": [dict(path), mapping]}


def _finish(definition: Schema) -> None:
    """Let each value be a reference, and a mapping be left empty if nothing in it is required."""
    for branch in definition.get("anyOf", [definition]):
        properties = branch.get("properties", {})
        for key, value in properties.items():
            properties[key] = _or_reference(value)
        for mapping in (branch, *properties.values()):
            if "patternProperties" in mapping:  # of names, which have no other form
                mapping["additionalProperties"] = False
        if "properties" in branch and not branch.get("required") and "anyOf" not in branch:
            branch["type"] = ["object", "null"]


def _or_reference(value: Schema) -> Schema:
    value.pop("title", None)
    if value.get("default", "") in ("", None, {}, []):
        value.pop("default", None)
    if "const" in value or not (
        {"enum", "pattern"} & value.keys() or value.get("type") in ("integer", "number", "boolean")
    ):
        return value
    about: Schema = {key: value.pop(key) for key in ("description", "default", "examples") if key in value}
    return {**about, "anyOf": [value, {"$ref": "#/$defs/reference"}]}
