"""The built-in scores of a whole replay, which no mean over examples gives: each argument lists all answered examples.

Each calls the library that the field takes for its definition, imported where it is used. Of two classes the second is
the positive one; of more, precision, recall and F1 are the means over the classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from goldwatch.errors import GoldwatchError
from goldwatch.evaluator import Unscored

_BINS = 15
_SUM_ERROR = 0.01

Rows = Sequence[Sequence[float]]


def auroc(expected: Sequence[str], values: Rows, classes: Sequence[str]) -> float:
    """Return the area under the ROC curve; of several classes the mean of each against the rest."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - an extra

    if len(classes) == 2:
        return float(roc_auc_score(_positive(expected, classes), _margins(values)))
    codes, names = _codes(expected, classes), range(len(classes))
    return float(roc_auc_score(codes, _probabilities(values), multi_class="ovr", labels=list(names)))


def average_precision(expected: Sequence[str], values: Rows, classes: Sequence[str]) -> float:
    """Return the area under the precision-recall curve of the second of two classes, as average precision."""
    from sklearn.metrics import average_precision_score  # noqa: PLC0415 - an extra

    return float(average_precision_score(_positive(expected, classes), _margins(values)))


def precision(expected: Sequence[str], output: Sequence[str], classes: Sequence[str], label: str = "") -> float:
    """Return the precision; 0 without a positive prediction. With `label`, that of this class."""
    from sklearn.metrics import precision_score  # noqa: PLC0415 - an extra

    return float(precision_score(expected, output, **_averaged(classes, label)))


def recall(expected: Sequence[str], output: Sequence[str], classes: Sequence[str], label: str = "") -> float:
    """Return the recall; 0 without a positive label. With `label`, that of this class."""
    from sklearn.metrics import recall_score  # noqa: PLC0415 - an extra

    return float(recall_score(expected, output, **_averaged(classes, label)))


def f1(expected: Sequence[str], output: Sequence[str], classes: Sequence[str], label: str = "") -> float:
    """Return the F1; 0 without a true positive. With `label`, that of this class."""
    from sklearn.metrics import f1_score  # noqa: PLC0415 - an extra

    return float(f1_score(expected, output, **_averaged(classes, label)))


def confusion(expected: Sequence[str], output: Sequence[str], classes: Sequence[str], label: str, said: str) -> float:
    """Return the share of all examples that are of the class `label` and were answered by the class `said`."""
    _check_class(label, classes)
    _check_class(said, classes)
    return sum(pair == (label, said) for pair in zip(expected, output, strict=True)) / len(expected)


def balanced_accuracy(expected: Sequence[str], output: Sequence[str]) -> float:
    """Return the mean recall of the classes that occur among the labels."""
    from sklearn.metrics import recall_score  # noqa: PLC0415 - an extra

    present = sorted(set(expected))
    return float(recall_score(expected, output, labels=present, average="macro", zero_division=0))


def mcc(expected: Sequence[str], output: Sequence[str]) -> float:
    """Return Matthews' correlation coefficient."""
    from sklearn.metrics import matthews_corrcoef  # noqa: PLC0415 - an extra

    _check_several([*expected, *output])
    return float(matthews_corrcoef(expected, output))


def kappa(expected: Sequence[str], output: Sequence[str]) -> float:
    """Return Cohen's kappa."""
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415 - an extra

    _check_several([*expected, *output])
    return float(cohen_kappa_score(expected, output))


def log_loss(expected: Sequence[str], values: Rows, classes: Sequence[str]) -> float:
    """Return the mean of -log of the probability of the true class, in nats."""
    from sklearn.metrics import log_loss as loss  # noqa: PLC0415 - an extra

    codes, names = _codes(expected, classes), list(range(len(classes)))
    return float(loss(codes, [list(row) for row in _probabilities(values)], labels=names))


def brier(expected: Sequence[str], values: Rows, classes: Sequence[str]) -> float:
    """Return the Brier score (Brier 1950): the mean sum over classes of squared errors of the probabilities."""
    codes, rows = _codes(expected, classes), _probabilities(values)
    errors = (sum((p - (c == code)) ** 2 for c, p in enumerate(row)) for code, row in zip(codes, rows, strict=True))
    return sum(errors) / len(codes)


def calibration_error(expected: Sequence[str], values: Rows, classes: Sequence[str]) -> float:
    """Return the expected calibration error over 15 bins of equal width (Guo et al. 2017)."""
    codes, rows = _codes(expected, classes), _probabilities(values)
    sums = [0.0] * _BINS
    for code, row in zip(codes, rows, strict=True):
        best = max(range(len(row)), key=row.__getitem__)
        sums[min(int(row[best] * _BINS), _BINS - 1)] += (best == code) - row[best]
    return sum(map(abs, sums)) / len(codes)


def word_error_rate(expected: Sequence[str], output: Sequence[str]) -> float:
    """Return the word errors for each word of the expected texts."""
    from jiwer import wer  # noqa: PLC0415 - an extra

    return float(wer(list(expected), list(output)))


def character_error_rate(expected: Sequence[str], output: Sequence[str]) -> float:
    """Return the character errors for each character of the expected texts."""
    from jiwer import cer  # noqa: PLC0415 - an extra

    return float(cer(list(expected), list(output)))


def bleu(output: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Return BLEU of the corpus, as sacrebleu defines it."""
    from sacrebleu import corpus_bleu  # noqa: PLC0415 - an extra

    return float(corpus_bleu(list(output), _streams(answers)).score)


def corpus_chrf(output: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Return chrF of the corpus, as sacrebleu defines it."""
    from sacrebleu import corpus_chrf as chrf  # noqa: PLC0415 - an extra

    return float(chrf(list(output), _streams(answers)).score)


def ter(output: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Return the translation edit rate of the corpus in percent, as sacrebleu defines it."""
    from sacrebleu import corpus_ter  # noqa: PLC0415 - an extra

    return float(corpus_ter(list(output), _streams(answers)).score)


def mape(expected: Sequence[Any], output: Sequence[Any]) -> float:
    """Return the mean absolute error as a share of the true value. Without one for a true value of 0: unscored."""
    from sklearn.metrics import mean_absolute_percentage_error  # noqa: PLC0415 - an extra

    flat = _flat(expected)
    if any(0 in row for row in flat):
        raise Unscored("a true value is 0, and no error is a share of it")
    return float(mean_absolute_percentage_error(flat, _flat(output)))


def pinball(expected: Sequence[Any], output: Sequence[Any], quantile: float = 0.5) -> float:
    """Return the mean pinball loss of predicted `quantile`s, in the units of the values."""
    from sklearn.metrics import mean_pinball_loss  # noqa: PLC0415 - an extra

    return float(mean_pinball_loss(_flat(expected), _flat(output), alpha=quantile))


def _flat(values: Sequence[Any]) -> list[list[float]]:
    """Return the numbers of each example in one list."""
    return [list(_numbers(value)) for value in values]


def _numbers(value: Any) -> Iterator[float]:  # noqa: ANN401 - a number, or nested lists
    if isinstance(value, Sequence):
        for inner in value:
            yield from _numbers(inner)
    else:
        yield float(value)


def _check_class(label: str, classes: Sequence[str]) -> None:
    if label not in classes:
        raise GoldwatchError(f'there is no class "{label}"; there are {", ".join(classes[:20])}')


def _averaged(classes: Sequence[str], label: str) -> dict[str, Any]:
    if label:
        _check_class(label, classes)
        return {"labels": [label], "average": "macro", "zero_division": 0}
    if len(classes) == 2:
        return {"pos_label": classes[1], "average": "binary", "zero_division": 0}
    return {"labels": list(classes), "average": "macro", "zero_division": 0}


def _positive(expected: Sequence[str], classes: Sequence[str]) -> list[bool]:
    if len(classes) != 2:
        raise Unscored(f"it is of two classes, and there are {len(classes)}")
    found = [name == classes[1] for name in expected]
    if len(set(found)) < 2:
        raise Unscored("the labels are of one class alone")
    return found


def _check_several(names: Sequence[str]) -> None:
    if len(set(names)) < 2:
        raise Unscored("labels and answers are of one class alone")


def _margins(values: Rows) -> list[float]:
    return [row[1] - row[0] for row in values]


def _codes(expected: Sequence[str], classes: Sequence[str]) -> list[int]:
    place = {name: code for code, name in enumerate(classes)}
    return [place[name] for name in expected]


def _probabilities(values: Rows) -> Rows:
    """Return rows of probabilities. Raises Unscored for logits."""
    if any(min(row) < 0 or abs(sum(row) - 1) > _SUM_ERROR for row in values):
        raise Unscored("it needs probabilities, and the outputs do not sum to 1")
    return [[value / sum(row) for value in row] for row in values]


def _streams(answers: Sequence[Sequence[str]]) -> list[list[Any]]:
    """Return the first answer of each example, the second, and so on; None where there are fewer."""
    most = max(map(len, answers))
    return [[each[place] if place < len(each) else None for each in answers] for place in range(most)]
