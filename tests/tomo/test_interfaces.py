"""Core, profile and interfaces of particles that are known atom by atom."""

import numpy as np
import pytest

from tomo import InputError, core_shell, core_shell_particle, rock_salt, zinc_blende, zone_geometry
from tomo.observables import (
    FACET_NORMALS,
    ViewColumns,
    composition_profile,
    core_geometry,
    facets,
    interfaces,
    sublattice_shift,
)

A = 6.1
PBSE_CDSE = core_shell(rock_salt("Pb", "Se", A), zinc_blende("Cd", "Se", A), "Pb")
CDSE_CDS = core_shell(zinc_blende("Cd", "Se", A), zinc_blende("Cd", "S", A), "Se")
SHIFT = A / 4 * np.sqrt(2 / 3)  # a quarter of the lattice parameter along [001], along a {111} trace in [110]


def places(particle):
    """Atoms of every sublattice in one frame [a/2]."""
    return [s + np.array(k.offset) for s, k in zip(particle.sites, particle.crystal.sublattices, strict=True)]


def columns_of(particle, zone_axis, moved=None, noise=0.0, seed=0):
    """Columns of a particle whose atoms are displaced by `moved` [A], as a distorted image has them."""
    rng = np.random.default_rng(seed)
    rotation = zone_geometry(zone_axis).rotation
    atoms = places(particle)
    kind = np.repeat(np.arange(len(atoms)), [len(a) for a in atoms])
    ideal = np.concatenate(atoms)
    _, first, column = np.unique(
        np.round(ideal @ rotation[:2].T, 3), axis=0, return_index=True, return_inverse=True
    )
    column = column.reshape(-1)
    real = ideal * A / 2 + (0.0 if moved is None else moved)
    number = np.bincount(column)
    xy = np.stack([np.bincount(column, real @ rotation[k]) / number for k in (0, 1)], axis=1)
    turn = np.radians(23.0)
    image = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array(
        [[1.01, 0.012], [0, 0.99]]
    )
    xy = xy @ image.T + (31.0, 25.0) + noise * rng.normal(size=xy.shape)
    held = np.zeros((len(number), len(atoms)))
    np.add.at(held, (column, kind), 1)
    return ViewColumns("view", zone_axis, xy, ideal[first], held)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_selenium_goes_on_and_the_cations_are_displaced(seed):
    """One Se lattice goes on at every {111} interface; Cd lies a quarter of [001] off the Pb lattice."""
    particle = core_shell_particle(PBSE_CDSE, 400, 9.0, seed=seed)
    found = interfaces(
        particle.sites[0],
        facets(particle.sites[0]),
        [columns_of(particle, (1, 1, 0), noise=0.05, seed=seed)],
        PBSE_CDSE,
    )
    assert found
    for interface in found:
        selenium = interface.shifts["Se"]
        assert abs(selenium.lateral) < 4 * selenium.lateral_std + 0.01
        assert abs(selenium.normal) < 4 * selenium.normal_std + 0.01
        assert interface.continuous == ("Se",)
        cations = interface.shifts.get("Pb -> Cd")
        if cations is not None:
            assert abs(cations.lateral) == pytest.approx(SHIFT, abs=4 * cations.lateral_std + 0.02)


def test_a_planted_lateral_shift_is_measured():
    """All atoms in front of one {111} facet moved along it, as if another sublattice went on there."""
    particle = core_shell_particle(PBSE_CDSE, 500, 10.0, islands=0, seed=8)
    found = facets(particle.sites[0])
    facet = next(f for f in found if f.family == "111" and np.dot(f.normal, (1, 1, 0)) == 0)
    axis = np.array(facet.normal) / np.sqrt(3)
    along = np.cross(axis, np.array([1, 1, 0]) / np.sqrt(2))
    height = np.concatenate(places(particle)) @ axis - facet.layers[0].index / np.sqrt(3)
    moved = np.where(height[:, None] > 0.3, 0.6 * along, 0.0)
    view = columns_of(particle, (1, 1, 0), moved, noise=0.04)
    interface = next(
        i for i in interfaces(particle.sites[0], found, [view], PBSE_CDSE) if i.normal == facet.normal
    )
    shift = interface.shifts["Se"]
    assert abs(shift.lateral) == pytest.approx(0.6, abs=4 * shift.lateral_std + 0.01)
    assert abs(shift.normal) < 4 * shift.normal_std + 0.02
    assert "Se" not in interface.continuous
    assert shift.lateral_std < 0.1


def test_equal_structures_go_on_with_both_sublattices():
    particle = core_shell_particle(CDSE_CDS, 500, 7.0, seed=2)
    found = interfaces(
        particle.sites[0], facets(particle.sites[0]), [columns_of(particle, (1, 1, 0), noise=0.04)], CDSE_CDS
    )
    assert found
    for interface in found:
        assert {"Cd"} <= set(interface.shifts) <= {"Cd", "Se -> S"}
        assert set(interface.continuous) == set(interface.shifts)


def test_only_facets_seen_edge_on_are_followed():
    particle = core_shell_particle(PBSE_CDSE, 400, 9.0, seed=1)
    found = facets(particle.sites[0])
    along_100 = columns_of(particle, (1, 0, 0))
    assert interfaces(particle.sites[0], found, [along_100], PBSE_CDSE) == []
    sides = interfaces(particle.sites[0], found, [along_100], PBSE_CDSE, family="100")
    assert sides
    assert all(interface.normal[0] == 0 for interface in sides)


def test_the_scatter_of_repeated_noise_is_the_error_that_is_given():
    particle = core_shell_particle(PBSE_CDSE, 400, 9.0, seed=1)
    found = facets(particle.sites[0])
    shifts = [
        interfaces(
            particle.sites[0], found, [columns_of(particle, (1, 1, 0), noise=0.08, seed=s)], PBSE_CDSE
        )[0]
        for s in range(60)
    ]
    lateral = np.array([i.shifts["Se"].lateral for i in shifts])
    claimed = np.sqrt(np.mean([i.shifts["Se"].lateral_std ** 2 for i in shifts]))
    assert 0.75 < lateral.std() / claimed < 1.35
    assert abs(lateral.mean()) < 4 * claimed / np.sqrt(60)


def test_too_few_columns_measure_nothing():
    square = np.array([(x, y) for x in range(3) for y in range(3)], dtype=float)
    row = np.array([(float(x), 0.0) for x in range(8)])
    assert sublattice_shift(square[:5], square[:5], square[:2], square[:2], (1, 0)) is None
    assert sublattice_shift(square, square, square[:1], square[:1], (1, 0)) is None
    assert sublattice_shift(row, row, square[:2], square[:2], (1, 0)) is None
    with pytest.raises(InputError, match="one ideal position"):
        sublattice_shift(square, square[:4], square, square, (1, 0))
    with pytest.raises(InputError, match="outward"):
        sublattice_shift(square, square, square, square, (0, 0))
    with pytest.raises(InputError, match="family"):
        interfaces([(0, 0, 0)], [], [], PBSE_CDSE, family="211")
    assert interfaces([(0, 0, 0)], [], [], rock_salt("Pb", "Se", A)) == []


def test_the_core_s_size_and_place():
    particle = core_shell_particle(PBSE_CDSE, 400, 9.0, shape="rod", seed=6)
    atoms = places(particle)
    found = core_geometry(particle.sites[0], np.concatenate(atoms[1:]))
    assert found.atoms == len(atoms[0])
    assert found.atoms_std == 0
    assert found.volume == 2 * len(atoms[0])
    np.testing.assert_allclose(found.centre, atoms[0].mean(axis=0))
    np.testing.assert_allclose(found.offset, atoms[0].mean(axis=0) - np.concatenate(atoms).mean(axis=0))
    assert np.all(found.shell_thickness > 0)
    up, down = (found.shell_thickness[np.all(n == FACET_NORMALS, axis=1)][0] for n in ((0, 0, 1), (0, 0, -1)))
    assert abs(up - down) > 5  # the core of a rod sits near one end
    assert 0.85 < np.prod(found.lengths) / found.diameter**3 < 1.15


def test_uncertain_sites_widen_the_error_of_the_centre():
    sites = core_shell_particle(PBSE_CDSE, 300, 8.0, seed=1).sites[0]
    rng = np.random.default_rng(0)
    certainty = rng.uniform(0.2, 1.0, len(sites))
    found = core_geometry(sites, np.zeros((0, 3)), certainty)
    drawn = np.array([sites[rng.random(len(sites)) < certainty].mean(axis=0) for _ in range(400)])
    np.testing.assert_allclose(found.centre_std, drawn.std(axis=0), rtol=0.2)
    with pytest.raises(InputError, match="certainty"):
        core_geometry(sites, [], 0.1 * certainty)
    with pytest.raises(InputError, match="one for each site"):
        core_geometry(sites, [], certainty[1:])


def test_the_composition_changes_at_the_facet():
    particle = core_shell_particle(PBSE_CDSE, 500, 9.0, islands=0, seed=3)
    atoms = dict(zip(("Pb", "Se", "Cd"), places(particle), strict=True))
    for facet in facets(particle.sites[0])[:6]:
        level = particle.sites[0] @ np.array(facet.normal)
        floor = particle.sites[0][level == facet.layers[0].index]
        profile = composition_profile(atoms, floor, facet.normal)
        share = profile.share("Pb", "Cd")
        inside = (profile.height <= 0.1) & (profile.height > -6)
        outside = (profile.height > 0.1) & np.isfinite(share)
        assert np.all(share[inside] > 0.5)
        assert share[outside][-1] == 0
        assert profile.atoms[0, inside].sum() > 0
        assert np.all(profile.atoms_std == 0)
    with pytest.raises(InputError, match="one layer"):
        composition_profile(atoms, particle.sites[0], (1, 1, 1))
