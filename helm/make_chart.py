"""Write what of the chart is made from something else: python helm/make_chart.py.

The README and values.schema.json come from values.yaml, whose comments describe its keys, and from files/refused.yaml.
The rules and dashboards in files/ are copies: a chart in an archive, or fetched by Flux, has no files outside its
folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "goldwatch"
SHIPPED = Path(__file__).parents[1] / "dashboards"

Schema = dict[str, Any]

_HEAD = """# goldwatch, the chart

goldwatch replays golden sets against deployed models and shows, with a stated error rate, whether they are still the
models that were validated. How to install it, in three ways, is in [docs/kubernetes.md](../../docs/kubernetes.md).

```
helm install goldwatch helm/goldwatch --namespace goldwatch --create-namespace --values values.yaml --wait
```

## Values

Made from `values.yaml` by `python helm/make_chart.py`.

| key | default | description |
|---|---|---|
"""
_REFUSED = """
## Names from other charts

These keys are refused, with this message.

| key | what to write instead |
|---|---|
"""

_KUBERNETES = "Kubernetes checks it."
_NAME = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?"
_IMAGE = r"[a-z0-9]([a-z0-9._/:-]*[a-z0-9])?"
_DURATION = r"[1-9][0-9]{0,3}(ms|s|m|h)"
_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_LABEL = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"


_PRINTED = "[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]*"
"""What YAML may hold: Helm's toYaml writes nothing at all, and says nothing, if there is another character."""


def _text(pattern: str, longest: int = 253) -> Schema:
    return {"type": "string", "maxLength": longest, "pattern": f"^{pattern}$"}


def _one_of(*choices: str) -> Schema:
    return {"enum": list(choices)}


def _whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _items(item: Schema, **rest: Any) -> Schema:  # noqa: ANN401 - whatever JSON Schema knows
    return {"type": "array", "maxItems": 200, "items": item, **rest}


def _named(**keys: Schema) -> Schema:
    properties = {"name": _text(_NAME) | {"minLength": 1}, **keys}
    return {"type": "object", "additionalProperties": False, "required": ["name"], "properties": properties}


def _texts(value: Schema, key: str = _KEY) -> Schema:
    names = {"maxLength": 316, "pattern": f"^{key}$"}
    return {"type": "object", "maxProperties": 50, "additionalProperties": value, "propertyNames": names}


_ANY = _text(_PRINTED, 65536)
_LABELS, _ANNOTATIONS = _texts(_text(_LABEL, 63)), _texts(_ANY)
_OBJECT: Schema = {"type": "object", "$comment": _KUBERNETES}
_ID = {"type": ["integer", "null"], "minimum": 1, "maximum": 2147483647}
_GOLDEN = _named(
    name=_text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", 40),
    subPath=_ANY,
    configMap=_text(_NAME) | {"minLength": 1},
    persistentVolumeClaim=_text(_NAME) | {"minLength": 1},
    image=_text(r"[a-z0-9][a-z0-9./_-]*(:[0-9]+/[a-z0-9./_-]+)?(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?", 500),
    volume=_OBJECT | {"minProperties": 1},
    pullPolicy=_one_of("Always", "IfNotPresent", "Never"),
) | {"oneOf": [{"required": [kind]} for kind in ("configMap", "persistentVolumeClaim", "image", "volume")]}
_BUDGET = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]{1,3}%)?$"}]}

# Types that a key's default does not show. The longest pattern that matches the end of a key's path decides.
_TYPES: dict[str, Schema] = {
    "nameOverride": _text(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)?", 63),
    "fullnameOverride": _text(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)?", 63),
    "namespaceOverride": _text(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)?", 63),
    "adaptSecurityContext": _one_of("auto", "force", "disabled"),
    "imagePullSecrets": _items({"anyOf": [_named(), _text(_NAME)]}),
    "Labels": _LABELS,
    "labels": _LABELS,
    "nodeSelector": _LABELS,
    "podLabels": _LABELS,
    "commonLabels": _LABELS,
    "additionalRuleLabels": _texts(_ANY, r"[a-zA-Z_][a-zA-Z0-9_]*"),
    "additionalRuleAnnotations": _texts(_ANY, r"[a-zA-Z_][a-zA-Z0-9_]*"),
    "annotations": _ANNOTATIONS,
    "podAnnotations": _ANNOTATIONS,
    "commonAnnotations": _ANNOTATIONS,
    "imageRegistry": _text(f"({_IMAGE})?"),
    "registry": _text(f"({_IMAGE})?"),
    "image.repository": _text(_IMAGE) | {"minLength": 1},
    "operator.image.repository": _text(f"({_IMAGE})?"),
    "tag": _text(r"([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"),
    "digest": _text(r"(sha256:[0-9a-f]{64})?"),
    "pullPolicy": _one_of("Always", "IfNotPresent", "Never"),
    "serviceAccount.name": _text(_NAME),
    "config": {"type": "object"},
    "existingConfigMap": _text(_NAME),
    "existingConfigMapKey": _text(r"[-._a-zA-Z0-9]+") | {"minLength": 1},
    "golden": _items(_GOLDEN),
    "env": _items(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": _text(r"[-._a-zA-Z][-._a-zA-Z0-9]*"),
                "value": {"type": ["string", "integer", "boolean"], "pattern": f"^{_PRINTED}$"},
                "valueFrom": _OBJECT | {"minProperties": 1, "maxProperties": 1},
            },
            "oneOf": [{"required": ["value"]}, {"required": ["valueFrom"]}],
        }
    ),
    "secrets": _items(_named()),
    "extraArgs": _items(_ANY),
    "resources": _OBJECT,
    "podSecurityContext": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "runAsNonRoot": {"const": True},
            "runAsUser": _ID,
            "runAsGroup": _ID,
            "fsGroup": _ID,
            "supplementalGroups": _items({"type": "integer", "minimum": 1, "maximum": 2147483647}),
            "fsGroupChangePolicy": _one_of("Always", "OnRootMismatch"),
            "seLinuxOptions": _OBJECT,
            "seccompProfile": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type"],
                "properties": {"type": _one_of("RuntimeDefault", "Localhost"), "localhostProfile": _ANY},
                "if": {"properties": {"type": {"const": "Localhost"}}},
                "then": {"required": ["localhostProfile"], "properties": {"localhostProfile": {"minLength": 1}}},
                "else": {"properties": {"localhostProfile": False}},
            },
        },
    },
    "port": _whole(1024, 65535),
    "web.tokenSecret": _text(_NAME),
    "web.tlsSecret": _text(_NAME),
    "allowedHosts": _items(_text(r"\.?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")),
    "service.type": _one_of("ClusterIP", "NodePort", "LoadBalancer"),
    "ipFamilyPolicy": _one_of("", "SingleStack", "PreferDualStack", "RequireDualStack"),
    "ipFamilies": _items(_one_of("IPv4", "IPv6"), uniqueItems=True, maxItems=2),
    "ingress.hosts": _items(_OBJECT | {"required": ["host"]}),
    "httpRoute.hostnames": _items(_ANY | {"minLength": 1}),
    "priorityClassName": _text(_NAME),
    "runtimeClassName": _text(_NAME),
    "schedulerName": _text(_NAME),
    "dnsPolicy": _one_of("", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    "terminationGracePeriodSeconds": _whole(10, 3600),
    "revisionHistoryLimit": _whole(0, 1000),
    "replicas": _whole(1, 10),
    "maxUnavailable": _BUDGET,
    "minAvailable": _BUDGET,
    "unhealthyPodEvictionPolicy": _one_of("", "IfHealthyBudget", "AlwaysAllow"),
    "existingClaim": _text(_NAME),
    "persistence.size": _text(r"[0-9]+(\.[0-9]+)?([eE][0-9]+|m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?"),
    "storageClass": _text(f"({_NAME}|-)"),
    "accessModes": _items(
        _one_of("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"), uniqueItems=True, minItems=1, maxItems=3
    ),
    "namespaces": _items(_text(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", 63), uniqueItems=True),
    "lease.duration": _text(_DURATION),
    "renewDeadline": _text(_DURATION),
    "retryPeriod": _text(_DURATION),
    "sidecar.logs": _text(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)?", 63),
    "visibleDevices": _text(r"(all|[0-9]+(,[0-9]+)*|(GPU|MIG)-[0-9a-fA-F-]+)"),
    "hostPath": _text(r"/sys/[A-Za-z0-9/_.:-]+"),
    "namespace": _text(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)?", 63),
    "interval": _text(_DURATION),
    "scrapeTimeout": _text(f"({_DURATION})?"),
    "scheme": _one_of("", "http", "https"),
    "sampleLimit": _whole(0, 10**9),
    "source": _one_of("scrape", "otlp"),
    "severities": _texts(_ANY | {"minLength": 1}, "page|ticket"),
    "disabled": _items(_ANY, uniqueItems=True),
    "timeoutSeconds": _whole(1, 30),
    "issuer": _text(_NAME),
    "certManager.kind": _one_of("Issuer", "ClusterIssuer"),
    "existingSecret": _text(_NAME),
    "caBundle": _text(r"[A-Za-z0-9+/=]*", 65536),
    "selector": _ANY,
    "defaults": {"type": "object", "$comment": "goldwatch checks it."},
    "extraObjects": {"type": "array", "$comment": _KUBERNETES},
}
_SHARED = (
    *(
        "resources",
        "podLabels",
        "podAnnotations",
        "nodeSelector",
        "tolerations",
        "affinity",
        "topologySpreadConstraints",
    ),
    *("priorityClassName", "schedulerName", "hostAliases", "dnsPolicy", "dnsConfig", "terminationGracePeriodSeconds"),
    *("revisionHistoryLimit", "podDisruptionBudget"),
)
"""Keys that `standalone`, `operator` and `webhook` take too."""
_WORKLOADS = ("standalone", "operator", "webhook")


def descriptions() -> dict[str, str]:
    """Return the comments of values.yaml, by the path of the key below each."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    said = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        if comment := re.match(r" *# -- (.*)", line):
            said = comment[1]
        elif key := re.match(r"( *)(\w+):", line):
            above = [*((depth, name) for depth, name in above if depth < len(key[1])), (len(key[1]), key[2])]
            if said:
                found[".".join(name for _, name in above)] = said
            said = ""
    return found


def refused() -> dict[str, str]:
    """Return the keys that are refused, and what to write instead."""
    found: dict[str, str] = yaml.safe_load((CHART / "files/refused.yaml").read_text())
    return found


def schema() -> Schema:
    """Return the schema of the values."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    about = descriptions()
    made = _of(values, "", about)
    properties = made["properties"]
    properties["global"] |= {"additionalProperties": True}
    for workload in _WORKLOADS:
        shared = {key: _of(values[key], key, about) for key in _SHARED}
        properties[workload]["properties"] = {**shared, **properties[workload]["properties"]}
    for path in refused():
        inner = made
        for key in path.split("."):
            if "properties" not in inner:
                break
            inner = inner["properties"].setdefault(key, {"$comment": "Refused; templates/_refused.tpl says why."})
    asked: Schema = {"properties": {"standalone": {"properties": {"enabled": {"const": True}}}}}
    asked["properties"]["existingConfigMap"] = {"const": ""}
    manager: Schema = {"properties": {"enabled": {"const": True}}, "required": ["enabled"]}
    properties["webhook"]["properties"]["certManager"] |= {
        "if": manager,
        "then": {"properties": {"issuer": {"minLength": 1}}, "required": ["issuer"]},
    }
    operated: Schema = {"properties": {"operator": manager | {"properties": {"enabled": {"const": True}}}}}
    closed = {key: {"maxLength": 0} for key in ("tokenSecret", "tlsSecret")}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart goldwatch",
        **made,
        "if": asked,
        "then": {"properties": {"config": {"required": ["targets", "golden", "watches"]}}},
        "allOf": [
            {
                "$comment": "The operator asks agents over plain HTTP, and has no token.",
                "if": operated | {"required": ["operator"]},
                "then": {"properties": {"web": {"properties": closed}}},
            }
        ],
    }


def _of(value: Any, path: str, about: dict[str, str]) -> Schema:  # noqa: ANN401 - as in YAML
    said = {"description": about[path]} if path in about else {}
    if path and (known := max((key for key in _TYPES if f".{path}".endswith(f".{key}")), key=len, default="")):
        return {**_TYPES[known], **said}
    if isinstance(value, dict) and value and not _is_passed_on(path, about):
        properties = {key: _of(each, f"{path}.{key}".strip("."), about) for key, each in value.items()}
        return {"type": "object", **said, "additionalProperties": False, "properties": properties}
    if isinstance(value, str):
        return {**_ANY, **said}
    if isinstance(value, bool | int):
        return {"type": "boolean" if isinstance(value, bool) else "integer", **said}
    if isinstance(value, list):
        return {"type": "array", "items": {"type": "object"}, "$comment": _KUBERNETES, **said}
    return {**_OBJECT, **said}


def _is_passed_on(path: str, about: dict[str, str]) -> bool:
    """Say whether none of the keys below is described: then Kubernetes knows what they are."""
    return bool(path) and not any(key.startswith(f"{path}.") for key in about)


def readme() -> str:
    """Return the text of the README."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = "".join(f"{row}\n" for row in _rows(values, "", descriptions()))
    names = "".join(f"| `{key}` | {_cell(said)} |\n" for key, said in refused().items())
    return _HEAD + rows + _REFUSED + names


def _rows(values: dict[str, Any], above: str, about: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        path = above + name
        if isinstance(value, dict) and value and not _is_passed_on(path, about):
            if path in about:
                yield f"| `{path}` | | {_cell(about[path])} |"
            yield from _rows(value, f"{path}.", about)
        else:
            yield f"| `{path}` | `{json.dumps(value)}` | {_cell(about[path])} |"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def copies() -> dict[Path, str]:
    """Return the files of the chart that are copies, with their text."""
    files = CHART / "files"
    found = {files / f"dashboards/{file.name}": file.read_text() for file in (SHIPPED / "json").glob("*.json")}
    found[files / "rules.yaml"] = (SHIPPED / "rules/prometheus.yaml").read_text()
    found[files / "rules-otlp.yaml"] = (SHIPPED / "rules/otlp/prometheus.yaml").read_text()
    return found


def generated() -> dict[Path, str]:
    """Return every generated file of the chart, with its text; the definition of Watch is made by make_crd.py."""
    text = json.dumps(schema(), indent=1) + "\n"
    return {CHART / "README.md": readme(), CHART / "values.schema.json": text, **copies()}


if __name__ == "__main__":
    for file, text in generated().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
