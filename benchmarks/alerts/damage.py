"""Real damage: the digits that goldwatch ships, replayed by the agent's own pipeline before and after a change.

The sound model is replayed first. From that state of its monitors, each damaged model is replayed until all monitors
have alerted, or for a maximum number of replays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goldwatch.core.judgement import Judgement, State
from goldwatch.daemon.in_force import Assignment, prepare
from goldwatch.daemon.pipeline import run
from goldwatch.golden.freeze import freeze
from goldwatch.golden.opened import GoldenSet
from goldwatch.ipc.workers import Workers

from benchmarks.alerts.damaged_models import (
    LUMINANCE,
    Make,
    coloured,
    fed,
    in_bits,
    in_colour,
    in_halves,
    optimised,
    pruned,
    quantised,
    trained,
)
from benchmarks.digits import GOLDEN, MODEL

SOUND, LONGEST = 20, 30

_CONFIG = """\
targets: {{digits: {{probe: onnx-runtime, file: {model}, threads: 1, warm: true}}}}
golden: {{digits: {golden}}}
watches: {{digits: {{every: 5m, objectives: {{accuracy: no worse than 1 point, errors: 1%, outputs: 2%}}}}}}
alerts: {{false_alarms: 1 per year}}
"""


@dataclass(frozen=True, slots=True)
class Damage:
    """A change to the model, and the golden set that shows it: grey images or coloured ones."""

    name: str
    make: Make
    colour: bool = False


DAMAGE: Sequence[Damage] = (
    Damage("none: rewritten by ONNX Runtime's optimiser", optimised),
    Damage("weights rounded to 16-bit floats", in_halves),
    Damage("quantised to 8 bits by ONNX Runtime", quantised),
    Damage("weights in 5 bits", in_bits(5)),
    Damage("weights in 4 bits", in_bits(4)),
    Damage("weights in 3 bits", in_bits(3)),
    Damage("pruned of 30 % of its weights", pruned(0.3)),
    Damage("pruned of 45 %", pruned(0.45)),
    Damage("pruned of 60 %", pruned(0.6)),
    Damage("images divided by 255 in place of 16", fed(("Mul", [np.float32(16 / 255)], {}))),
    Damage("images normalised to -1 .. 1", fed(("Mul", [np.float32(2)], {}), ("Sub", [np.float32(1)], {}))),
    Damage("rows and columns swapped", fed(("Transpose", [], {"perm": [0, 2, 1]}))),
    Damage("red and blue swapped", coloured(LUMINANCE[::-1]), colour=True),
    Damage("an older checkpoint: 20 of 40 passes", trained(20)),
    Damage("an older checkpoint: 3 of 40 passes", trained(3)),
    Damage("stale labels: a tenth of the nines as four", trained(40, 0.1)),
    Damage("stale labels: half of the nines as four", trained(40, 0.5)),
)


def measure(only: str = "", *, quick: bool = False) -> Iterator[dict[str, Any]]:
    """Replay the sound models and each damaged one, and yield its row."""
    workers = Workers()
    sound = 3 if quick else SOUND
    try:
        with tempfile.TemporaryDirectory(prefix="goldwatch-bench-") as folder:
            scene = _Scene(Path(folder), workers)
            before: dict[bool, Mapping[str, Any]] = {}
            for i, damage in enumerate(each for each in DAMAGE if each.name.startswith(only)):
                if damage.colour not in before:
                    before[damage.colour] = scene.sound(damage.colour, sound)
                yield scene.damaged(i, damage, before[damage.colour], 5 if quick else LONGEST) | {
                    "sound_replays": sound
                }
    finally:
        workers.close()


class _Scene:
    """A folder with the golden sets and the models, and workers to replay them with."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        self._folder, self._workers = folder, workers
        coloured(LUMINANCE)(folder / "coloured.onnx")
        self._models = {False: MODEL, True: folder / "coloured.onnx"}
        self._golden = {False: GOLDEN, True: _frozen_in_colour(folder / "golden", self._models[True])}
        self._accuracy: dict[bool, float] = {}

    def sound(self, colour: bool, replays: int) -> Mapping[str, Any]:
        """Replay the sound model, and return what its monitors know. Raises AssertionError for an alert."""
        assignment = self._assignment(self._models[colour], colour)
        states: Mapping[str, Any] = {}
        for _ in range(replays):
            judged = run(assignment, self._workers, states)
            assert not _alerting(judged.judgement), f"an alert before the damage: {_alerting(judged.judgement)}"
            states = judged.states
        self._accuracy[colour] = _accuracy(judged.judgement)
        return states

    def damaged(self, index: int, damage: Damage, states: Mapping[str, Any], longest: int) -> dict[str, Any]:
        """Replay a damaged model until all monitors that may have alerted."""
        file = self._folder / f"damaged{index}.onnx"
        damage.make(file)
        assignment = self._assignment(file, damage.colour)
        alerts: dict[str, Any] = {}
        confirming = False
        for replay in range(1, longest + 1):
            judged = run(assignment, self._workers, states, confirming=confirming)
            states, judgement = judged.states, judged.judgement
            confirming = any(verdict.confirm for verdict in judgement.verdicts)
            for monitor, severity in _alerting(judgement).items():
                alerts.setdefault(monitor, {"replay": replay, "severity": severity})
            if len(alerts) == len(_WATCHED):
                break
        difference = judgement.findings.difference
        assert difference is not None
        return {
            "damage": damage.name,
            "points_lost": 100 * (self._accuracy[damage.colour] - _accuracy(judgement)),
            "moved": difference.moved,
            "examples": judgement.subject.examples,
            "alerts": alerts,
            "replays": replay,
        }

    def _assignment(self, model: Path, colour: bool) -> Assignment:
        config = self._folder / "goldwatch.yaml"
        config.write_text(_CONFIG.format(model=model, golden=self._golden[colour]))
        (assignment,) = prepare(config, self._workers).assignments
        return assignment


_WATCHED = ("worse", "changed", "moved")


def _alerting(judgement: Judgement) -> dict[str, str]:
    return {v.monitor: str(v.severity) for v in judgement.verdicts if v.state is State.ALERTING}


def _accuracy(judgement: Judgement) -> float:
    headline = judgement.headline
    assert headline is not None, judgement.findings.reasons
    return float(headline.value)


def _frozen_in_colour(folder: Path, model: Path) -> Path:
    """Freeze a golden set of the digits as coloured images, with the model's answers to them."""
    import onnxruntime  # noqa: PLC0415 - only here

    golden = GoldenSet.open(GOLDEN)
    tensors = {name: np.asarray(golden.tensor(name)) for name in golden.manifest.tensors()}
    images = in_colour(tensors["inputs.image"])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = np.concatenate([session.run(["probabilities"], {"image": image[None]})[0] for image in images])
    first, second = golden.manifest.reference.replays
    right = (outputs.argmax(axis=1) == tensors["labels"]).astype(np.int64)
    tensors |= {
        "inputs.image": images,
        "outputs.probabilities": outputs,
        "reference.right": np.stack([first * right, second * right]),
    }
    manifest = golden.manifest.model_dump(mode="json", exclude={"format", "files"})
    manifest["inputs"]["image"]["shape"] = [3, 8, 8]
    freeze(folder, manifest | {"name": "digits-in-colour"}, tensors)
    return folder
