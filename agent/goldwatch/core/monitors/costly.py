"""*Costly*: an inference, a right answer or a token takes more energy or money than its objective allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from goldwatch.core.figures import Ceiling
from goldwatch.core.monitors.kind import FirstLook, Looks, MonitorKind, WatchTerms

if TYPE_CHECKING:
    from goldwatch.config import CostObjective, Watch

_LEARNING = "a week of learning what is usual, 100 measurements at least"


@dataclass(frozen=True, slots=True)
class CostlyKind(MonitorKind):
    """A watch with an objective of energy or cost has it. It looks only where something was measured."""

    name: str = "costly"

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself if there is an objective."""
        if terms.objectives.energy is not None or terms.objectives.cost is not None:
            yield self

    def interval_s(self, terms: WatchTerms) -> float:
        """Return the mean time between measurements."""
        return max(terms.every_s, terms.measured_every_s)

    def looks(self, terms: WatchTerms) -> Looks:
        """Return measurements."""
        return Looks(terms.measured_every_s, "measurement")

    def facts(self, terms: WatchTerms) -> Iterator[tuple[str, str]]:
        """Yield objectives of what is usual: nothing can be simulated before it is known."""
        from goldwatch.config import format_percentage  # noqa: PLC0415 - only a command needs it, and it is slow

        for ceiling in ceilings(terms):
            if ceiling.above_usual is not None:
                above = format_percentage(ceiling.above_usual)
                yield f"{ceiling.quantity} of {ceiling.one} is over {above} above usual", _LEARNING

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:  # noqa: ARG002 - no subject
        """Return what the cost depends on."""
        why = f"{unchanged}: look for throttling, a shared machine, longer answers"
        return FirstLook(f"Compare throughput, power and length of the answers of {target} with before.", why)

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the ceilings, and what else figures depend on: load, meters and prices."""
        if terms.energy is None or not (owed := [asdict(ceiling) for ceiling in ceilings(terms)]):
            return {}
        meters = terms.energy.model_dump_json(include={"meters", "price"})  # secrets are masked
        measured = {"measured_every_s": terms.measured_every_s, "load": terms.load, "meters": meters}
        return {"ceilings": owed, **measured}

    def relearns(self, watch: Watch) -> bool:  # noqa: ARG002 - of any watch
        """Return true: it learns the usual figures."""
        return True


def ceilings(terms: WatchTerms) -> Iterator[Ceiling]:
    """Yield the objectives of energy and cost."""
    owed, energy = terms.objectives, terms.energy
    joules_cost = energy is not None and energy.price.energy is not None
    stated: tuple[tuple[str, CostObjective | None, bool], ...] = (
        ("energy", owed.energy, True),
        ("cost", owed.cost, joules_cost),
    )
    for quantity, most, metered in stated:
        if most is not None:
            yield Ceiling(quantity, most.per, most.unit, most.limit, most.above_usual, metered)
