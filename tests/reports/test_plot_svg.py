"""Drawings: well-formed, named for those who do not see them, bounded, and the same every time."""

import base64
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.drawing import Scale, around, thin
from reports.figure import TABLE_ROWS, described, table_of
from reports.plot import (
    ImageRow,
    ImagesPlot,
    IntervalRow,
    IntervalsPlot,
    LinePlot,
    LineSeries,
    OperatingPoint,
    Plot,
    RocPlot,
    RocSeries,
)
from reports.plot_svg import MOST_POINTS, svg
from reports.wording import visible
from tests.reports.sample_plots import Shelves, heat_plot, histogram_plot, images_plot, line_plot, roc_plot

finite = st.floats(allow_nan=False, allow_infinity=False)
SHELVES = Shelves()
EVERY: list[Plot] = [images_plot(SHELVES), roc_plot(), heat_plot(), histogram_plot(), line_plot()]
EVERY.append(
    IntervalsPlot(
        title="Rate",
        rows=(
            IntervalRow(label="a", value=0.2, low=0.1, high=0.4, limit=0.05, control=0.9),
            IntervalRow(label="b", value=1),
        ),
    )
)


def lookup(sha256: str) -> bytes | None:
    return SHELVES.contents.get(sha256)


def drawn(plot: Plot) -> ElementTree.Element:
    return ElementTree.fromstring(str(svg(plot, lookup)))


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.kind)
def test_a_drawing_is_named_and_described(plot: Plot) -> None:
    root = drawn(plot)
    assert root.get("role") == "img"
    assert [child.tag for child in root[:2]] == ["title", "desc"]
    assert root[0].text == plot.title
    assert root[1].text == described(plot)


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.kind)
def test_equal_plots_give_equal_bytes(plot: Plot) -> None:
    again = type(plot).model_validate_json(plot.model_dump_json())
    assert svg(plot, lookup) == svg(again, lookup)


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.kind)
def test_coordinates_are_rounded_to_a_tenth_and_lie_on_the_sheet(plot: Plot) -> None:
    root = drawn(plot)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter():
        for name, most in (("x", width), ("x1", width), ("cx", width), ("y", height), ("y1", height), ("cy", height)):
            if (value := element.get(name)) is not None:
                assert re.fullmatch(r"-?\d+(\.\d)?", value)
                assert 0 <= float(value) <= most
        for found in re.findall(r"-?\d+\.?\d*", element.get("d", "")):
            assert re.fullmatch(r"-?\d+(\.\d)?", found)


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.kind)
def test_no_colour_is_fixed_in_a_drawing(plot: Plot) -> None:
    markup = str(svg(plot, lambda _: None))
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b|rgb\(|style=", markup.replace("&#39;", "").replace("&#34;", ""))


@pytest.mark.parametrize("series", [1, 2, 6])
def test_long_lines_are_thinned_to_400_points_and_keep_their_ends(series: int) -> None:
    x = tuple(float(i) for i in range(20_000))
    lines = tuple(
        LineSeries(label=f"s{k}", x=x, y=tuple(float((i * (k + 3)) % 97) for i in range(20_000))) for k in range(series)
    )
    plot = LinePlot(title="t", series=lines)
    paths = [element.get("d", "") for element in drawn(plot).iter("path")]
    assert sum(path.count("L") + 1 for path in paths) <= MOST_POINTS
    assert len({path.split("L")[0].split()[0] for path in paths}) == 1  # all begin at the same abscissa


@given(st.lists(st.tuples(st.floats(0, 720), st.floats(0, 400)), min_size=1, max_size=300), st.integers(3, 50))
def test_thinning_keeps_the_first_point_and_invents_none(points: list[tuple[float, float]], most: int) -> None:
    kept = thin(points, most)
    assert len(kept) <= most
    assert kept[0] == points[0]
    assert set(kept) <= set(points)


def test_a_straight_walk_is_thinned_evenly() -> None:
    kept = thin([(float(i), 0.0) for i in range(1001)], 11)
    steps = [b[0] - a[0] for a, b in pairwise(kept)]
    assert kept[-1] == (1000.0, 0.0)
    assert max(steps) <= 1.2 * 1000 / 9


@given(st.lists(finite, min_size=1, max_size=20))
def test_a_scale_holds_every_value_between_its_ends(values: list[float]) -> None:
    scale = around(values, 50, 650)
    assert all(50 <= scale(value) <= 650.0001 for value in values)
    assert len(scale.ticks()) <= 12


@given(finite, finite)
def test_a_scale_keeps_the_order(a: float, b: float) -> None:
    scale = around([a, b], 0, 100)
    assert (scale(a) <= scale(b)) or a > b


def test_a_logarithmic_scale_gives_equal_ratios_equal_room() -> None:
    scale = Scale(1e-4, 1.0, 0.0, 400.0, logarithmic=True)
    assert [round(scale(value)) for value in (1e-4, 1e-3, 1e-2, 1e-1, 1)] == [0, 100, 200, 300, 400]
    assert scale(0.0) == 0.0  # a rate of zero stands at the left edge


def test_both_axes_of_a_characteristic_are_logarithmic() -> None:
    rates = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    points = tuple(OperatingPoint(label=f"{rate:g}", fpr=rate, tpr=rate) for rate in rates)
    plot = RocPlot(title="Chance", series=(RocSeries(label="chance", fpr=rates, tpr=rates),), points=points)
    dots = [element for element in drawn(plot).iter() if element.tag == "circle"]
    for coordinate in ("cx", "cy"):
        steps = [float(b.attrib[coordinate]) - float(a.attrib[coordinate]) for a, b in pairwise(dots)]
        assert max(steps) - min(steps) <= 0.2
    assert len(dots) == len(rates)


@given(st.lists(st.tuples(st.text(max_size=30), finite, finite, finite), min_size=1, max_size=8))
def test_any_intervals_can_be_drawn_and_every_string_is_text(rows: list[tuple[str, float, float, float]]) -> None:
    def printable(text: str) -> str:
        return "".join(letter for letter in text if letter.isprintable())

    plot = IntervalsPlot(
        title="</svg><script>",
        rows=tuple(IntervalRow(label=printable(t), value=v, low=min(a, b), high=max(a, b)) for t, v, a, b in rows),
    )
    root = drawn(plot)
    assert {element.tag for element in root.iter()} <= {"svg", "title", "desc", "line", "circle", "text", "path"}
    assert root[0].text == visible("</svg><script>")


def test_images_are_embedded_only_where_they_may_be_seen() -> None:
    plot = images_plot(SHELVES)
    shown = drawn(plot)
    images = [element.get("href", "") for element in shown.iter("image")]
    assert len(images) == 29  # ten originals, nine recovered, ten controls
    row = plot.rows[0]
    assert images[0] == "data:image/png;base64," + base64.b64encode(SHELVES.contents[row.true]).decode()
    assert "withheld" not in [element.text for element in shown.iter("text")]
    hidden = ElementTree.fromstring(str(svg(plot, lambda _: None)))
    assert not list(hidden.iter("image"))
    assert [element.text for element in hidden.iter("text")].count("withheld") == 29


def test_what_is_no_png_is_not_embedded_as_one() -> None:
    plot = ImagesPlot(title="t", rows=(ImageRow(label="a", true="0" * 64),))
    assert "<image" not in svg(plot, lambda _: b"<svg onload=alert(1)>")


@pytest.mark.parametrize("plot", EVERY, ids=lambda plot: plot.kind)
def test_the_table_behind_a_plot_is_rectangular_and_bounded(plot: Plot) -> None:
    table = table_of(plot)
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert 0 < len(table.rows) <= TABLE_ROWS + len(getattr(plot, "points", ()))


def test_a_thinned_table_says_so() -> None:
    assert "(29 of 803 rows)" in table_of(roc_plot()).caption
    assert "rows)" not in table_of(line_plot()).caption
