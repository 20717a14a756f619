"""The site of docs/ builds strictly: no dead link or anchor, no page left out. It loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MKDOCS = ROOT / ".venv-docs/bin/mkdocs"
LOADED = re.compile(
    r"<(?:script|img|iframe|link(?=[^>]*(?:stylesheet|preload|icon)))[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>"
)


@pytest.mark.real
@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    if not MKDOCS.exists():
        assert not os.environ.get("CI"), "tests/environments/make docs has not run"
        pytest.skip("run tests/environments/make docs first")
    build = [str(MKDOCS), "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    one = os.environ | {"GOLDWATCH_EXAMPLES": "regression"}  # tests/commands/test_examples.py runs all of them
    done = subprocess.run(build, cwd=ROOT, env=one, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    assert "reports/regression.html" in (tmp_path / "site/examples/index.html").read_text()
    assert (tmp_path / "site/reports/regression.html").exists()
    assert not [(page.name, found) for page in pages for found in LOADED.findall(page.read_text())]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_lead_to_files(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]
