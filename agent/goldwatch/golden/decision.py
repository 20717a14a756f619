"""Checks the form of the output that a task judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from goldwatch.golden.error import quoted
from goldwatch.golden.lines import JSON, TEXT

if TYPE_CHECKING:
    from goldwatch.golden.manifest import Labels, Output


def check_decision(task: str, name: str, output: Output, labels: Labels | None) -> None:
    """Check the output `name` that a task judges. Raises ValueError with what was found and expected."""
    where = f"output {quoted(name)} is {output.dtype} {list(output.shape)}"
    if task == "classification" and labels is not None and labels.classes is not None:
        _check_classes(name, where, output, labels.classes, labels.threshold)
    elif task == "generation" and output.dtype != TEXT:
        raise ValueError(
            f"output {quoted(name)} is {output.dtype}; the task generation judges an output of dtype {TEXT}"
        )
    elif output.in_lines and (task == "regression" or (task == "embedding" and output.dtype != JSON)):
        raise ValueError(f"{where}; the task {task} judges numbers{'' if task == 'regression' else ' or JSON'}")


def _check_classes(name: str, where: str, output: Output, classes: Sequence[str], threshold: float | None) -> None:
    if threshold is not None:
        if output.in_lines or not output.is_single:
            raise ValueError(f"{where}; a threshold is for one score an example: shape [] or [1]")
    elif output.dtype == JSON:
        raise ValueError(f"{where}; a class is one score each, a number or a text")
    elif output.in_lines or (output.is_single and not output.dtype.startswith("float")):
        return  # a predicted class
    elif output.is_single:
        raise ValueError(
            f"{where}: one score an example; expected labels.threshold, above which it is the second class"
        )
    elif list(output.shape) != [len(classes)]:
        raise ValueError(
            f"output {quoted(name)} has shape {list(output.shape)}, expected {[len(classes)]}: one score for each of "
            "labels.classes"
        )
