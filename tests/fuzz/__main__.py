"""Fuzz one target with atheris: `python -m tests.fuzz http -max_total_time=3600`; options are those of libFuzzer.

Inputs that it finds are kept in `.fuzz/NAME`, which git ignores. An input that fails is written into the current
folder: fix the cause, and add the input to `tests/fuzz/corpus/NAME`.
"""

from __future__ import annotations

import importlib
import resource
import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
MEMORY_BYTES = 2**30
"""More is a MemoryError, which ends the run as any other error does."""


def main() -> None:
    """Run until an input fails, or the options end it."""
    name, *options = sys.argv[1:] or [""]
    names = sorted(folder.name for folder in CORPUS.iterdir())
    if name not in names:
        sys.exit(f"usage: python -m tests.fuzz NAME [OPTION...]; NAME is one of {', '.join(names)}")
    with atheris.instrument_imports(include=["goldwatch", "goldwatch_probes", "yaml"]):
        target = importlib.import_module(f"tests.fuzz.targets.{name}").target
    found = Path(".fuzz") / name
    found.mkdir(parents=True, exist_ok=True)
    # Not libFuzzer's own limit: the peak that it reads is inherited from the process that started it.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    limits = ["-timeout=60", "-rss_limit_mb=0", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *limits, *options, str(found), str(CORPUS / name)], target)
    atheris.Fuzz()


main()
