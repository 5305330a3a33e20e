"""Text can be read on its ground, in the light and in the dark: each pair that the style sheet uses has a contrast of 4.5 or more."""

import re
from pathlib import Path

import pytest

import cli.web

STYLE = (Path(cli.web.__file__).parent / "static" / "style.css").read_text()
LIGHT, DARK = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL))
PAIRS = [
    *((text, ground) for text in ("text", "muted", "accent", "bad", "warn") for ground in ("ground", "surface", "hover")),
    *((name, f"{name}-ground") for name in ("ok", "warn", "bad", "info", "held")),
    *(("text", f"{name}-ground") for name in ("ok", "warn", "bad", "grey")),
    ("muted", "grey-ground"),
    ("on-accent", "accent"),
    ("surface", "bad"),
    ("held", "surface"),
]


def luminance(colour: str) -> float:
    """By WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [pytest.param(LIGHT, id="light"), pytest.param(DARK, id="dark")])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read_on_its_ground(palette, text, ground):
    assert contrast(palette[text], palette[ground]) >= 4.5


def test_the_contrast_of_black_and_white_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") < 4.5


def test_what_has_the_focus_is_seen_and_movement_is_asked_for():
    assert ":focus-visible { outline: 3px solid" in STYLE
    assert "outline: none" not in STYLE.replace("main:focus { outline: none; }", "")
    assert STYLE.count("animation") == 1
    assert "prefers-reduced-motion: no-preference" in STYLE
