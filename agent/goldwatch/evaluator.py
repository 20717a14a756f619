"""The public API for authors of scores: what an evaluator is given, and what it may return.

An evaluator is any callable that takes one example by the names of its parameters and returns a number. A plain
function is complete: it needs to import nothing of goldwatch. `docs/scores.md` has an example. Evaluators run in a
worker, after the replay. It imports only the standard library and the base of goldwatch's errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from goldwatch.errors import GoldwatchError

ROLES: Mapping[str, tuple[str, ...]] = {
    "input": ("input", "inputs", "query", "question", "prompt", "user_input"),
    "output": (
        *("output", "outputs", "response", "prediction", "predictions", "answer", "completion"),
        *("text", "hypothesis", "y_pred", "actual"),
    ),
    "expected": (
        *("expected", "expected_output", "ground_truth", "reference", "reference_output", "reference_outputs"),
        *("target", "truth", "y_true"),
    ),
    "answers": ("answers", "references", "targets"),
    "classes": ("classes",),
    "values": ("values", "probabilities", "y_score", "y_prob", "y_proba"),
}
"""The names of parameters that each role accepts.

`input` is the input of the example: text, a JSON value, or nested lists of numbers; a mapping by name if the model has
several. `output` is the answer: a text, the name of a class, a number or a list of numbers. `expected` is what is
right, in the same form: the label, the first of the accepted answers, or, in a set without labels, the answer of the
validated model. `answers` lists all accepted answers. `values` lists the numbers of the output, such as probabilities.
`classes` lists the names of all classes of the golden set.
Any other name is an input of the model, or a key of a structured input.
"""

ROLE_OF: Mapping[str, str] = {name: role for role, names in ROLES.items() for name in names}


_BUILT_IN = "goldwatch.worker.evaluators.built_in"
_WHOLE = "goldwatch.worker.evaluators.whole"
BUILT_IN: Mapping[str, str] = {
    "exact": f"{_BUILT_IN}:exact",
    "contains": f"{_BUILT_IN}:contains",
    "number": f"{_BUILT_IN}:number",
    "json": f"{_BUILT_IN}:json_equal",
    "json-schema": f"{_BUILT_IN}:json_schema",
    "regex": f"{_BUILT_IN}:regex",
    "length": f"{_BUILT_IN}:length",
    "token-f1": f"{_BUILT_IN}:words_f1",
    "auroc": f"{_WHOLE}:auroc",
    "average-precision": f"{_WHOLE}:average_precision",
    "precision": f"{_WHOLE}:precision",
    "recall": f"{_WHOLE}:recall",
    "balanced-accuracy": f"{_WHOLE}:balanced_accuracy",
    "mcc": f"{_WHOLE}:mcc",
    "kappa": f"{_WHOLE}:kappa",
    "brier": f"{_WHOLE}:brier",
    "calibration-error": f"{_WHOLE}:calibration_error",
    "wer": f"{_WHOLE}:word_error_rate",
    "cer": f"{_WHOLE}:character_error_rate",
    "bleu": f"{_WHOLE}:bleu",
    "corpus-chrf": f"{_WHOLE}:corpus_chrf",
}
"""The built-in scores by name. A watch may name them without an entry in `scores`, since they are not foreign code."""


class Unscored(GoldwatchError):
    """Raise it where an example has no score, such as a question without context. It is no evidence about the model."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score with the reason for it. `value` is within the `scale` of the config, from 0 to 1 by default."""

    value: float
    reason: str = ""
