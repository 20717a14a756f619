"""Flips of JSON show where two answers differ."""

from goldwatch.worker.evaluators.numbers import _differing


def test_a_flip_shows_the_part_that_differs() -> None:
    assert _differing("[1]", "[2]") == ("[1]", "[2]")
    same = "[" + "1.5, " * 50
    then, now = _differing(f"{same}7.0]", f"{same}8.0, {same}]")
    assert (then[0], then[-4:]) == ("\N{HORIZONTAL ELLIPSIS}", "7.0]")
    assert "8.0" in now
    assert (len(now), now[-1]) == (80, "\N{HORIZONTAL ELLIPSIS}")
