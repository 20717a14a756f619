"""The public API for authors of scores: what an evaluator is given, and what it may return.

An evaluator is any callable that takes one example by the names of its parameters and returns a number. A plain
function is complete: it needs to import nothing of goldwatch. `docs/scores.md` has an example. Evaluators run in a
worker, after the replay. It imports only the standard library and the base of goldwatch's errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in score: the function `where`, the `packages` that it imports, and what it returns.

    One `over` the replay takes lists of all examples. `scale` has the least and the largest value; None is no end.
    """

    where: str
    packages: tuple[str, ...] = ()
    over: Literal["examples", "replay"] = "examples"
    scale: tuple[float, float | None] = (0.0, 1.0)
    better: Literal["higher", "lower"] = "higher"


def _example(
    function: str, *packages: str, module: str = "built_in", better: Literal["higher", "lower"] = "higher"
) -> BuiltIn:
    return BuiltIn(f"goldwatch.worker.evaluators.{module}:{function}", packages, better=better)


def _replay(
    function: str,
    *packages: str,
    scale: tuple[float, float | None] = (0.0, 1.0),
    better: Literal["higher", "lower"] = "higher",
    module: str = "whole",
) -> BuiltIn:
    return BuiltIn(f"goldwatch.worker.evaluators.{module}:{function}", packages, "replay", scale, better)


ACCURACY = "accuracy"
"""The name of right and wrong answers where a score is named: no score of the config has it."""

BUILT_IN: Mapping[str, BuiltIn] = {
    "exact": _example("exact"),
    "contains": _example("contains"),
    "number": _example("number"),
    "json": _example("json_equal"),
    "json-schema": _example("json_schema", "jsonschema"),
    "regex": _example("regex"),
    "length": _example("length"),
    "token-f1": _example("words_f1"),
    "rouge": _example("rouge", "rouge-score"),
    "language": _example("language", "py3langid"),
    "refusal": _example("refusal", better="lower"),
    "instructions": _example("instructions", module="instructions"),
    "top-k": _example("top_k", module="ranked"),
    "acc-norm": _example("acc_norm", module="ranked"),
    "ndcg": _example("ndcg", module="ranked"),
    "reciprocal-rank": _example("reciprocal_rank", module="ranked"),
    "recall-at": _example("recall_at", module="ranked"),
    "iou": _example("iou", module="masks"),
    "dice": _example("dice", module="masks"),
    "auroc": _replay("auroc", "scikit-learn"),
    "average-precision": _replay("average_precision", "scikit-learn"),
    "precision": _replay("precision", "scikit-learn"),
    "recall": _replay("recall", "scikit-learn"),
    "f1": _replay("f1", "scikit-learn"),
    "confusion": _replay("confusion", better="lower"),
    "balanced-accuracy": _replay("balanced_accuracy", "scikit-learn"),
    "mcc": _replay("mcc", "scikit-learn", scale=(-1.0, 1.0)),
    "kappa": _replay("kappa", "scikit-learn", scale=(-1.0, 1.0)),
    "log-loss": _replay("log_loss", "scikit-learn", scale=(0.0, None), better="lower"),
    "brier": _replay("brier", scale=(0.0, 2.0), better="lower"),
    "calibration-error": _replay("calibration_error", better="lower"),
    "wer": _replay("word_error_rate", "jiwer", scale=(0.0, None), better="lower"),
    "cer": _replay("character_error_rate", "jiwer", scale=(0.0, None), better="lower"),
    "bleu": _replay("bleu", "sacrebleu", scale=(0.0, 100.0)),
    "corpus-chrf": _replay("corpus_chrf", "sacrebleu", scale=(0.0, 100.0)),
    "ter": _replay("ter", "sacrebleu", scale=(0.0, None), better="lower"),
    "mape": _replay("mape", "scikit-learn", scale=(0.0, None), better="lower"),
    "pinball": _replay("pinball", "scikit-learn", scale=(0.0, None), better="lower"),
    "entity-f1": _replay("entity_f1", module="entities"),
    "neighbour-overlap": _replay("neighbour_overlap", module="neighbours"),
}
"""The built-in scores by name. A watch may name them without an entry in `scores`, since they are not foreign code."""


class Unscored(GoldwatchError):
    """Raise it where an example has no score, such as a question without context. It is no evidence about the model."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score with the reason for it. `value` is within the `scale` of the config, from 0 to 1 by default."""

    value: float
    reason: str = ""
