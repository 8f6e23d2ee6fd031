"""Light beside the columns of a faint image: atoms whose columns were not found are not ruled out."""

from types import SimpleNamespace

import numpy as np

import stemcount
import tomo
from stemcount.cli.all_views.rim import lines_beside, with_rim

COPPER = tomo.fcc("Cu", a=3.61)
AXIS = (0, 0, 1)
V1 = 0.01  # A^2, of one atom
SHIFT = 8.0  # A


def looked_at(dose):
    """A view of which no column of one atom was found, the same with its rim, and the atoms on its lines."""
    truth, atoms = tomo.phantoms.indexed_columns(
        tomo.phantoms.random_particle(300, "rough", seed=4), AXIS, COPPER
    )
    x, y = truth.x - truth.x.min() + SHIFT, truth.y - truth.y.min() + SHIFT
    shape = tuple(int((side.max() + SHIFT) / 0.2) for side in (y, x))
    image = stemcount.simulate_columns(
        x, y, V1 * atoms, shape=shape, pixel_size=0.2, width=0.5, background=0.002, dose=dose, seed=1
    )
    found = atoms > 1
    fit = stemcount.fit_columns(image, np.column_stack([x, y])[found], pull=0.01, widths="common")
    k = np.arange(atoms.max() + 3)
    reading = stemcount.Hypothesis(
        V1 * k, np.full(len(k), 0.1 * V1), np.ones(len(k)), 0, int(atoms.max()), 0.0
    )
    counts = stemcount.counts_from_hypothesis(fit.cross_section, reading, cross_section_std=fit.noise_std)
    indexing = tomo.index_columns(fit.x, fit.y, AXIS, COPPER)
    registration = tomo.register_views([indexing], [counts.count])
    view = tomo.make_views(registration, log_likelihoods=[counts.log_likelihood])[0]
    joint = SimpleNamespace(registration=registration, fits=(fit,), counts=(counts,))
    shown = with_rim(view, joint, 0, image, {})
    sites = registration.candidates[0].placed(0, indexing.zone, lines_beside(indexing))
    places = indexing.line_positions(indexing.zone.lines(shown.column_sites))
    distance = np.hypot(places[:, :1] - x, places[:, 1:] - y)
    assert len(sites) == shown.n_columns - view.n_columns or shown is view
    return view, shown, np.where(distance.min(axis=1) < 0.5, atoms[distance.argmin(axis=1)], 0)


def test_light_beside_the_columns_becomes_soft_counts():
    view, shown, atoms = looked_at(dose=4e3)
    assert shown.found.sum() == view.n_columns
    np.testing.assert_array_equal(shown.column_sites[shown.found], view.column_sites)
    beside = ~shown.found
    one, none = beside & (atoms == 1), beside & (atoms == 0)
    assert one.sum() >= 4
    assert none.sum() >= 20
    gain = shown.log_likelihood[:, 1] - shown.log_likelihood[:, 0]
    assert gain[one].mean() > 3
    assert gain[none].mean() < -3
    assert np.mean(gain[none] > 0) < 0.1


def test_a_view_whose_single_atoms_are_bright_stays_as_it_is():
    view, shown, _ = looked_at(dose=1e6)
    assert shown is view


def test_lines_beside_are_next_to_columns_and_free():
    x, y = (1.805 * grid.ravel() for grid in np.meshgrid(np.arange(5), np.arange(4)))
    lines = lines_beside(tomo.index_columns(x, y, AXIS, COPPER))
    held = tomo.index_columns(x, y, AXIS, COPPER).lines
    assert len(lines) == 2 * (5 + 4) + 2  # along the sides, and two corners of the net's six steps
    assert not {tuple(line) for line in lines.tolist()} & {tuple(line) for line in held.tolist()}
