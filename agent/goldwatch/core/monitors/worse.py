"""*Worse*: the model is less accurate than its reference. *Worse:NAME*: one of the scores that the config names is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from goldwatch.core.monitors.kind import MonitorKind, WatchTerms
from goldwatch.core.score_spec import JUDGED, JudgeSpec, ScoreSpec

if TYPE_CHECKING:
    from goldwatch.config import Config, Watch


@dataclass(frozen=True, slots=True)
class WorseKind(MonitorKind):
    """Every watch has it, and one more for each score with an objective."""

    name: str = "worse"
    about_answers: bool = True

    def member(self, of: str) -> MonitorKind:
        """Return the kind of the monitor of a score that has an objective."""
        return MonitorKind(f"{self.name}:{of}", about_answers=True, said=self.name)

    def named_by(self, config: Config) -> Iterator[MonitorKind]:
        """Yield itself, and the monitor of each score with an objective."""
        yield self
        scores = dict.fromkeys(name for watch in config.watches.values() for name in watch.objectives.scores)
        yield from map(self.member, scores)

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield itself, and the monitor of each score with an objective."""
        yield self
        yield from map(self.member, terms.objectives.scores)

    def settings(self, terms: WatchTerms) -> dict[str, Any]:
        """Return the accuracy that may be lost, and the scores that the watch names."""
        return {"accuracy_loss": terms.objectives.accuracy_loss, **scores_of(terms.watch)}


def scores_of(watch: Watch) -> dict[str, Any]:
    """Return the scores of a watch as settings; nothing if it names none."""
    specs = []
    for name in watch.scores:
        entry, owed = watch.entries[name], watch.objectives.scores.get(name)
        written = entry.model_dump(exclude={"better", "judge"})
        spec = ScoreSpec(name=name, lower_is_better=entry.better == "lower", **written)
        if entry.judge is not None:
            named = watch.judges[name]
            spec = replace(spec, uses=JUDGED, scale=named.score_scale, judge=JudgeSpec.of(entry.judge, named))
        if owed is not None:
            on_scale = owed.on(spec.scale)
            spec = replace(spec, limit=on_scale.limit, loss=on_scale.loss)
        specs.append(asdict(spec))
    return {"scores": specs} if specs else {}
