"""The event stream of the WHATWG's standard, and the times of tokens in it: laws that hold for any stream."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldwatch_probes._http import Answer
from goldwatch_probes._openai_answers import completion
from goldwatch_probes._sse import Event, events
from goldwatch_probes._token_times import token_times

LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6)
DATA = st.lists(LINE, min_size=1, max_size=3)


@given(
    st.lists(st.tuples(st.sampled_from(["", "ping", "error"]), DATA), max_size=4),
    LINE_ENDS,
    st.booleans(),
    st.booleans(),
)
def test_events_are_read_as_they_were_written(
    wanted: list[tuple[str, list[str]]], line_end: bytes, bom: bool, spaced: bool
) -> None:
    """Of a line end of any kind, with comments and fields of no meaning, and a space after the colon or none."""
    lines = []
    for kind, data in wanted:
        lines += [b": comment", b"id: 1", b"unheard: of", b"event: " + kind.encode()]
        lines += [b"data: " + line.encode() for line in data]
        lines.append(b"")
    body = b"".join(line + line_end for line in lines)
    if not spaced and all(not line.startswith(" ") for _, data in wanted for line in data):
        body = body.replace(b"data: ", b"data:")
    read = [(event.kind, event.data) for event in events((b"\xef\xbb\xbf" if bom else b"") + body)]
    assert read == [(kind, "\n".join(data)) for kind, data in wanted]


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"data\n\n", [("", "", True)]),
        (b"data\ndata\n\n", [("", "\n", True)]),
        (b"data:  two\n\n", [("", " two", True)]),
        (b"event: add\ndata: 73\n\n\n\ndata: 1\n\n", [("add", "73", True), ("", "1", True)]),
        (b"event: add\n\ndata: 1\n\n", [("", "1", True)]),
        (b"data: a\n\r\n", [("", "a", True)]),
        (b"data: cut", [("", "cut", False)]),
        (b": only\n\nid: 1\n\n", []),
        (b"", []),
    ],
)
def test_examples_of_the_standard(body: bytes, read: list[tuple[str, str, bool]]) -> None:
    assert [(event.kind, event.data, event.whole) for event in events(body)] == read


@given(st.lists(st.tuples(DATA, LINE_ENDS), max_size=4), st.data())
def test_a_stream_that_is_cut_has_the_events_before_the_cut(
    stream: list[tuple[list[str], bytes]], data: st.DataObject
) -> None:
    body = b"".join(b"".join(b"data:" + line.encode() + end for line in lines) + end for lines, end in stream)
    cut = data.draw(st.integers(0, len(body)))
    before = [event for event in events(body[:cut]) if event.whole]
    uncut = list(events(body))[: len(before)]
    assert [event[:3] for event in before] == [event[:3] for event in uncut]
    assert all(isinstance(event, Event) and event.end <= event.upto <= cut for event in before)
    assert all(event.upto - 1 <= cut for event in uncut)  # a cut between CR and LF ends the blank line too


def stream(tokens: int) -> tuple[bytes, list[int]]:
    """Return a stream of `tokens` tokens, and the end of each one's event."""
    body, ends = b"", []
    for number in range(tokens):
        body += b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": f"w{number} "}}]}).encode()
        ends.append(len(body))
        body += b"\n\n"
    usage = {"choices": [], "usage": {"completion_tokens": tokens}}
    return body + b"data: " + json.dumps(usage).encode() + b"\n\ndata: [DONE]\n\n", ends


@given(st.integers(1, 12), st.data())
def test_the_text_does_not_depend_on_the_reads_and_no_time_is_wrong(tokens: int, data: st.DataObject) -> None:
    """The server sends a token each second; reads cut the stream anywhere, as late as the client likes."""
    body, ends = stream(tokens)
    cuts = [*sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=20))), len(body)]

    def sent_s(byte: int) -> float:
        return float(1 + sum(end + 2 < byte for end in ends))

    arrivals = tuple((sent_s(cut), cut) for cut in cuts)
    read = completion(Answer(200, {}, body, 0, 1, arrivals))
    assert read.text == "".join(f"w{number} " for number in range(tokens))
    assert read.times.first_s in (None, 1.0)
    assert read.times.per_token_s in (None, 1.0)
    assert set(read.times.gaps_s) <= {1.0}
    assert (read.times.first_s is None) == bool(read.times.first_unknown)


APART = [(0.01 * (1 + number), 100 * (1 + number)) for number in range(10)]
ENDS = [(98 + 100 * number, 100 + 100 * number) for number in range(10)]


def test_tokens_that_come_apart_have_times() -> None:
    times = token_times(APART, ENDS, 10, several=False)
    assert (times.first_s, times.first_unknown, times.next_unknown) == (0.01, "", "")
    assert times.per_token_s == pytest.approx(0.01)
    assert times.gaps_s == pytest.approx([0.01] * 9)


def test_a_stall_shows_in_the_gaps() -> None:
    arrivals = [(at_s + (1 if number >= 5 else 0), upto) for number, (at_s, upto) in enumerate(APART)]
    assert max(token_times(arrivals, ENDS, 10, several=False).gaps_s) == pytest.approx(1.01)


@pytest.mark.parametrize(
    ("arrivals", "tokens", "several", "unknown"),
    [
        ([(0.5, 1000)], 10, False, ("together", "together")),  # a proxy that buffers, or a client that reads late
        ([(0.5, 150), (0.5001, 1000)], 10, False, ("together", "together")),  # the same, cut within an event
        ([(0.5, upto) for _, upto in APART], 10, False, ("together", "together")),  # records of TLS that came at once
        ([(0.3, 300), *APART[3:]], 10, False, ("together", "")),  # only the beginning was read late
        ([(0.5, 101), *APART[1:]], 10, False, ("together", "")),  # the next had begun
        (APART, None, False, ("", "count")),
        (APART, 40, False, ("", "count")),  # reasoning that was not streamed, or several tokens an event
        (APART, 3, False, ("", "count")),
        (APART, 20, True, ("", "choices")),
    ],
)
def test_times_that_are_not_known_have_a_reason(
    arrivals: list[tuple[float, int]], tokens: int | None, several: bool, unknown: tuple[str, str]
) -> None:
    times = token_times(arrivals, ENDS, tokens, several=several)
    assert (times.first_unknown, times.next_unknown) == unknown
    assert (times.first_s is None, times.per_token_s is None) == tuple(map(bool, unknown))


def test_a_usage_that_comes_late_moves_no_time() -> None:
    """It is read together with the last token, whose time is then unknown; the mean is that of those before it."""
    arrivals = [*APART[:-1], (5.0, 1100)]
    assert token_times(arrivals, ENDS, 10, several=False).per_token_s == pytest.approx(0.01)


def test_reasoning_is_text_in_time() -> None:
    parts = [{"reasoning_content": "hm"}, {"reasoning": "hm"}, {"content": "Yes"}]
    body, arrivals = b"", []
    for number, part in enumerate(parts):
        body += b"data: " + json.dumps({"choices": [{"index": 0, "delta": part}]}).encode() + b"\n\n"
        arrivals.append((1.0 + number, len(body)))
    usage = {"completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 2}}
    body += b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"
    read = completion(Answer(200, {}, body, 0, 1, (*arrivals, (9.0, len(body)))))
    assert (read.text, read.times.first_s, read.times.per_token_s) == ("Yes", 1.0, 1.0)
