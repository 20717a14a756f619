"""Values that many tests start from."""

from dataclasses import fields, replace
from typing import Any

from goldwatch.core.judgement import (
    Difference,
    Findings,
    Flip,
    Judgement,
    Quantile,
    Run,
    Score,
    Severity,
    SliceShare,
    State,
    Subject,
    Validity,
    Verdict,
)
from goldwatch.daemon.ledger import Ledger
from goldwatch.daemon.pipeline import Judged
from goldwatch.energy.attribution import Components, Energy, Interval
from goldwatch.probe import Description


def verdict(monitor: str = "worse", state: State = State.STEADY, **values: Any) -> Verdict:
    defaults: dict[str, Any] = {
        "severity": Severity.PAGE,
        "evidence": 0.5,
        "threshold": 5.6,
        "since": None,
        "confirm": False,
        "summary": "all is well",
    }
    return Verdict(monitor, state, **(defaults | values))


def description(**values: Any) -> Description:
    defaults: dict[str, Any] = {
        "model": "digits",
        "version": "1",
        "framework": "onnxruntime",
        "framework_version": "1.20",
        "device": "cpu",
        "digest": "sha256:" + "a" * 64,
    }
    return Description(**(defaults | values))


def difference(**values: Any) -> Difference:
    defaults: dict[str, Any] = {
        "compared": 600,
        "moved": 120,
        "harmful": 50,
        "helpful": 3,
        "neutral": 2,
        "largest": 0.9,
        "flips": tuple(Flip(i, "8", "8", "1") for i in range(50)),
        "where": (SliceShare("digit", "8", 40, 60),),
    }
    return Difference(**(defaults | values))


def energy(**values: Any) -> Energy:
    defaults: dict[str, Any] = {
        "source": "nvml",
        "detail": "NVML energy counter: 0 a GPU",
        "estimated": False,
        "attribution": "exclusive",
        "shared_with": "",
        "seconds": 20.0,
        "windows": 4,
        "inferences": 1000,
        "idle_w": Interval(100.0, 98.0, 102.0),
        "gross_j": Interval(6000.0, 5900.0, 6100.0),
        "idle_j": 2000.0,
        "net_j": Interval(4000.0, 3850.0, 4150.0),
        "components": Components(10.0, 8.0, 20.0, 0.0),
        "output_tokens": 5000,
    }
    return Energy(**(defaults | values))


_JUDGEMENT = Judgement(
    Subject("digits", "served", "digits", "sha256:" + "b" * 64, "classification", 600, "open-inference"),
    Run(1_800_000_000.0, 1.5, 0.01, description(), open_s=0.2, first_request_s=0.01),
    Findings(
        Validity.VALID,
        (),
        {"ok": 598, "timeout": 2},
        {"no answer within 2 s": 2},
        throughput=400.0,
        quantiles=(Quantile(0.5, 0.002), Quantile(0.99, None)),
        scores=(Score("accuracy", 0.95, 0.93, 0.97, 598, 0.952),),
    ),
    (verdict(),),
)


def judgement(**values: Any) -> Judgement:
    """Make a judgement with some fields of its parts."""
    return changed(_JUDGEMENT, **values)


def changed(judgement: Judgement, **changes: Any) -> Judgement:
    """Replace fields of a judgement, or of its parts."""
    parts = {}
    for name in ("subject", "run", "findings", "extras"):
        part = getattr(judgement, name)
        parts[name] = replace(part, **{f.name: changes.pop(f.name) for f in fields(part) if f.name in changes})
    return replace(judgement, **parts, **changes)


def judged(judgement: Judgement) -> Judged:
    """Return what the pipeline returns for a judgement."""
    return Judged(judgement.subject, judgement.run, judgement.findings, {}, judgement.verdicts, extras=judgement.extras)


def fill(ledger: Ledger) -> None:
    """Leave a ledger no room to grow: SQLite then raises the error of a full disk."""
    ledger._db.execute("PRAGMA max_page_count = 1").fetchone()
