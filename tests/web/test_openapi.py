"""docs/openapi.yaml describes every route that the agent serves, and no other."""

from __future__ import annotations

from pathlib import Path

import yaml

from goldwatch.daemon.endpoints import Endpoints

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "docs/openapi.yaml").read_text())
METHODS = {"get", "post", "put", "patch", "delete"}


def test_every_route_is_described_and_no_other() -> None:
    endpoints = Endpoints(lambda _: (b"", "text/plain"), lambda: None, lambda: None)
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in endpoints.application().router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {(method, path) for path, about in DOCUMENT["paths"].items() for method in about.keys() & METHODS}
    assert served == described
