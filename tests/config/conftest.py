from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from goldwatch.config import Config, load

from tests.config.fakes import probes

Load = Callable[..., Config]


@pytest.fixture
def load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text as goldwatch.yaml of an empty folder, with the fake probes and no environment but what is given."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str | bytes, environ: Mapping[str, str] = {}) -> Config:
        path = Path("goldwatch.yaml")
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(path, environ, probes)

    return load_text
