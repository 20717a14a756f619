"""Judges: a served language model grades each answer by a prompt, after the replay and never in its timed loop.

A judge is asked through the probe of its target, within the target's budgets, a number of calls and a deadline. An
unclear answer is no grade: the example is unscored. An answer that was judged before costs no call.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from goldwatch.config.prompts import PLACEHOLDER
from goldwatch.core.judgement import Judging
from goldwatch.core.load_plan import LoadPlan
from goldwatch.core.score_spec import JudgeSpec, ScoreSpec, UnscoredReason
from goldwatch.evaluator import ROLE_OF
from goldwatch.probe import Context, CountsTokens, Overloaded, Probe, ProbeError, is_concurrent
from goldwatch.redaction import redact_known
from goldwatch.worker.evaluators.grades import Grades
from goldwatch.worker.evaluators.opened import NoValue
from goldwatch.worker.load.asking import clock_ns
from goldwatch.worker.load.pace import Pace, sleep_until
from goldwatch.worker.load.timed import make_probe

_AT_ONCE = 64
_MAX_FAILURES_IN_A_ROW = 10
_FIRST_BACK_OFF_S, _MAX_BACK_OFF_S = 0.5, 10.0
MOST_TRIES = 4
"""So often an overloaded judge is asked for one grade."""

_LONGEST = 160

_NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?"
_TAGGED = re.compile(rf"<(S2|score|grade|rating)>\s*({_NUMBER})\s*</\1>", re.IGNORECASE)
_END = rf"(?:[ \t]*(?:/|\bout[ \t]+of\b|\bof\b)[ \t]*({_NUMBER}))?"
_NO_MORE = (
    rf"(?![0-9.,]*[0-9%])(?![ \t]*(?:%|percent\b|(?:[-\u2013\u2014]|to|or)[ \t]*[0-9]|out[ \t]+of[ \t]+(?!{_NUMBER})))"
)
"""Not the first number of a range, no share, and of no scale that a word ends."""
_NAMED = re.compile(
    rf"\b(?:score|grade|rating)\b[\"'*_`\s]*(?:is|[:=])[\"'*_`\s]*({_NUMBER}){_NO_MORE}{_END}", re.IGNORECASE
)
_ALONE = re.compile(rf"[\s*_`\"'(\[]*({_NUMBER}){_END}[\s*_`\"')\].]*", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


class NoGrade(NoValue):
    """A judge gave no grade: it was not asked, did not answer, or not plainly."""


def read_grade(text: str, scale: tuple[float, float]) -> float:
    """Return the grade in the answer of a judge. Raises NoGrade for none, for several, or for one beyond the scale.

    It is a number alone; `Score: 4`; `<score>4</score>` or Azure's `<S2>4</S2>`; or a JSON object with `score`. A
    grade `4/5` must name the end of the scale. Text between `<think>` tags is left out.
    """
    said = _THOUGHT.sub("", text).strip()
    found = _grades(said, scale[1])
    if not found or not all(map(math.isfinite, found)):
        raise NoGrade(UnscoredReason.NO_NUMBER, f"the judge gave no grade: {_shown(said)}")
    if len(found) > 1:
        several = ", ".join(f"{grade:g}" for grade in sorted(found))
        raise NoGrade(UnscoredReason.NO_NUMBER, f"the judge gave several grades, {several}: {_shown(said)}")
    (grade,) = found
    if not scale[0] <= grade <= scale[1]:
        said = f"the judge gave {grade:g}; its scale is from {scale[0]:g} to {scale[1]:g}"
        raise NoGrade(UnscoredReason.OUT_OF_RANGE, said)
    return grade


def _grades(said: str, high: float) -> set[float]:
    """Return the grades that a text names, in the first of the forms that it has."""
    if alone := _ALONE.fullmatch(said):
        return _of([alone.groups()], high)
    if tagged := _TAGGED.findall(said):
        return {float(number) for _, number in tagged}
    if (grade := _in_json(said)) is not None:
        return {grade}
    return _of(_NAMED.findall(said), high)


def _of(found: Iterable[Sequence[str | None]], high: float) -> set[float]:
    """Return the numbers of pairs (number, end of the scale), without those that name another end."""
    return {float(number) for number, of in found if number and (not of or float(of) == high)}


def _in_json(said: str) -> float | None:
    match = _OBJECT.search(said)
    if match is None:
        return None
    try:
        value = json.loads(match[0])
    except (ValueError, RecursionError):
        return None
    names = {str(name).lower(): grade for name, grade in value.items()} if isinstance(value, dict) else {}
    grade = next((names[name] for name in ("score", "grade", "rating") if name in names), None)
    if isinstance(grade, str) and re.fullmatch(_NUMBER, grade.strip()):
        grade = float(grade)
    if not isinstance(grade, int | float) or isinstance(grade, bool):
        return None
    try:
        return float(grade) if math.isfinite(grade) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def _shown(said: str) -> str:
    said = redact_known(" ".join(said.split()))
    return repr(said if len(said) <= _LONGEST else f"{said[:_LONGEST]}...")


@dataclass(slots=True)
class _Usage:
    """The calls of one sitting, and their tokens."""

    calls: int = 0
    reused: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Judge:
    """A judge of one score, ready to be asked. `takes` has the source of each placeholder of its prompt."""

    def __init__(self, spec: ScoreSpec, judge: JudgeSpec) -> None:
        self._judge, self._scale = judge, judge.scale
        names = dict.fromkeys(name for _, text in judge.messages for name in PLACEHOLDER.findall(text))
        self.takes: Mapping[str, str] = {
            name: spec.takes.get(name, ROLE_OF.get(name, f"fields.{name}")) for name in names
        }
        self._grades = Grades(judge.store)
        decides = [judge.identity, judge.parameters, judge.scale]
        self._digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).digest()

    @property
    def fingerprint(self) -> str:
        """Changes with the model, its settings, the prompt and what passes."""
        judge = self._judge
        meaning = [judge.meaning, self.takes]
        digest = hashlib.sha256(json.dumps(meaning, sort_keys=True, default=str).encode()).hexdigest()
        return f"judge {judge.identity.get('model', '')} {judge.prompt} {digest[:12]}"

    def score(self, grade: float) -> float:
        """Return the score of a grade: itself, or whether it passes."""
        return grade if self._judge.at_least is None else float(grade >= self._judge.at_least)

    def share(self, grade: float) -> float:
        """Return a grade as a share of the scale of the prompt."""
        return (grade - self._scale[0]) / (self._scale[1] - self._scale[0])

    def sitting(self, calls: int | None = None, *, golden: str = "") -> Sitting:
        """Return a sitting: the judging of one replay, with its own deadline and number of calls.

        Grades are kept for the golden set with the digest `golden`: its reference is of the judge at that time.
        """
        judge = self._judge if calls is None else replace(self._judge, calls=calls)
        return Sitting(judge, self._grades, self.request, lambda request: self._key(golden, request))

    def forget(self, since: float) -> None:
        """Drop the stored grades that this judge has given at Unix time `since` or later."""
        self._grades.forget(since, self._start)

    def request(self, given: Mapping[str, Any]) -> str:
        """Return the request for an example as JSON, with the texts in the place of the placeholders."""

        def text(match: re.Match[str]) -> str:
            value = given[match[1]]
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

        messages = [{"role": role, "content": PLACEHOLDER.sub(text, said)} for role, said in self._judge.messages]
        return json.dumps({"messages": messages, **self._judge.parameters}, ensure_ascii=False)

    def _key(self, golden: str, request: str) -> bytes:
        """Return the key of a stored grade; those of one judge begin alike."""
        judged = json.dumps([golden, request]).encode()
        return self._start + hashlib.sha256(self._digest + judged).digest()

    @property
    def _start(self) -> bytes:
        return self._digest[:8]


class Sitting:
    """The judging of one replay. `used` counts what it took."""

    def __init__(
        self,
        judge: JudgeSpec,
        grades: Grades,
        request: Callable[[Mapping[str, Any]], str],
        key: Callable[[str], bytes],
    ) -> None:
        self._judge, self._scale, self._grades = judge, judge.scale, grades
        self._request, self._key = request, key
        self._until_ns = clock_ns() + round(judge.deadline_s * 1e9)
        self._lock = threading.Lock()
        self._used = _Usage()
        self._in_a_row = 0
        self._over = ""
        self._probe: Probe | None = None
        self._pace: Pace | None = None

    def used(self, score: str) -> Judging:
        """Return the counts of the calls."""
        return Judging(score, **asdict(self._used))

    def close(self) -> None:
        """End the connection to the judge."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def grades(self, given: Iterable[Mapping[str, Any]], *, anew: bool = False) -> Iterator[float | NoGrade]:
        """Yield the grade of each example on the scale of the prompt, or why it has none.

        With `anew` the judge is asked again about answers that it has graded before, and its grades are not kept.
        """
        examples = iter(given)
        while some := list(islice(examples, _AT_ONCE)):
            requests = [self._request(each) for each in some]
            if anew:
                yield from self._ask_all(requests)
                continue
            keys = [self._key(request) for request in requests]
            found: dict[bytes, float | NoGrade] = dict(self._grades.read(keys))
            missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in found}  # equal ones once
            self._used.reused += len(keys) - len(missing)
            fresh = dict(zip(missing, self._ask_all(list(missing.values())), strict=True))
            self._grades.keep({key: grade for key, grade in fresh.items() if not isinstance(grade, NoGrade)})
            found |= fresh
            yield from (found[key] for key in keys)

    def _ask_all(self, requests: Sequence[str]) -> list[float | NoGrade]:
        if not requests:
            return []
        try:
            probe = self._opened()
        except (ProbeError, TimeoutError) as error:
            self._over = self._over or f"the judge {self._judge.target} cannot be used: {error}"
            return [self._not_judged(self._over) for _ in requests]
        threads = min(self._judge.in_flight if is_concurrent(probe) else 1, len(requests))
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self._ask, requests))

    def _opened(self) -> Probe:
        """Return the probe of the judge, opened once a sitting. Raises ProbeError or TimeoutError."""
        if self._over:
            raise ProbeError(self._over)
        if self._probe is None:
            judge = self._judge
            probe = make_probe(judge.factory, judge.options, Context(judge.time_limit_s))
            try:
                self._pace = Pace(LoadPlan(most_per_s=judge.most_per_s, tokens_per_s=judge.tokens_per_s), probe)
                probe.open()
            except BaseException:
                probe.close()
                raise
            self._probe = probe
        return self._probe

    def _ask(self, request: str) -> float | NoGrade:
        """Ask for one grade, again if the judge is overloaded."""
        for attempt in range(MOST_TRIES):
            if why := self._wait_for_turn():
                return self._not_judged(why)
            try:
                return self._read(self._answer(request))
            except NoGrade as error:
                return error
            except Overloaded as error:
                wait_s = _FIRST_BACK_OFF_S * 2**attempt if error.retry_after_s is None else error.retry_after_s
                if wait_s > _MAX_BACK_OFF_S or attempt == MOST_TRIES - 1:
                    return self._failed(str(error))
                time.sleep(max(0.0, min(wait_s, (self._until_ns - clock_ns()) / 1e9)))
            except (ProbeError, TimeoutError, ValueError) as error:
                return self._failed(str(error) or "no answer in time")
        raise AssertionError("the last attempt returns")

    def _wait_for_turn(self) -> str:
        """Wait for the turn of a call and count the call. Return why there is none, without a wait that is in vain."""
        late = f"the {self._judge.deadline_s:g} s for judging had passed; see `deadline`"
        with self._lock:
            if self._over:
                return self._over
            if clock_ns() > self._until_ns:
                return late
            if self._used.calls >= self._judge.calls:
                return f"the {self._judge.calls:,} calls of a replay were used; see `calls`"
            turn_ns = clock_ns() if self._pace is None else self._pace.book()
            if turn_ns > self._until_ns:
                return late
            self._used.calls += 1
        sleep_until(turn_ns)
        with self._lock:
            if self._over:  # it failed too often meanwhile
                self._used.calls -= 1
            return self._over

    def _answer(self, request: str) -> str:
        """Return the answer of the judge. Raises the errors of the probe."""
        probe = self._probe
        if probe is None or self._pace is None:
            raise ProbeError("the judge is not open")
        inputs = np.empty(1, dtype=object)
        inputs[0] = request
        response = probe.predict(probe.encode({"request": inputs}))
        (texts,) = probe.decode(response).values()
        if isinstance(probe, CountsTokens):
            tokens = probe.tokens(response)
            with self._lock:
                self._used.input_tokens += tokens.input or 0
                self._used.output_tokens += tokens.output or 0
        self._pace.answered(response)
        with self._lock:
            self._in_a_row = 0
        return str(texts[0])

    def _read(self, text: str) -> float:
        return read_grade(text, self._scale)

    def _failed(self, why: str) -> NoGrade:
        with self._lock:
            self._used.failed += 1
            self._in_a_row += 1
            if self._in_a_row >= _MAX_FAILURES_IN_A_ROW:
                self._over = f"{self._in_a_row} calls in a row failed, the last: {why}"
        return self._not_judged(f"the judge {self._judge.target} did not answer: {why}")

    def _not_judged(self, why: str) -> NoGrade:
        return NoGrade(UnscoredReason.NOT_JUDGED, redact_known(why))
