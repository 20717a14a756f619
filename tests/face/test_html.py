"""Pages that no value can break: escaping, tables, charts, pictures and sounds."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from html.parser import HTMLParser

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goldwatch.commands.report_examples import changed
from goldwatch.face.html import Column, Html, Table, tag
from goldwatch.face.page import page
from goldwatch.face.plot import Plot, decades, heat, interval, ticks
from goldwatch.face.scores import signed
from goldwatch.golden.media import png, wav


class Seen(HTMLParser):
    """What a browser would take a page for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@given(st.text(), st.text(), st.text())
def test_no_text_becomes_markup(heading: str, cell: str, title: str) -> None:
    table = Table(heading, (Column(heading), Column(title)), [(cell, cell)]).html()
    plot = Plot(0, 1, 0, 1, title)
    plot.label(0.5, 0.5, cell)
    plot.mark(0.5, heading)
    seen = Seen(page(title, heading, table, plot.html(), heat(0.5, "loss", cell, title)))
    plain = Seen(
        page(
            "x",
            "x",
            Table("x", (Column("x"), Column("x")), [("x", "x")]).html(),
            plot.html(),
            heat(1, "loss", "x", "x"),
        )
    )
    assert seen.names == plain.names
    assert seen.open == []
    assert {name for name, _ in seen.attributes} <= {name for name, _ in plain.attributes}


def test_what_is_html_already_stays() -> None:
    assert tag("b", Html("<i>1</i>"), "<i>") == "<b><i>1</i>&lt;i&gt;</b>"


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_diff_holds_both_texts(before: str, now: str) -> None:
    marked: str = changed(before, now)
    seen, kinds = Seen(marked), {"del", "ins"}
    assert seen.open == []
    assert set(seen.names) <= {"pre", *kinds}
    for left, kept in (("ins", before), ("del", now)):
        text, rest = "", marked
        while (at := rest.find(f"<{left}>")) >= 0:
            text, rest = text + rest[:at], rest[rest.index(f"</{left}>", at) + len(left) + 3 :]
        assert "".join(Seen(text + rest).text) == "".join(Seen(tag("pre", kept)).text)


@given(st.floats(1e-9, 1e6), st.floats(1.01, 1e9))
def test_labels_of_axes_are_few_and_inside(low: float, ratio: float) -> None:
    for values in (decades(low, low * ratio), ticks(low, low * ratio)):
        assert len(values) <= 20
        assert all(low * 0.999 <= value <= low * ratio * 1.001 for value in values)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_what_is_beyond_a_chart_is_at_its_edge(x: float, y: float) -> None:
    plot = Plot(0, 1, 0, 1, "", 100)
    assert 0 <= plot.x(x) <= 1000
    assert 0 <= plot.y(y) <= 100
    assert "%" in interval(x, min(x, y), max(x, y), y, (0, 1))


def test_signs_of_differences() -> None:
    assert [signed(v, 1) for v in (-1.94, 0.04, -0.04, 2.0, 0.0)] == ["\N{MINUS SIGN}1.9", "0.0", "0.0", "+2.0", "0.0"]


@given(st.integers(4, 12), st.integers(4, 12), st.sampled_from([None, 3]), st.integers(0, 2**32 - 1))
def test_a_png_holds_its_pixels(height: int, width: int, colours: int | None, seed: int) -> None:
    shape = (height, width) if colours is None else (height, width, colours)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    content, chunks = png(pixels), {}
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at = 8
    while at < len(content):
        (size,), kind = struct.unpack(">I", content[at : at + 4]), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + data),)
        chunks[kind], at = data, at + 12 + size
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (width, height)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    assert np.array_equal(rows[:, 1:].reshape(shape), pixels)


def test_a_wav_is_one_that_others_read() -> None:
    tone = np.array([math.sin(i / 10) for i in range(16_000)])
    with wave.open(io.BytesIO(wav(tone))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 16_000)
        samples = np.frombuffer(file.readframes(16_000), np.uint8).astype(float)
    assert np.abs((samples - 128) / 127 - tone).max() < 0.01
