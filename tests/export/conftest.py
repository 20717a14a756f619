"""A full example judgement, and the tools that only some machines have."""

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from goldwatch.core.gap import Gap
from goldwatch.core.judgement import (
    Check,
    Difference,
    Extras,
    Findings,
    Judgement,
    Judging,
    LiveWindow,
    Passed,
    Quantile,
    Run,
    Score,
    ServerLoad,
    Severity,
    SliceStanding,
    State,
    Subject,
    Unscored,
    Validity,
    Verdict,
)
from goldwatch.core.people import People
from goldwatch.core.token_use import TokenUse
from goldwatch.energy.footprint import Load, Prices, footprint
from goldwatch.probe import Description

from tests.builders import changed, energy

ENERGY = energy()

SLICES = (SliceStanding("country", "BR", 3, 1 / 3, 1.0), SliceStanding("country", "DE", 5, 1.0, 0.8))
FULL = Judgement(
    subject=Subject(
        watch="fraud",
        target="fraud-eu",
        golden="fraud-2026q3",
        golden_digest="sha256:41ab0c9f2cd1" + "0" * 52,
        task="classification",
        examples=10,
        probe="open-inference",
    ),
    run=Run(
        started_at=1_790_000_000.5,
        duration_s=1.25,
        lateness_s=0.05,
        description=Description("fraud", "v17", "sklearn", "1.7.2", "cpu", "sha256:77ab" + "0" * 60),
        open_s=0.2,
        first_request_s=0.09,
        latencies_s=(0.0001, 0.0002, 0.003, 0.004, 0.05, 0.06, 0.7, 80.0),
        late_s=(0.0001, 0.002),
    ),
    findings=Findings(
        validity=Validity.VALID,
        reasons=(),
        outcomes={"ok": 8, "timeout": 1, "bad_answer": 1},
        errors={"no answer within 1 s": 1, 'no output "p"': 1},
        throughput=6.4,
        quantiles=(Quantile(0.5, 0.004), Quantile(0.99, None)),
        scores=(
            Score("accuracy", 0.75, 0.4, 0.93, 8, 0.875),
            Score("ece", 0.1, 0.02, 0.3, 8, slices=SLICES, people=People(20, 15, 3, 2)),
        ),
        difference=Difference(8, 5, 2, 1, 1, 0.31, (), ()),
        checks=(Check("repeats", Passed.NO, "a cache answers"), Check("lengths", Passed.YES, "as long as ever")),
        footprint=footprint(ENERGY, Load(6.4, 0.75, 10, 5), Prices("USD", machine_per_hour=2.1), 350.0),
        slices=SLICES,
        gap=Gap.between("accuracy", "country", SLICES),
        unscored=(Unscored("ece", {"raised": 2}, "example 0: no number", unknown=False),),
        judgings=(Judging("ece", calls=12, reused=30, failed=2, input_tokens=600, output_tokens=36),),
        output_distance=0.02,
        live=LiveWindow(1000, 100, 20, 480, 390, 10, 1_799_999_000.0, 1_799_999_300.0, {"it is not JSON": 10}),
        tokens=TokenUse(
            80,
            40,
            {"stop": 7, "length": 1},
            (0.02, 0.03),
            (0.004, 0.005),
            (0.003, 0.006),
            {"together": 6},
            {"count": 6},
            8,
            8,
        ),
    ),
    verdicts=(
        Verdict("worse", State.SUSPECT, Severity.PAGE, 2.5, 5.62, 1_790_000_000.5, False, "2 of 8 are wrong now"),
        Verdict("changed", State.ALERTING, Severity.TICKET, None, None, 1_790_000_000.5, False, "5 of 8 moved"),
    ),
    extras=Extras(server_load=ServerLoad("vllm:num_requests_waiting", 8.0, before=1.0, most=3.0), energy=ENERGY),
)


@pytest.fixture
def judgement() -> Callable[..., Judgement]:
    """Make the example judgement with some fields changed."""

    def make(**changes: Any) -> Judgement:
        return changed(FULL, **changes)

    return make


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a program; in CI a missing one is a failure, elsewhere the test is skipped."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None and os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find
