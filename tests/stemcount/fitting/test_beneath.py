"""A plane beneath columns that are known, false ones among them, or that the edges of the image cut."""

from __future__ import annotations

import numpy as np
import pytest

from stemcount import fit_columns
from stemcount.fitting.beneath import plane_beneath, slope_left_out

from .test_slope import HEIGHT, crystal, random_atoms, wedge


def inside(image, place):
    return (place > 0).all(axis=1) & (place < image.extent[1]).all(axis=1)


@pytest.mark.parametrize("volume", [random_atoms, wedge])
def test_false_columns_on_the_slope_hardly_change_it(volume):
    image, place, _ = crystal(volume, slope=(0.7, 0.0))
    false = np.random.default_rng(3).uniform(1.0, image.extent[1] - 1.0, (60, 2))
    plane = plane_beneath(image, np.concatenate([place, false]))
    assert np.ptp(plane) == pytest.approx(0.7 * HEIGHT, rel=0.35)
    assert plane[40, -1] > plane[40, 0]


def test_no_plane_where_the_background_is_even_or_shows_beside_the_columns():
    image, place, _ = crystal(wedge, tail=(0.2, 4.0))
    assert plane_beneath(image, place) is None
    image, place, _ = crystal(random_atoms, margin=8.0, slope=(0.7, 0.0))
    assert plane_beneath(image, place) is None


# along the wedge it is not told from the light of columns beyond the edge
@pytest.mark.parametrize(("volume", "slope"), [(random_atoms, (1.0, 0.0)), (wedge, (0.0, 1.0))])
@pytest.mark.parametrize("there", [False, True])
def test_a_slope_is_told_that_is_left_out_where_an_edge_cuts_the_crystal(volume, slope, there):
    image, place, _ = crystal(volume, margin=-1.0, slope=slope if there else (0.0, 0.0))
    place = place[inside(image, place)]
    fit = fit_columns(image, place)
    assert len(fit.background) == 1
    assert slope_left_out(image, fit) == there
    assert not slope_left_out(image, fit_columns(image, place, background="plane"))
