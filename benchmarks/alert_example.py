"""Write the example of docs/alerts.md: `python -m benchmarks.alert_example`.

A real agent replays the digits against their model. Then the file of the model is replaced by a quantised one, as a
rollout would. The text of the alert that opens is written.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

from goldwatch.daemon.exports import Exports
from goldwatch.daemon.in_force import prepare
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.runner import Runner
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers

PAGE = Path("docs/alerts.md")
_MARKED = re.compile(r"(<!-- alert_example -->\n```\n).*?(\n```)", re.DOTALL)
_DIGITS = Path(__file__).parents[1] / "agent/goldwatch/demo/digits"
_REPLAYS = 4
_CONFIG = """\
targets:
  digits: {probe: onnx-runtime, file: digits.onnx, threads: 1, deployment: ml/digits}
golden: {digits: ./golden}
watches:
  digits: {every: 5m, objectives: {accuracy: no worse than 1 point, errors: 1%, latency: 50ms at p99}}
exporters: {prometheus: {external_url: "https://goldwatch.example/digits"}}
"""


def main() -> None:
    """Replay, damage the model, and write the alert; with `--print` to the terminal."""
    parser = argparse.ArgumentParser("python -m benchmarks.alert_example", description=__doc__)
    parser.add_argument("--print", action="store_true", help="Print the alert and leave the page alone.")
    text = example()
    if parser.parse_args().print:
        print(text)
        return
    page, found = _MARKED.subn(lambda match: f"{match[1]}{text}{match[2]}", PAGE.read_text())
    if found != 1:
        raise SystemExit(f"{PAGE}: expected one block after <!-- alert_example -->, found {found}")
    PAGE.write_text(page)


def example() -> str:
    """Return the text of an alert of a real, damaged model."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), Ledger(Path("goldwatch.db")) as ledger:
        _prepare()
        workers = Workers()
        try:
            wanted = prepare(Path("goldwatch.yaml"), workers)
            (assignment,) = wanted.assignments
            runner = Runner(workers, ledger, Exports(), threading.Event())
            for number in range(2 * _REPLAYS):
                if number == _REPLAYS:
                    shutil.copy(_DIGITS / "digits-quantised.onnx", "digits.onnx")
                runner.tick(assignment, wanted.config, time.time())
                if (alert := ledger.open_alert("digits", "digits")) is not None:
                    return alert.text
        finally:
            workers.close()
    raise SystemExit("the damaged model raised no alert")


def _prepare() -> None:
    """Write the config, the model, and the golden set with a file name for each example."""
    Path("goldwatch.yaml").write_text(_CONFIG)
    shutil.copy(_DIGITS / "digits.onnx", "digits.onnx")
    shipped = GoldenSet.open(_DIGITS / "golden")
    manifest = shipped.manifest.model_dump(mode="json", exclude_none=True, exclude={"format", "files"})
    tensors = {name: shipped.tensor(name) for name in shipped.manifest.tensors()}
    names = [f"scan_{number:04}.png" for number in range(shipped.examples)]
    freeze(Path("golden"), manifest, tensors, identities=names)


if __name__ == "__main__":
    main()
