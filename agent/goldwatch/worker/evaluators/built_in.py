"""The built-in scores: each is a function of one example. `goldwatch.evaluator.BUILT_IN` names them.

A library is imported where it is used: a score that no config names costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.worker.evaluators.matching import json_value, matcher
from goldwatch.worker.evaluators.text import token_f1


def exact(output: str, answers: Sequence[str]) -> bool:
    """Whether a text has the words of one of the answers."""
    return matcher("exact")(output, answers)


def contains(output: str, answers: Sequence[str]) -> bool:
    """Whether a text contains the words of one of the answers."""
    return matcher("contains")(output, answers)


def number(output: str, answers: Sequence[str]) -> bool:
    """Whether the last number of a text is that of one of the answers."""
    return matcher("number")(output, answers)


def json_equal(output: str, answers: Sequence[str]) -> bool:
    """Whether the JSON of a text is that of one of the answers."""
    return matcher("json")(output, answers)


def json_schema(output: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text is JSON, alone or as its only fenced block, that fits the option `schema` (draft 2020-12)."""
    try:
        value = json_value(output)
    except ValueError:
        return False
    return bool(_validator(json.dumps(schema)).is_valid(value))


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:  # noqa: ANN401 - of a package that is imported where it is used
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - an extra

    Draft202012Validator.check_schema(json.loads(schema))
    return Draft202012Validator(json.loads(schema))


def regex(output: str, pattern: str) -> bool:
    """Whether the whole text matches the option `pattern`; `.` matches line ends too."""
    return matcher("regex")(output, [pattern])


def length(output: str, most: int, least: int = 0, unit: str = "words") -> bool:
    """Whether a text has from `least` to `most` words, or characters if that is the option `unit`."""
    if unit not in ("words", "characters"):
        raise GoldwatchError(f'the unit is "{unit}"; write words or characters')
    return least <= (len(output) if unit == "characters" else len(output.split())) <= most


def words_f1(output: str, answers: Sequence[str]) -> float:
    """Return the best F1 of the words against any of the answers (SQuAD)."""
    return token_f1(output, answers)
