"""The built-in score `instructions`: whether an answer follows instructions that a program can check.

The kinds and their arguments are those of IFEval (Zhou et al. 2023, *Instruction-Following Evaluation for Large
Language Models*), so its data can be used as they are. Keywords are plain text here: golden sets are not trusted with
regular expressions. 64 of its 541 prompts have a kind that is not here, more than the tenth that may be unscored: leave
them out of a golden set.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from goldwatch.evaluator import Unscored
from goldwatch.worker.evaluators.built_in import language

Arguments = Mapping[str, Any]
Check = Callable[[str, Arguments], bool]

_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
_FENCES = ("```json", "```Json", "```JSON", "```")


def instructions(
    output: str,
    instruction_id_list: Sequence[str],
    kwargs: Sequence[Arguments] | None = None,
    *,
    each: bool = False,
    loose: bool = False,
) -> float:
    """Whether a text follows all of the instructions of its example; with the option `each`, the share that it follows.

    `instruction_id_list` names them, `kwargs` has the arguments of each. With `loose` an instruction is followed if it
    is without the first line, the last line, or asterisks. Raises Unscored for an instruction that is not known.
    """
    if not instruction_id_list:
        raise Unscored("there is no instruction")
    given = list(kwargs or [{}] * len(instruction_id_list))
    if len(given) != len(instruction_id_list):
        raise Unscored(f"there are {len(instruction_id_list)} instructions, and arguments of {len(given)}")
    if unknown := [name for name in instruction_id_list if name not in CHECKS]:
        raise Unscored(f"the instruction {unknown[0]} is none of {', '.join(CHECKS)}")
    texts = _variants(output) if loose else [output]
    followed = [
        any(text.strip() and CHECKS[name](text, arguments or {}) for text in texts)
        for name, arguments in zip(instruction_id_list, given, strict=True)
    ]
    return sum(followed) / len(followed) if each else float(all(followed))


def _variants(text: str) -> list[str]:
    lines = text.split("\n")
    whole = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return whole + [part.replace("*", "") for part in whole]


def _compared(count: int, arguments: Arguments, limit: str, relation: str = "relation") -> bool:
    """Say whether a count is `less than` or `at least` a limit."""
    if arguments[relation] not in ("less than", "at least"):
        raise Unscored(f"the relation {arguments[relation]!r} is neither `less than` nor `at least`")
    return bool((count < arguments[limit]) == (arguments[relation] == "less than"))


def _count(text: str, keyword: str) -> int:
    return len(re.findall(re.escape(keyword.strip()), text, re.IGNORECASE))


def _has_keywords(text: str, arguments: Arguments) -> bool:
    return all(re.search(re.escape(word), text, re.IGNORECASE) for word in arguments["keywords"])


def _has_none_of(text: str, arguments: Arguments) -> bool:
    words = arguments["forbidden_words"]
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in words)


def _parts(texts: Sequence[str]) -> list[str] | None:
    """Return the parts of a text without empty ones at its ends; None if one between is empty."""
    kept = [text for place, text in enumerate(texts) if text.strip() or 0 < place < len(texts) - 1]
    return kept if all(text.strip() for text in kept) else None


def _has_paragraphs(text: str, arguments: Arguments) -> bool:
    found = _parts(re.split(r"\s?\*\*\*\s?", text))
    return found is not None and len(found) == arguments["num_paragraphs"]


def _paragraph_begins(text: str, arguments: Arguments) -> bool:
    every = text.split("\n\n")
    count, nth = sum(bool(each.strip()) for each in every), arguments["nth_paragraph"]
    if count != arguments["num_paragraphs"] or nth > count or not every[nth - 1].strip():
        return False
    word = every[nth - 1].split()[0].lstrip("'").lstrip('"')
    return bool(re.split(r"[.,?!'\"]", word)[0].lower() == arguments["first_word"].lower())


def _has_postscript(text: str, arguments: Arguments) -> bool:
    marker = arguments["postscript_marker"].strip()
    return re.search(_POSTSCRIPTS.get(marker, re.escape(marker.lower())), text.lower()) is not None


def _bullets(text: str) -> int:
    stars, dashes = (re.findall(each, text, re.MULTILINE) for each in (r"^[^\S\n]*\*[^*].*$", r"^[^\S\n]*-.*$"))
    return len(stars) + len(dashes)


def _placeholders(text: str) -> int:
    """Count the texts in brackets. What follows the last bracket of a line is not read: that takes its square."""
    return sum(len(re.findall(r"\[.*?\]", line[: line.rfind("]") + 1])) for line in text.split("\n"))


def _highlights(text: str) -> int:
    """Count the texts between asterisks, and those between double ones."""
    single = [found for found in re.findall(r"\*([^\n*]*)\*", text) if found.strip()]
    return len(single) + len([found for found in re.findall(r"\*\*([^\n*]*)\*\*", text) if found.strip()])


def _sections(text: str, arguments: Arguments) -> bool:
    splitter = re.escape(arguments["section_spliter"].strip())
    return bool(len(re.findall(rf"{splitter}\s?\d+", text)) >= arguments["num_sections"])


def _is_json(text: str) -> bool:
    found = text.strip()
    for fence in _FENCES:
        found = found.removeprefix(fence)
    try:
        json.loads(found.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _has_title(text: str) -> bool:
    lines = (line for line in text.split("\n") if "<<" in line and ">>" in line)
    widest = (line[line.find("<<") : line.rfind(">>") + 2] for line in lines)
    return any(re.fullmatch("<<.+>>", found) and found.lstrip("<").rstrip(">").strip() for found in widest)


def _two_responses(text: str) -> bool:
    found = _parts(text.split("******"))
    return found is not None and len(found) == 2 and found[0].strip() != found[1].strip()


def _is_quoted(text: str) -> bool:
    found = text.strip()
    return len(found) > 1 and found[0] == found[-1] == '"'


def _ends(text: str, arguments: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(arguments["end_phrase"].strip().lower())


def _letters(text: str, arguments: Arguments) -> bool:
    count = Counter(text.lower())[arguments["letter"].strip().lower()]
    return _compared(count, arguments, "let_frequency", "let_relation")


CHECKS: Mapping[str, Check] = {
    "keywords:existence": _has_keywords,
    "keywords:frequency": lambda t, a: _compared(_count(t, a["keyword"]), a, "frequency"),
    "keywords:forbidden_words": _has_none_of,
    "keywords:letter_frequency": _letters,
    "language:response_language": lambda t, a: language(t, a["language"]),
    "length_constraints:number_words": lambda t, a: _compared(len(re.findall(r"\w+", t)), a, "num_words"),
    "length_constraints:number_paragraphs": _has_paragraphs,
    "length_constraints:nth_paragraph_first_word": _paragraph_begins,
    "detectable_content:number_placeholders": lambda t, a: _placeholders(t) >= a["num_placeholders"],
    "detectable_content:postscript": _has_postscript,
    "detectable_format:number_bullet_lists": lambda t, a: _bullets(t) == a["num_bullets"],
    "detectable_format:constrained_response": lambda t, _: any(answer in t for answer in _ANSWERS),
    "detectable_format:number_highlighted_sections": lambda t, a: _highlights(t) >= a["num_highlights"],
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": lambda t, _: _is_json(t),
    "detectable_format:title": lambda t, _: _has_title(t),
    "combination:two_responses": lambda t, _: _two_responses(t),
    "combination:repeat_prompt": lambda t, a: t.strip().lower().startswith(a["prompt_to_repeat"].strip().lower()),
    "startend:end_checker": _ends,
    "startend:quotation": lambda t, _: _is_quoted(t),
    "change_case:english_capital": lambda t, _: t.isupper() and language(t, "en"),
    "change_case:english_lowercase": lambda t, _: t.islower() and language(t, "en"),
    "punctuation:no_comma": lambda t, _: "," not in t,
}
"""By the name of the instruction. IFEval's counts of sentences and of words in capitals need NLTK, and are not here."""
