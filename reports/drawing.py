"""A small sheet to draw plots on: scales, ticks, marks, and SVG that holds no colour of its own.

Colours are CSS variables of the page and `currentColor`, so one drawing serves light, dark and print. Coordinates are
pixels at a width of 720, rounded to a tenth: equal plots give equal bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from reports.wording import number, visible

WIDTH = 720
"""Of every drawing, in pixels; the page scales it down where it must."""
LETTER = 6.6
"""Generous average width of a letter at 12 pixels."""
Point = tuple[float, float]
_LARGEST = 1e300


def coordinate(value: float) -> str:
    """Return a coordinate rounded to a tenth of a pixel, without a trailing zero."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def shortened(text: str, width: float) -> str:
    """Return `text` cut to about `width` pixels, with an ellipsis where something is missing."""
    most = max(int(width / LETTER), 2)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels, linearly or by logarithm."""

    low: float
    """Value at `start`."""
    high: float
    """Value at `end`; above `low`."""
    start: float
    """Pixel of `low`."""
    end: float
    """Pixel of `high`."""
    logarithmic: bool = False
    """Whether equal ratios take equal room; `low` is then above 0."""

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values outside are held at the ends."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return about five round values between the ends, or the powers of ten."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        values = [(first + i) * step for i in range(12)]
        return [float(f"{v:.12g}") for v in values if v <= self.high + step * 1e-9]


def around(values: Sequence[float], start: float, end: float) -> Scale:
    """Return a linear scale that holds `values`, with zero where it is near, and a little air.

    Values beyond 1e300 are drawn at the end of the scale: their differences are no numbers any more.
    """
    low, high = max(min(values), -_LARGEST), min(max(values), _LARGEST)
    low, high = min(low, _LARGEST), max(high, -_LARGEST)
    if 0 <= low <= high * 0.6 or high * 0.6 <= low <= 0:
        low = min(low, 0.0)
    if low >= 0 and 0.8 <= high <= 1:
        high = 1.0
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-280):
        room = abs(high) * 0.5 if abs(high) > 1e-280 else 1.0
        low, high = low - room, high + room
    air = (high - low) * 0.04
    return Scale(low if low == 0 else low - air, high if high == 1 else high + air, start, end)


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most `most` points of a path, at about equal steps of its length, the ends among them.

    Points are in pixels; those that fall on their predecessor are dropped first.
    """
    kept = [points[0]]
    for point in points[1:]:
        if max(abs(point[0] - kept[-1][0]), abs(point[1] - kept[-1][1])) >= 0.1:
            kept.append(point)
    if len(kept) <= most:
        return kept
    travelled = [0.0]
    for before, after in pairwise(kept):
        travelled.append(travelled[-1] + math.dist(before, after))
    chosen, due = [kept[0]], 0.0
    step = travelled[-1] / (most - 2)
    for point, length in zip(kept[1:-1], travelled[1:-1], strict=True):
        if length >= due + step:
            chosen.append(point)
            due = length
    return [*chosen, kept[-1]]


@dataclass
class Sheet:
    """Collects marks and becomes one SVG element."""

    height: float
    """In pixels."""
    width: float = WIDTH
    """In pixels."""
    marks: list[str] = field(default_factory=list)
    """SVG elements in the order of drawing."""

    def line(self, start: Point, end: Point, kind: str) -> None:
        """Draw a straight line of a CSS class."""
        (x1, y1), (x2, y2) = start, end
        ends = " ".join(f'{n}="{coordinate(v)}"' for n, v in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)))
        self.marks.append(f'<line class="{kind}" {ends}/>')

    def path(self, points: Sequence[Point], kind: str, *, closed: bool = False) -> None:
        """Draw a polyline of a CSS class."""
        steps = "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
        self.marks.append(f'<path class="{kind}" d="M{steps}{"Z" if closed else ""}"/>')

    def whisker(self, low: float, high: float, y: float) -> None:
        """Draw an interval between two abscissae, its ends crossed."""
        left, right, middle, top, bottom = (coordinate(v) for v in (low, high, y, y - 4, y + 4))
        steps = f"M{left} {middle}H{right}M{left} {top}V{bottom}M{right} {top}V{bottom}"
        self.marks.append(f'<path class="whisker" d="{steps}"/>')

    def box(self, at: Point, size: Point, kind: str) -> None:
        """Draw a rectangle of a CSS class, `at` its upper left corner."""
        (x, y), (width, height) = at, size
        sides = f'x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(width)}" height="{coordinate(height)}"'
        self.marks.append(f'<rect class="{kind}" {sides}/>')

    def dot(self, at: Point, radius: float, kind: str) -> None:
        """Draw a circle of a CSS class."""
        self.marks.append(
            f'<circle class="{kind}" cx="{coordinate(at[0])}" cy="{coordinate(at[1])}" r="{coordinate(radius)}"/>'
        )

    def half_dot(self, at: Point, radius: float, kind: str) -> None:
        """Draw the left half of a disc."""
        x, top, bottom, r = (coordinate(v) for v in (at[0], at[1] - radius, at[1] + radius, radius))
        self.marks.append(f'<path class="{kind}" d="M{x} {top}A{r} {r} 0 0 0 {x} {bottom}Z"/>')

    def diamond(self, at: Point, radius: float, kind: str) -> None:
        """Draw a square on its corner."""
        x, y = at
        self.path([(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)], kind, closed=True)

    def text(self, at: Point, words: str, kind: str = "", *, anchor: str = "start", turn: float = 0) -> None:
        """Write words (made safe here), `at` on their baseline; `anchor` start, middle or end; `turn` in degrees."""
        x, y = coordinate(at[0]), coordinate(at[1])
        marks = f' class="{kind}"' if kind else ""
        marks += f' text-anchor="{anchor}"' if anchor != "start" else ""
        marks += f' transform="rotate({coordinate(turn)} {x} {y})"' if turn else ""
        self.marks.append(f'<text x="{x}" y="{y}"{marks}>{escape(visible(words))}</text>')

    def picture(self, at: Point, size: float, address: str) -> None:
        """Place a square picture from a data address, its pixels kept sharp."""
        side = f'width="{coordinate(size)}" height="{coordinate(size)}"'
        self.marks.append(f'<image x="{coordinate(at[0])}" y="{coordinate(at[1])}" {side} href="{address}"/>')

    def horizontal_axis(self, scale: Scale, top: float, bottom: float, name: str) -> None:
        """Draw grid lines, tick labels and the name of an axis below a panel."""
        for value in scale.ticks():
            self.line((scale(value), top), (scale(value), bottom), "grid")
            self.text((scale(value), bottom + 16), number(value), "tick", anchor="middle")
        self.line((scale.start, bottom), (scale.end, bottom), "axis")
        self.text((scale.end, bottom + 34), shortened(name, abs(scale.end - scale.start)), "tick", anchor="end")

    def vertical_axis(self, scale: Scale, left: float, right: float, name: str) -> None:
        """Draw grid lines and tick labels left of a panel, and the name of the axis above it."""
        for value in scale.ticks():
            self.line((left, scale(value)), (right, scale(value)), "grid")
            self.text((left - 8, scale(value) + 4), number(value), "tick", anchor="end")
        self.text((left, min(scale.start, scale.end) - 12), shortened(name, right - left), "tick")

    def markup(self, kind: str, title: str, description: str) -> Markup:
        """Return the SVG element, named and described for those who do not see it."""
        head = f'<svg class="plot {kind}" role="img" viewBox="0 0 {coordinate(self.width)} {coordinate(self.height)}"'
        size = f' width="{coordinate(self.width)}" height="{coordinate(self.height)}">'
        words = f"<title>{escape(visible(title))}</title><desc>{escape(visible(description))}</desc>"
        return Markup(head + size + words + "".join(self.marks) + "</svg>")  # noqa: S704  every text went through escape
