"""Contrast of the page, computed from its own style sheet (WCAG 2.2, success criteria 1.4.3 and 1.4.11)."""

import re

import pytest

from reports.render_html import TEMPLATES

STYLE = (TEMPLATES / "report.css").read_text(encoding="utf-8")
STATUSES = ("pass", "fail", "inconclusive", "skipped", "error")
TEXT = [
    *((ink, surface) for ink in ("ink", "muted", "accent") for surface in ("paper", "panel")),
    *((status, "paper") for status in STATUSES),
    *((status, f"{status}-tint") for status in STATUSES),
    *(("ink", f"{status}-tint") for status in STATUSES),
    ("paper", "accent"),
]
"""Letters, and what they stand on."""
GRAPHICS = [*((f"s{number}", "paper") for number in range(1, 7)), ("fail", "paper"), ("muted", "paper")]
"""Lines of plots, limits and controls."""


def variables(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-fA-F]{6})", block))


def schemes() -> dict[str, dict[str, str]]:
    light = variables(STYLE[: STYLE.index("@media")])
    dark = STYLE[STYLE.index("@media screen and (prefers-color-scheme: dark)") :]
    printed = STYLE[STYLE.index("@media print") :]
    return {
        "light": light,
        "dark": light | variables(dark[: dark.index("\n}\n")]),
        "print": light | variables(printed[: printed.index("body {")]),
    }


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2, definition)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_measure_knows_its_known_answers() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)  # the grey that just fails
    assert contrast("#767676", "#ffffff") >= 4.5  # the grey that just passes


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize(("ink", "surface"), TEXT)
def test_letters_stand_out(scheme: str, ink: str, surface: str) -> None:
    colours = schemes()[scheme]
    assert contrast(colours[ink], colours[surface]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize(("mark", "surface"), GRAPHICS)
def test_marks_of_plots_stand_out(scheme: str, mark: str, surface: str) -> None:
    colours = schemes()[scheme]
    assert contrast(colours[mark], colours[surface]) >= 3


def test_the_dark_scheme_redefines_every_colour_and_print_is_light() -> None:
    light, dark, printed = schemes().values()
    assert light.keys() == dark.keys()
    assert not [name for name in light if light[name] == dark[name]]
    assert luminance(printed["paper"]) == 1
    assert "@media screen and (prefers-color-scheme: dark)" in STYLE  # print never takes the dark colours
    assert STYLE.count("prefers-color-scheme") == 1


def test_every_colour_of_the_page_is_a_variable() -> None:
    rules = STYLE[STYLE.index("\n* {") : STYLE.index("@page")]
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rules)
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", STYLE))
    assert used <= set(re.findall(r"--([a-z0-9-]+):", STYLE))


def test_print_opens_what_is_closed_and_repeats_heads() -> None:
    printed = STYLE[STYLE.index("@media print") :]
    assert "details::details-content" in printed
    assert "thead { display: table-header-group; }" in printed
    assert re.search(r"h2, h3, h4, [^{]*\{ break-after: avoid", printed)
