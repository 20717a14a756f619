from __future__ import annotations

import runpy
from pathlib import Path

HELM = Path(__file__).parents[2] / "helm"


def test_the_definition_is_what_the_types_of_the_config_make() -> None:
    text = runpy.run_path(str(HELM / "make_crd.py"))["text"]
    assert (HELM / "goldwatch/crds/watches.yaml").read_text() == text(), "run: python helm/make_crd.py"
