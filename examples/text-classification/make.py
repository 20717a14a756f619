"""Write messages to a shop, train a classifier of their topics, and write it with the examples for its golden set.

`python make.py` writes the model and `made/examples.jsonl`. `python make.py --damage` writes
`made/tokenizer.json` again, without lower case: the default of another version of a tokenizer.

The messages are composed from the phrases below: each topic keeps some of them for the golden set alone.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from topics import words

MADE = Path(__file__).parent / "made"
OPENINGS = ("Hello,", "Good morning,", "URGENT:", "Dear team,", "Please help.", "Second message!")
CLOSINGS = ("Thanks", "Best regards", "I am waiting for an answer", "REGARDS, ANNA", "Sent from my phone")
TOPICS = {
    "billing": (
        "My card was charged twice for one order",
        "The invoice shows the wrong amount",
        "I want my refund on the same card",
        "Why is VAT missing on this invoice?",
        "You charged a fee that nobody mentioned",
        "The amount on my card statement is too high",
        "Payment failed but the fee was charged",
        "The refund of last month never arrived",
    ),
    "delivery": (
        "My parcel has not arrived yet",
        "The courier left the box at a neighbour",
        "Tracking says delivered, but there is no parcel",
        "The box was open and wet when it arrived",
        "Can the courier come in the evening?",
        "Please ship the parcel to my new address",
        "Delivery is late by a week",
        "The tracking number does not work",
    ),
    "account": (
        "I cannot sign in with my password",
        "Please change the email of my account",
        "The login page asks for a code again and again",
        "Reset my password, please",
        "Somebody else uses my account",
        "I want to delete my account and my data",
        "The code for the login never comes",
        "My email address is not accepted at sign in",
    ),
    "product": (
        "The lamp flickers after an hour",
        "Does the battery fit the older model?",
        "The screw for the handle is missing",
        "The screen has a crack and the battery is hot",
        "How do I clean the filter of the machine?",
        "The lamp came in the wrong colour",
        "The handle broke on the first day",
        "Is the screen of this model brighter?",
    ),
}


def main() -> None:
    """Write how the tokenizer is set; without `--damage` the model and the examples too."""
    damage = "--damage" in sys.argv[1:]
    MADE.mkdir(exist_ok=True)
    (MADE / "tokenizer.json").write_text(json.dumps({"lowercase": not damage}))
    if damage:
        return
    texts, labels = messages(0, 6)
    vectorizer = TfidfVectorizer(analyzer=lambda text: words(text, lowercase=True))
    model = LogisticRegression(C=10).fit(vectorizer.fit_transform(texts), labels)
    vocabulary = {word: int(column) for word, column in sorted(vectorizer.vocabulary_.items())}
    (MADE / "vocabulary.json").write_text(json.dumps(vocabulary))
    np.savez(
        MADE / "model.npz",
        idf=vectorizer.idf_,
        weights=model.coef_.T,
        biases=model.intercept_,
        topics=model.classes_.astype(str),
    )
    with (MADE / "examples.jsonl").open("w") as lines:
        for text, topic in zip(*messages(4, 8), strict=True):
            example = {"inputs": {"message": text}, "answers": [topic], "slices": {"letters": letters(text)}}
            lines.write(json.dumps(example) + "\n")


def messages(first: int, end: int) -> tuple[list[str], list[str]]:
    """Return messages with the phrases `first` to `end` of each topic, and their topics."""
    found = [
        (f"{opening} {phrase if odd else phrase.upper()}. {closing}", topic)
        for topic, phrases in TOPICS.items()
        for phrase, opening, (odd, closing) in itertools.product(
            phrases[first:end], OPENINGS, ((i % 3, c) for i, c in enumerate(CLOSINGS))
        )
    ]
    return [text for text, _ in found], [topic for _, topic in found]


def letters(text: str) -> str:
    """Return the slice of a message: those in capitals are the ones that a lost lower case hurts."""
    return "capitals" if sum(map(str.isupper, text)) > len(text) / 3 else "mixed"


if __name__ == "__main__":
    main()
