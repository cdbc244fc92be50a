"""The pictures of a report hold names and labels as they were written, whatever letters these have."""

from xml.etree import ElementTree

import pytest

from fallline.report.figures import figure
from fallline.report.page import Grid

NUMBERS = Grid("numbers", ["x"], [["1"]])
NAME = "漢字 <script> $0 - $25k & $x_$ \x1b[31m"


def texts(draw):
    image = figure(draw, "alt", "caption", NUMBERS).image
    return ["".join(each.itertext()) for each in ElementTree.fromstring(image).iter("{http://www.w3.org/2000/svg}text")]


def test_names_are_written_as_they_are():
    def draw(paper):
        ax = paper.subplots()
        ax.barh([0, 1], [1, 2])
        ax.set_yticks([0, 1], [NAME, "$5 to $9"])
        ax.set_title(NAME)

    found = texts(draw)
    assert found.count(NAME.replace("\x1b", "?")) == 2
    assert "$5 to $9" in found


def test_the_powers_of_a_logarithmic_axis_are_powers():
    def draw(paper):
        ax = paper.subplots()
        ax.plot([1, 1000], [1, 1000])
        ax.set_yscale("log")

    assert not any("mathdefault" in words for words in texts(draw))


@pytest.mark.parametrize("pixels", [False, True])
def test_a_name_that_is_no_mathematics_is_drawn(pixels):
    assert figure(lambda paper: paper.subplots().set_title(r"$\frac$"), "alt", "caption", NUMBERS, pixels=pixels).image
