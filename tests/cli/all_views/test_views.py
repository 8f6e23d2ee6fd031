"""A rod seen from its end and from its side: the end-on view alone is read far too thin."""

from dataclasses import dataclass

import numpy as np
import pytest

import stemcount
from stemcount.cli.all_views import view_readings, views
from stemcount.cli.one_image.field_of_view import columns_cut, seen_field
from tomo import fcc, index_columns, zone_geometry
from tomo.phantoms import column_counts, random_particle

GOLD = fcc("Au", a=4.08)


@dataclass
class Fit:
    cross_section: np.ndarray
    noise_std: None = None
    width: float = 0.5

    @property
    def flags(self):
        return np.zeros(len(self.cross_section), int)


TURNED = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)  # rows of columns along the diagonals of the image


def shown(sites, axis, turn=None):
    """Places x, y [A] and atoms of a particle's columns."""
    columns, atoms = column_counts(sites, axis)
    zone = zone_geometry(axis)
    places = zone.positions(zone.lines(columns), GOLD.a)
    return *(places if turn is None else places @ turn.T).T, atoms


def rod(radius, length):
    """Sites of a rod along z with rounded, uneven ends."""
    across, along = int(radius) + 1, length // 2 + 1
    axes = np.arange(-across, across + 1), np.arange(-across, across + 1), np.arange(-along, along + 1)
    sites = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    sites = sites[sites.sum(axis=1) % 2 == 0]
    r = np.hypot(sites[:, 0], 1.1 * sites[:, 1]) / radius
    half = length / 2 - 0.4 * radius * r**3 - 1.5 * np.sin(sites[:, 0] / 3)
    return sites[(r < 1) & (np.abs(sites[:, 2]) < half)]


def test_a_rod_seen_from_its_end_is_read_as_long_as_its_side_says(monkeypatch):
    monkeypatch.setattr(views, "field_that_cuts", lambda *_: None)
    monkeypatch.setattr(views, "field_that_touches", lambda *_: None)
    sites, rng = rod(6, 110), np.random.default_rng(4)
    indexings, fits, true = [], [], []
    for axis in [(0, 0, 1), (1, 1, 0)]:
        x, y, atoms = shown(sites, axis)
        indexings.append(index_columns(x, y, axis, GOLD))
        fits.append(Fit(0.04 * atoms**0.93 + rng.normal(0, 0.006, len(atoms))))
        true.append(atoms)
    alone = [stemcount.count_atoms(fit.cross_section) for fit in fits]
    assert alone[0].count.sum() < 0.5 * len(sites)
    joint = views.read_together(fits, alone, indexings, [None, None])
    assert joint.registration.verdict == "consistent"
    for counts in joint.counts:
        assert counts.count.sum() == pytest.approx(len(sites), rel=0.06)
    assert np.mean(joint.counts[1].count == true[1]) > 0.9


def test_views_that_reach_each_other_get_no_further_readings():
    rng = np.random.default_rng(0)
    fits = [Fit(0.1 * rng.integers(1, 6, 120) + rng.normal(0, 0.01, 120)) for _ in range(2)]
    alone = [stemcount.count_atoms(fit.cross_section) for fit in fits]
    options = [view_readings.options_of(*item) for item in zip(fits, alone, strict=True)]
    found = view_readings.with_thick_readings(fits, alone, options, [None, None])
    assert [len(own) for own in found] == [len(own) for own in options]


@pytest.mark.parametrize("rim", ["thin", "thick"])
def test_a_particle_that_fills_its_images_is_read_although_it_may_be_cut(rim, monkeypatch):
    """Every row of columns ends next to an edge, so that no plane is sure to be seen whole, even where the
    particle is as thick there as where it is cut."""
    if rim == "thick":
        perhaps = views.field_that_cuts
        monkeypatch.setattr(views, "field_that_touches", lambda _, *item: perhaps(*item, 1.0))
        monkeypatch.setattr(views, "field_that_cuts", lambda *item: perhaps(*item[:2], 1.0))
    sites = random_particle(560, "rough", seed=3804)
    rng = np.random.default_rng(1)
    indexings, fits, extents = [], [], []
    for axis in [(0, 0, 1), (1, 1, 0)]:
        x, y, atoms = shown(sites, axis, TURNED)
        indexings.append(index_columns(x, y, axis, GOLD))
        fits.append(Fit(0.04 * atoms**0.93 + rng.normal(0, 0.004, len(atoms))))
        extents.append((x.min() - 1, x.max() + 1, y.min() - 1, y.max() + 1))
    alone = [stemcount.count_atoms(fit.cross_section) for fit in fits]
    joint = views.read_together(fits, alone, indexings, extents)
    assert joint.fields == ((None, None) if rim == "thin" else tuple(extents))
    assert joint.beyond == tuple(extents)  # whatever is taken, nobody knows what lies there
    assert joint.registration.verdict == "consistent"
    for counts in joint.counts:
        assert counts.count.sum() == pytest.approx(len(sites), rel=0.01)


def test_a_thin_rim_at_the_edge_is_the_particles_own_and_a_thick_one_is_cut():
    sites = random_particle(560, "rough", seed=3804)
    x, y, atoms = shown(sites, (0, 0, 1))
    indexing, fit = index_columns(x, y, (0, 0, 1), GOLD), Fit(0.04 * atoms**0.93)
    touching = (x.min() - 0.3, x.max() + 0.3, y.min() - 5, y.max() + 5)
    assert views.field_that_cuts(indexing, touching, views.CUT) == touching
    assert views.field_that_touches(fit, indexing, touching) is None
    through = (x.min() + 0.1, x.max() + 5, y.min() - 5, y.max() + 5)  # the rim itself is cut
    assert columns_cut(fit, indexing, touching) == 0
    assert columns_cut(fit, indexing, through) >= 1
    assert views.field_that_touches(fit, indexing, through) == through
    half = x < np.median(x)
    indexing, fit = index_columns(x[half], y[half], (0, 0, 1), GOLD), Fit(fit.cross_section[half])
    halved = (x.min() - 5, x[half].max() + 0.3, y.min() - 5, y.max() + 5)
    assert views.field_that_touches(fit, indexing, halved) == halved


def test_the_field_ends_where_an_image_was_filled_in():
    valid = np.ones((10, 20), bool)
    valid[:, 15:] = valid[:2] = False
    image = stemcount.ZoneAxisImage(np.zeros((10, 20)), 0.5, offset=(1.0, 2.0), valid=valid)
    assert seen_field(image) == (0.75, 8.25, 2.75, 6.75)
    assert seen_field(stemcount.ZoneAxisImage(np.zeros((10, 20)), 0.5)) == (-0.25, 9.75, -0.25, 4.75)


def test_an_image_whose_edge_runs_through_thin_columns_does_not_show_all_of_the_particle():
    """Although the views would agree, and so few of their planes are whole."""
    sites = random_particle(560, "rough", seed=3804)
    rng = np.random.default_rng(1)
    indexings, fits, extents = [], [], []
    for axis, share in [((0, 0, 1), 1.0), ((1, 1, 0), 0.92)]:
        x, y, atoms = shown(sites, axis, TURNED)
        edge = np.sort(x)[round(share * len(x)) - 1] + (0.1 if share < 1 else 5.0)
        within = x < edge
        indexings.append(index_columns(x[within], y[within], axis, GOLD))
        fits.append(Fit(0.04 * atoms[within] ** 0.93 + rng.normal(0, 0.004, within.sum())))
        extents.append((x.min() - 5, edge, y.min() - 5, y.max() + 5))
    alone = [stemcount.count_atoms(fit.cross_section) for fit in fits]
    joint = views.read_together(fits, alone, indexings, extents)
    assert joint.fields == (None, extents[1])
