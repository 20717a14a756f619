"""Runs evaluators of other projects through goldwatch, and prints their scores; run by `.venv-evaluators`.

Arguments: the folder of a metric of Hugging Face `evaluate`, and that of the module `scorers`, whose scorer
of inspect_ai gives the value that it is made with.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from goldwatch.core.score_spec import ScoreSpec
from goldwatch.worker.evaluators.opened import Evaluator, NoValue

EXAMPLE = {"input": "capital?", "output": "the city of Paris", "expected": "Paris city", "answers": ["Paris"]}
REPLAY = {"output": ["a", "b"], "answers": [["a"], ["c"]], "expected": ["a", "c"]}
SCORES: tuple[dict[str, Any], ...] = (
    {"uses": "azure.ai.evaluation:F1ScoreEvaluator"},
    {"uses": "openevals.exact:exact_match"},
    {"uses": "openevals.string.levenshtein:levenshtein_distance"},
    {"uses": "inspect_ai.scorer:includes"},
    {"uses": "inspect_ai.scorer:match", "options": {"location": "begin"}},
    {"uses": "inspect_ai.scorer:f1"},
    {
        "uses": "evaluate:load",
        "options": {"path": sys.argv[1]},
        "over": "replay",
        "takes": {"predictions": "output", "references": "expected"},
    },
)

found = {}
for written in SCORES:
    evaluator = Evaluator(ScoreSpec(written["uses"], **written))
    given = REPLAY if evaluator.whole else EXAMPLE
    value = evaluator({parameter: given[source] for parameter, source in evaluator.takes.items()})
    found[written["uses"]] = [value, evaluator.fingerprint.split(" ")[1]]
VALUES: tuple[tuple[Any, str], ...] = (
    *((value, "") for value in ("C", "I", "P", "N", "Yes", "false", "0.5", True, 0.25, "B", "nan", [1, 0])),
    ({"f1": 0.8, "exact": 0}, "f1"),
    ({"f1": 0.8, "exact": 0}, ""),
)
for value, gives in VALUES:
    evaluator = Evaluator(ScoreSpec("s", "scorers:gives", path=sys.argv[2], options={"value": value}, gives=gives))
    try:
        found[json.dumps([value, gives])] = evaluator({"query": "?", "response": "x", "references": ["x"]})
    except NoValue as error:
        found[json.dumps([value, gives])] = error.reason
print(json.dumps(found))
