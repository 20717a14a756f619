"""Writes the CustomResourceDefinition of Watch from the types of the config: python helm/make_crd.py."""

from __future__ import annotations

from pathlib import Path

import yaml

from goldwatch.cluster.resource import definition

FILE = Path(__file__).parent / "goldwatch/crds/watches.yaml"

_HEAD = "# Made from the types of the config by: python helm/make_crd.py\n"


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True


def text() -> str:
    """Return the text of the file."""
    return _HEAD + yaml.dump(definition(), Dumper=_NoAliases, sort_keys=False, width=120)


if __name__ == "__main__":
    FILE.write_text(text())
