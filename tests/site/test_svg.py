"""Inline SVG: points where they belong, numbers beside them, and no markup from labels."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.figures.chart import Chart, Mark, Panel, Series
from repro.site import svg

LINE = Series(
    "plain-20", "test error, seed 0", "test_error", "olive", (0.0, 50.0, 100.0), (20.0, 10.0, 5.0), width="bold"
)
PANEL = Panel("errors", "iterations", "error (%)", (0.0, 100.0), (0.0, 20.0), (LINE,), y_ticks=(0, 10, 20))
CHART = Chart("figure-1", "Errors", "It falls.", (PANEL, replace(PANEL, title="again")))
HOSTILE = "</script><script>alert(1)</script>\"'&<b>"


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def test_points_lie_between_the_axes_in_proportion() -> None:
    root = parsed(svg.chart(CHART, "c"))
    line = root.find(".//polyline")
    frame = root.find(".//rect[@class='axis']")
    assert line is not None and frame is not None
    left, top, width, height = (float(frame.attrib[key]) for key in ("x", "y", "width", "height"))
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    expected = [(left, top), (left + width / 2, top + height / 2), (left + width, top + 0.75 * height)]
    for found, wanted in zip(points, expected, strict=True):
        assert found == pytest.approx(wanted, abs=0.06)


def test_numbers_for_the_script_are_those_of_the_chart() -> None:
    root = parsed(svg.chart(CHART, "c"))
    texts = [item.text or "" for item in root.iter("script")]
    assert len(texts) == 2
    numbers = json.loads(texts[0])
    assert numbers["lines"][0]["x"] == [0, 50, 100]
    assert numbers["lines"][0]["y"] == [20, 10, 5]
    assert numbers["lines"][0]["of"] == "test error"


def test_thin_lines_are_drawn_but_have_no_values_to_read() -> None:
    chart = replace(CHART, panels=(replace(PANEL, series=(replace(LINE, width="thin", legend=False), LINE)),))
    root = parsed(svg.chart(chart, "c"))
    assert len(list(root.iter("polyline"))) == 2
    assert len(json.loads(next(root.iter("script")).text or "")["lines"]) == 1


def test_labels_are_text_wherever_they_stand() -> None:
    line = replace(LINE, label=HOSTILE, of=HOSTILE)
    mark = Mark(HOSTILE, HOSTILE, "red", 50.0, 10.0)
    panel = replace(
        PANEL, title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE, series=(line,), marks=(mark,), remarks=(HOSTILE,)
    )
    text = svg.chart(Chart("c", HOSTILE, HOSTILE, (panel,)), "c")
    root = parsed(text)
    assert len(list(root.iter("script"))) == 1
    assert not list(root.iter("b"))
    assert json.loads(next(root.iter("script")).text or "")["lines"][0]["label"] == HOSTILE
    assert "</script><script>" not in text


def test_pictures_have_a_text_with_their_last_values_and_a_switch_per_label() -> None:
    root = parsed(svg.chart(CHART, "c"))
    pictures = [item for item in root.iter("svg") if item.get("role") == "img"]
    assert "plain-20 test error 5 at 100" in pictures[0].attrib["aria-label"]
    buttons = list(root.iter("button"))
    assert [(button.attrib["data-label"], button.attrib["aria-pressed"]) for button in buttons] == [
        ("plain-20", "true")
    ]
    assert {item.attrib["data-label"] for item in root.iter("polyline")} == {"plain-20"}


def test_no_two_charts_share_an_id() -> None:
    text = svg.chart(CHART, "one") + svg.chart(CHART, "two")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == 4 == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) == set(ids)


@given(
    st.lists(st.floats(0, 300), max_size=9).map(sorted),
    st.floats(1, 20),
)
def test_spread_labels_keep_their_order_and_distance(places: list[float], gap: float) -> None:
    found = svg.spread(places, gap, 0.0, 300.0)
    assert len(found) == len(places)
    assert all(after - before >= gap - 1e-6 for before, after in itertools.pairwise(found))
    assert all(-1e-6 <= place <= 300 + 1e-6 for place in found)


def test_labels_that_are_apart_stay_where_they_are() -> None:
    assert svg.spread([10.0, 40.0, 90.0], 12.0, 0.0, 100.0) == [10.0, 40.0, 90.0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 6.4, [0, 1, 2, 3, 4, 5, 6]),
        (3.5, 6.4, [3.5, 4, 4.5, 5, 5.5, 6]),
        (0.0, 1000.0, [0, 200, 400, 600, 800, 1000]),
        (0.0, 110.0, [0, 20, 40, 60, 80, 100]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert svg.ticks(low, high) == expected
