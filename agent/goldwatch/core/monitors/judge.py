"""*Judge:NAME*: the judge of a score no longer grades the controls as it did when the golden set was frozen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from goldwatch.core.monitors.kind import FirstLook, MonitorKind, WatchTerms

if TYPE_CHECKING:
    from goldwatch.config import Config


@dataclass(frozen=True, slots=True)
class JudgeOfScoreKind(MonitorKind):
    """The monitor of the judge of one score. Its alert is not about the target that the judge grades."""

    def first_look(self, target: str, subject: str, unchanged: str) -> FirstLook:  # noqa: ARG002 - whatever changed
        """Return the judge."""
        score = self.name.partition(":")[2]
        title = f"Check the target that judges {score}: it grades its controls in another way than before."
        return FirstLook(title, f"{target} may be as good as ever; until then {score} is not watched", certain=True)


@dataclass(frozen=True, slots=True)
class JudgeKind(MonitorKind):
    """A watch has one for each of its scores whose judge has controls. There is none of the name alone."""

    name: str = "judge"

    def member(self, of: str) -> MonitorKind:
        """Return the kind of the monitor of the judge of a score."""
        return JudgeOfScoreKind(f"{self.name}:{of}", said="graded by a judge that has changed")

    def named_by(self, config: Config) -> Iterator[MonitorKind]:
        """Yield the monitor of each judge that has controls."""
        named = {name for watch in config.watches.values() for name in watch.judges}
        for name, entry in config.scores.items():
            if name in named and entry.judge is not None and entry.judge.controls:
                yield self.member(name)

    def watching(self, terms: WatchTerms) -> Iterator[MonitorKind]:
        """Yield the monitor of each judge that has controls."""
        for name in terms.watch.judges:
            judge = terms.watch.entries[name].judge
            if judge is not None and judge.controls:
                yield self.member(name)
