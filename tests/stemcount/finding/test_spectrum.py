"""A lattice that nobody has named is found in the power spectrum; what is smooth has none."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from stemcount import simulate_columns
from stemcount.finding.spectrum import lattice_of_points, lattices_in_spectrum, reduced


@pytest.mark.parametrize("seed", range(3))
def test_crowded_lattice(seed):
    i, j = (v.ravel() for v in np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)))
    true = np.column_stack([1.5 * (i + 0.5 * j), 1.299 * j])
    true = true[np.hypot(*true.T) < 9.0] + 15.0
    image = simulate_columns(
        *true.T, np.full(len(true), 0.1), shape=(150, 160), pixel_size=0.2, width=0.6, dose=5e4, seed=seed
    )
    variance = image.data / (5e4 * 0.04)
    modulation = image.data - ndimage.gaussian_filter(image.data, 7.0)
    lattice = lattices_in_spectrum(modulation, float(variance.sum()), 5.0)[0]
    index = np.linalg.solve(lattice.basis, (true / 0.2 - lattice.origin).T)
    assert abs(np.linalg.det(lattice.basis)) * 0.04 == pytest.approx(1.5 * 1.299, rel=0.05)
    assert np.hypot(*(lattice.basis @ (index - np.rint(index)))).max() * 0.2 < 0.5


@pytest.mark.parametrize("radius", [25.0, 40.0, 55.0])
def test_disc(radius):
    y, x = np.mgrid[-75:75, -75:75]
    level = 0.01 + 0.2 * ndimage.gaussian_filter((np.hypot(x, y) < radius).astype(float), 2.0)
    data = np.random.default_rng(1).poisson(level * 400) / 400
    modulation = data - ndimage.gaussian_filter(data, 7.0)
    lattices = lattices_in_spectrum(modulation, float(level.sum() / 400), 5.0)
    assert all(lattice.power < 12 for lattice in lattices)


def test_the_lattice_of_most_points():
    """Every third row is stretched, as where a column is missing in it; all points scatter."""
    rng = np.random.default_rng(1)
    true = np.concatenate(
        [np.column_stack([1.2 * np.arange(14) + 0.6 * (k % 2), np.full(14, 2.1 * k)]) for k in range(12)]
    )
    true[:, 0] += 0.1 * true[:, 1]
    points = true + rng.normal(0, 0.1, true.shape)
    stretched = np.rint(true[:, 1] / 2.1) % 3 == 1
    points[stretched, 0] += (points[stretched, 0] - points[stretched, 0].min()) * 0.07
    about = np.array([[1.22, 0.0], [-0.40, 2.1], [0.82, 2.1]])
    lattice = lattice_of_points(points, np.stack([about, -about], axis=1).reshape(-1, 2))
    index = np.linalg.solve(lattice.basis, (true - lattice.origin).T)
    assert np.hypot(*(lattice.basis @ (index - np.rint(index)))).max() < 0.2


def test_shortest_basis():
    basis = np.array([[2.0, 13.0], [0.5, 5.0]])
    short = reduced(basis)
    assert abs(np.linalg.det(short)) == pytest.approx(abs(np.linalg.det(basis)))
    lengths = np.linalg.norm(short, axis=0)
    sites = np.stack(np.meshgrid(range(-9, 10), range(-9, 10)), axis=-1).reshape(-1, 2) @ basis.T
    assert lengths[0] == pytest.approx(cKDTree(sites[np.any(sites != 0, axis=1)]).query([0.0, 0.0])[0])
