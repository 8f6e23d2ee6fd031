"""Placings compared by the atoms that they put on the views' lines."""

from dataclasses import replace

import numpy as np
import pytest

from tomo import fcc, register_views, zone_geometry
from tomo.phantoms import indexed_columns, random_particle
from tomo.placing.agreement import COUNTED
from tomo.placing.displaced import displaced_share
from tomo.placing.placement import Candidate, place_views
from tomo.placing.registration import counted_lines

GOLD = fcc("Au", a=4.08)
AXES = [(1, 0, 0), (1, 1, 0)]


def octahedron(radius):
    """Sites of an octahedron: a crystal with all the symmetry of its lattice."""
    h, k, m = np.mgrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1].reshape(3, -1)
    inside = (abs(h) + abs(k) + abs(m) <= radius) & ((h + k + m) % 2 == 0)
    return np.column_stack([h, k, m])[inside]


def counted(sites):
    shown = [indexed_columns(sites, axis, GOLD) for axis in AXES]
    return shown, counted_lines([i for i, _ in shown], [atoms for _, atoms in shown], None, None, None)


def line_of(axis, site):
    return tuple(int(x) for x in zone_geometry(axis).lines(site)[0])


@pytest.fixture(scope="module")
def rough():
    _, views = counted(random_particle(300, "rough", seed=4))
    return views, place_views(views, COUNTED)


def test_a_crystal_moved_or_inverted_as_a_whole_is_the_same(rough):
    views, (best, *_) = rough
    shift = (3, 1, 2)
    moved = tuple(
        (i + a, j + b)
        for (i, j), (a, b) in zip(best.shifts, [line_of(axis, shift) for axis in AXES], strict=True)
    )
    assert displaced_share(views, best, Candidate(0.0, best.rotations, moved)) == 0
    turned = [replace(view, lines=-view.lines) for view in views]  # the inverted crystal, seen the same way
    assert displaced_share(turned, best, best) == 0


def test_other_placings_of_a_rough_particle_put_atoms_elsewhere(rough):
    views, (best, *others) = rough
    assert min(displaced_share(views, best, other) for other in others[:5]) > 0.01


def test_placings_of_a_symmetric_particle_are_one():
    shown, views = counted(octahedron(7))
    best, *others = place_views(views, COUNTED)
    tied = [c for c in others if c.score > best.score - 1e-6]
    assert tied
    assert [displaced_share(views, best, other) for other in tied] == [0.0] * len(tied)
    found = register_views([i for i, _ in shown], [atoms for _, atoms in shown])
    assert found.margin > 5
    assert not found.warnings


def test_lines_out_of_sight_are_not_compared(rough):
    views, (best, *_) = rough
    i, j = best.shifts[1]
    other = replace(best, shifts=(best.shifts[0], (i, j + 1)))
    whole = displaced_share(views, best, other)
    fields = [v.lines[v.lines[:, 1] < np.median(v.lines[:, 1])] for v in views]
    half = [replace(v, inside=field) for v, field in zip(views, fields, strict=True)]
    assert whole > 0
    assert displaced_share(half, best, other) != whole
