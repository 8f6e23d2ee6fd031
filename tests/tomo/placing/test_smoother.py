"""Two views whose counts a ragged crystal holds: what a much smoother one would need is told."""

import numpy as np
import pytest

import tomo
from tomo.placing import registration as registration_module
from tomo.placing import smoother

GOLD = tomo.fcc("Au", a=4.08)


def told(sites, axes, said, mirrored=(), weight=0.4):
    """The warning about images of a crystal that are said to be along other axes, or are mirrored."""
    shown = [tomo.phantoms.indexed_columns(sites, axis, GOLD) for axis in axes]
    indexings = [
        tomo.index_columns(-seen.x if n in mirrored else seen.x, seen.y, axis, GOLD, name=f"image{n}")
        for n, ((seen, _), axis) in enumerate(zip(shown, said, strict=True))
    ]
    counts = [atoms for _, atoms in shown]
    registration = tomo.register_views(indexings, counts)
    views = tomo.make_views(registration, counts=counts)
    found = tomo.smoother_crystal(registration, counts, views, weight, workers=1)
    return () if found is None else (found.warning,)


@pytest.mark.parametrize("axes", [((1, 0, 0), (1, 1, 0)), ((1, 1, 1), (1, 1, 0))])
def test_one_mirrored_image_is_told_and_right_ones_are_not(axes):
    sites = tomo.phantoms.random_particle(300, "stepped", seed=3)
    assert told(sites, axes, axes) == ()
    (sentence,) = told(sites, axes, axes, mirrored=(1,))
    assert "one of them is mirrored" in sentence


def test_another_axis_of_the_family_is_told():
    sites = tomo.phantoms.random_particle(450, "rough", seed=1)
    (sentence,) = told(sites, ((1, 1, 1), (1, -1, 0)), ((1, 1, 1), (1, 1, 0)))
    axis = sentence.split("image1 is along [")[1].split("]")[0]
    assert np.dot([int(c) for c in axis.split()], (1, 1, 1)) == 0


@pytest.mark.parametrize("mirrored", [(1,), (0, 1)])
def test_views_whose_mirror_is_a_symmetry_pass(mirrored):
    sites = tomo.phantoms.random_particle(300, "stepped", seed=3)
    assert told(sites, ((0, 0, 1), (1, 1, 0)), ((0, 0, 1), (1, 1, 0)), mirrored) == ()


def test_a_pair_of_axes_along_which_there_is_no_crystal_is_not_smoother():
    """Counts that nothing holds were found to be worth nothing there, and an empty crystal has no edges."""
    sites = tomo.phantoms.random_particle(200, "faceted", seed=2)
    axes = (1, -1, 0), (-1, 2, -1)
    assert told(sites, axes, axes, weight=1.6) == ()


def test_the_energy_of_a_crystal_is_that_of_its_run_with_soft_counts_that_it_contradicts(monkeypatch):
    """Exponents of the counts, far from 1 here, count once."""
    sites = tomo.phantoms.random_particle(250, "rough", seed=900)
    axes, rng = ((1, 0, 0), (1, 1, 0)), np.random.default_rng(0)
    shown = [tomo.phantoms.indexed_columns(sites, axis, GOLD) for axis in axes]
    indexings = [tomo.index_columns(-c.x if n else c.x, c.y, axes[n], GOLD) for n, (c, _) in enumerate(shown)]
    counts = [atoms for _, atoms in shown]
    ends = [atoms + rng.normal(0, 0.3, len(atoms)) for atoms in counts]
    likelihoods = [-((v[:, None] - np.arange(v.max() + 4)) ** 2) / 0.18 for v in ends]
    registration = tomo.register_views(indexings, counts)
    views = tomo.make_views(registration, log_likelihoods=likelihoods)
    lines = registration_module.counted_lines(indexings, counts, None)
    how = lines, registration.candidates[0], views, np.inf, {"edge_weight": 0.6, "seed": 0, "workers": 1}
    runs = []
    reconstruct = smoother.reconstruct
    monkeypatch.setattr(
        smoother, "reconstruct", lambda *a, **k: runs.append(reconstruct(*a, **k)) or runs[-1]
    )
    found = smoother._crystal_of(*how)
    assert found.counts.scale.min() < 0.8
    assert found.energy == pytest.approx(np.min(runs[0].diagnostics["voted_energy"]))
    assert smoother._crystal_of(*how, found.counts).energy == pytest.approx(found.energy)


def test_a_cavity_that_is_allowed_is_not_filled_to_judge_a_crystal(monkeypatch):
    """Filled, the crystal lost the counts of its own images, and another pair of axes seemed to hold them."""
    sites = tomo.phantoms.random_particle(150, "rough", seed=2)
    shown = [tomo.phantoms.indexed_columns(sites, axis, GOLD) for axis in ((1, 0, 0), (1, 1, 0))]
    indexings, counts = zip(*shown, strict=True)
    registration = tomo.register_views(indexings, counts)
    views = tomo.make_views(registration, counts=counts)
    allowed = []
    reconstruct = smoother.reconstruct
    monkeypatch.setattr(
        smoother, "reconstruct", lambda *a, **k: allowed.append(k["vacancies"]) or reconstruct(*a, **k)
    )
    assert smoother.smoother_crystal(registration, counts, views, 0.4, vacancies=True) is None
    assert allowed
    assert all(allowed)
