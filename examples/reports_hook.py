"""MkDocs hook: run the examples while the site is built, and link their reports in docs/examples.md.

It runs in the environment of MkDocs, the examples in `.venv`. The variable GOLDWATCH_EXAMPLES names the examples to
run; all if it is empty.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = "examples.md"
MARK = "<!-- reports -->"


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - MkDocs is in another environment
    """Add the report of each example to the files of the site. Raises RuntimeError if an example fails."""
    from mkdocs.structure.files import File  # type: ignore[import-not-found]  # noqa: PLC0415

    names = os.environ.get("GOLDWATCH_EXAMPLES", "").split()
    with tempfile.TemporaryDirectory(prefix="goldwatch-reports-") as folder:
        command = [str(ROOT / ".venv/bin/python"), str(ROOT / "examples/run.py"), folder, *names]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"examples/run.py ended with exit code {done.returncode}:\n{done.stdout}")
        for report in sorted(Path(folder).glob("*.html")):
            files.append(File.generated(config, f"reports/{report.name}", content=report.read_text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ANN401, ARG001
    """Replace the mark in the page by links to the reports."""
    if page.file.src_uri != PAGE:
        return markdown
    names = sorted(Path(file.src_uri).stem for file in files if file.src_uri.startswith("reports/"))
    return markdown.replace(MARK, "\n".join(f"- [{name}](reports/{name}.html)" for name in names))
