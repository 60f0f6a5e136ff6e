"""
The picture at the top of the README shows the results that are published.
"""

import re
from xml.etree import ElementTree as ET

import pytest

from benchmarks.picture import FOLDER, picture
from benchmarks.results import Results


def test_the_published_picture_shows_the_published_results() -> None:
    drawn = picture(Results.load(FOLDER / "results.json"))
    published = (FOLDER / "picture.svg").read_text()
    assert drawn == published, "draw it again: python -m benchmarks.picture"


def test_the_readme_names_the_figure_that_the_picture_shows() -> None:
    readme = (FOLDER.parents[1] / "README.rst").read_text()
    [rate] = re.findall(r"one core makes ([\d,]+) deliveries", readme)
    assert rate in (FOLDER / "picture.svg").read_text()


def test_it_is_well_formed_and_has_a_longer_bar_for_a_higher_rate() -> None:
    root = ET.fromstring(picture(Results.load(FOLDER / "results.json")))  # noqa: S314 - our own
    name = "{http://www.w3.org/2000/svg}"
    bars = [float(bar.attrib["width"]) for bar in root.findall(f"{name}rect")[1:]]
    rates = [
        int((text.text or "").replace(",", ""))
        for text in root.findall(f"{name}text")
        if re.fullmatch(r"[\d,]+", text.text or "")
    ]
    assert len(bars) == len(rates) == 10
    ordered = [bar for _, bar in sorted(zip(rates, bars, strict=True))]
    assert ordered == sorted(bars)


def test_a_missing_figure_is_an_error() -> None:
    with pytest.raises(ValueError, match="no fanout-1000-eight for twistream"):
        picture(Results())
