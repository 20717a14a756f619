"""Examples whose answers changed, as people see them: an image, a sound, a text with what was left out and added."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from goldwatch.commands.gate import Report
from goldwatch.face.html import Content, Html, join, name, tag
from goldwatch.golden.shown import Shown
from goldwatch.ipc.judging_jobs import ShownExample

SHOWN = 12
"""How many examples a report shows."""

_LETTERS = 2000
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def examples(report: Report) -> Iterator[Content]:
    """Yield the examples, and the command that replays them."""
    found, difference = report.exhibit, report.judgement.findings.difference
    if found is None or not found.examples or difference is None:
        return
    total = difference.harmful + difference.helpful + difference.neutral
    texts = report.judgement.subject.task == "generation"
    yield tag("p", f"{len(found.examples):,} of {total:,}, those that turned wrong first.", class_="s q")
    yield tag("div", *(_example(each, texts=texts) for each in found.examples), class_="exs")
    numbers = ",".join(str(each.example) for each in found.examples)
    watch, target = report.assignment.key
    yield tag("pre", f"goldwatch replay CONFIG --watch {watch} --target {target} --examples {numbers}", class_="cmd")


def _example(each: ShownExample, *, texts: bool) -> Html:
    who = f"example {each.example}" + (f" · {each.identity}" if each.identity else "")
    right = tag("div", "right is ", name(each.label[:_LETTERS]), class_="s q") if each.label else None
    body = join(_input(value, each.example) for value in each.inputs)
    if each.left_out:
        body = tag("p", "its inputs are too large for this page", class_="s q")
    wide = texts or any(value.kind == "text" for value in each.inputs)
    answer = changed(each.reference, each.now) if texts else tag("b", name(each.reference), " → ", name(each.now))
    heading = tag("div", name(who), class_="s q")
    return tag("figure", heading, body, answer, right, class_="ex text" if wide else "ex")


def _input(value: Shown, example: int) -> Html:
    if value.kind == "image":
        return tag("img", alt=f"input {value.name} of example {example}", src=f"data:image/png;base64,{value.content}")
    if value.kind == "sound":
        label = f"input {value.name} of example {example}"
        sound = tag("audio", controls="", aria_label=label, src=f"data:audio/wav;base64,{value.content}")
        return join(
            (
                sound,
                tag("div", "first 3 s, played at 16,000 samples a second, which the set does not state", class_="s q"),
            )
        )
    return tag("div", tag("span", name(value.name), class_="s q"), tag("pre", value.content, dir="auto"))


def changed(before: str, now: str) -> Html:
    """Return a text with what was left out of it and what was added, word by word."""
    a, b = (_WORDS.findall(text[:_LETTERS]) for text in (before, now))
    parts: list[Content] = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append("".join(a[i:j]))
            continue
        parts += [tag(which, "".join(words)) for which, words in (("del", a[i:j]), ("ins", b[k:m])) if words]
    return tag("pre", *parts, dir="auto")
