"""Which of two sets of columns is taken, those found one by one or those placed on a lattice as a whole."""

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.one_image import faint
from stemcount.cli.one_image.faint import _explains_more, find_and_fit
from stemcount.images.image import ZoneAxisImage

PIXELS = 400
IMAGE = ZoneAxisImage(np.random.default_rng(0).random((20, 20)), 0.2)
GOLD = tomo.fcc("Au", 4.08)


class Columns:
    """A fit of so many columns that leaves a sum of squares."""

    def __init__(self, number, residual_sum_of_squares=1.0):
        self.flags = np.zeros(number, int)
        self.residual_sum_of_squares = residual_sum_of_squares

    def __len__(self):
        return len(self.flags)


def log_units(gain, found=10, placed=10, places=True):
    """Whether columns found one by one are taken where they explain the pixels so much better."""
    ratio = np.exp(gain / PIXELS)
    return _explains_more(Columns(found), Columns(placed, ratio), IMAGE, places)


@pytest.mark.parametrize(
    ("places", "penalty"),
    [
        (True, 3 * 10 - 3 * 8),  # the places of both are fitted
        (False, 3 * 10 - (8 + 6)),  # a lattice gives those of the others by six numbers
    ],
)
def test_columns_found_one_by_one_give_way_to_strong_evidence(places, penalty):
    """Six log units are strong (Kass and Raftery, 1995)."""
    edge = penalty * np.log(PIXELS) - 6
    assert log_units(edge + 0.1, 10, 8, places)
    assert not log_units(edge - 0.1, 10, 8, places)


@pytest.mark.parametrize(
    ("cells", "sought", "places"), [(1.45, False, None), (1.55, True, False), (None, True, True)]
)
def test_a_lattice_half_as_coarse_again_as_that_of_the_zone_axis_is_sought_anew(
    cells, sought, places, monkeypatch
):
    """Then several columns stand in the place of each that was found; and the lattice gives their places."""
    found, placed, asked = Columns(10), Columns(20), []

    def never(*_, places):
        asked.append(places)
        return False

    cell = 4.08**2 / 4  # of gold along [100]
    monkeypatch.setattr(faint, "find_and_fit_columns", lambda *_: found)
    monkeypatch.setattr(faint, "_cell", lambda _: None if cells is None else cells * cell)
    monkeypatch.setattr(faint, "_fit_by_fourier", lambda *_: placed)
    monkeypatch.setattr(faint, "_explains_more", never)
    taken, by_fourier = find_and_fit(IMAGE, (1, 0, 0), {}, GOLD)
    assert taken is (placed if sought else found)
    assert by_fourier == sought
    assert asked == ([places] if sought else [])


@pytest.mark.parametrize(("all_say", "refits"), [("constant", []), ("plane", ["constant"])])
def test_the_background_is_that_beside_the_brighter_half(all_say, refits, monkeypatch):
    """A slope that faint points seem to show is not kept from the first fit."""
    seeds, asked = np.arange(20.0).reshape(10, 2), []

    class Fit(Columns):
        cross_section, cross_section_std = 5.0 + np.arange(10.0), np.ones(10)
        background = np.zeros(1 if all_say == "constant" else 3)

    def fitted(image, places, background=None):
        asked.append(background)
        return Fit(len(places))

    monkeypatch.setattr(stemcount, "fourier_lattice", lambda *_: None)
    monkeypatch.setattr(stemcount, "lattice_seeds", lambda *_: seeds)
    said = {len(seeds): all_say, 5: "constant"}
    monkeypatch.setattr(
        faint, "background_kind", lambda _, of: ("smooth" if (of[-1] < 18).any() else said[len(of)], True)
    )
    monkeypatch.setattr(stemcount, "fit_columns", fitted)
    for wanted in ({}, {"background": "automatic"}):
        faint._fit_by_fourier(IMAGE, wanted, np.eye(2))
    assert asked == [None, *refits, "automatic", *refits]
