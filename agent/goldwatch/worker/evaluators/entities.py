"""The built-in score of tagging: entities that were found, by their place and type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.worker.evaluators.ranked import listed

Entity = tuple[str, int, int]
"""The type of an entity, its first token and the one after its last."""

_OTHER = re.compile("[SELU](?:-|$)")


def entity_f1(expected: Sequence[Any], output: Sequence[Any], label: str = "") -> float:
    """Return the micro F1 of whole entities over all texts, as CoNLL counts them; of one type if `label` names it.

    Each text has a tag a token, such as B-PER, I-PER and O, as a list, its JSON, or one a line. As in CoNLL-2000's
    conlleval, an I without its B begins an entity. Without an entity in either it is 0. Raises GoldwatchError for
    labels in another scheme, such as the S and E of BIOES or the U and L of BILOU.
    """
    common = found = true = 0
    for place, (theirs, ours) in enumerate(zip(expected, output, strict=True)):
        labels = listed(theirs)
        wanted, said = (set(_entities(tags, label)) for tags in (labels, listed(ours)))
        if any(not isinstance(tag, str) for tag in labels):
            raise GoldwatchError(f"the labels of example {place} are no tags; write a list such as B-PER, I-PER, O")
        if other := next((tag for tag in labels if _OTHER.match(tag)), None):
            raise GoldwatchError(
                f'the label "{other}" of example {place} is of BIOES or BILOU, and only BIO is read; '
                "write B- for S- and U-, I- for E- and L-, in the labels and in the answers"
            )
        common, found, true = common + len(wanted & said), found + len(said), true + len(wanted)
    return 2 * common / (found + true) if common else 0.0


def _entities(tags: Sequence[Any], label: str) -> Iterator[Entity]:
    start, kind = 0, ""
    for place, tag in enumerate([*map(str, tags), "O"]):
        prefix, _, name = tag.partition("-")
        name = name or ("_" if prefix in ("B", "I") else "")
        if kind and (prefix != "I" or name != kind):
            if label in ("", kind):
                yield kind, start, place
            kind = ""
        if prefix in ("B", "I") and not kind:
            start, kind = place, name
