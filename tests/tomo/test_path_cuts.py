import numpy as np
import pytest

from tomo import View, build_problem, solve_exact
from tomo.grid import NEIGHBOUR_VECTORS, SECOND_VECTORS
from tomo.integer_program import programs_of, relaxed
from tomo.path_cuts import path_entries
from tomo.phantoms import column_counts, random_particle, views_of

PAIRS = [[(1, 0, 0), (1, 1, 0)], [(0, 1, 0), (1, 1, 2)], [(1, -1, 0), (1, 1, 1)]]


def paths(problem):
    shells = (problem.neighbours, NEIGHBOUR_VECTORS), (problem.second_neighbours, SECOND_VECTORS)
    for view in range(len(problem.views)):
        for neighbours, steps in shells:
            for line, site, other in path_entries(problem, view, neighbours, steps):
                yield view, line, site, other


@pytest.mark.parametrize("axes", PAIRS)
@pytest.mark.parametrize("cut", [False, True])
def test_a_line_with_an_atom_has_two_edges_on_every_path(axes, cut):
    """Whatever the occupancy, also at the end of the field of view."""
    atoms = random_particle(150, "rough", seed=3)
    views = views_of(atoms, axes)
    if cut:
        views = [seen_in_part(atoms, axis) for axis in axes]
    problem = build_problem(views, strict=False)
    rng = np.random.default_rng(1)
    checked = 0
    for share in (0.02, 0.1, 0.5, 0.9):
        occupied = np.append(rng.random(problem.n_sites) < share, False)
        for view, line, site, other in paths(problem):
            pairs = np.unique(np.stack([line, np.minimum(site, other), np.maximum(site, other)]), axis=1)
            # A site may end the path on both sides.
            ends = np.flatnonzero(other < 0)
            bonds = pairs[:, pairs[1] >= 0]
            edges = np.bincount(line[ends], occupied[site[ends]], problem.n_lines)
            edges += np.bincount(bonds[0], occupied[bonds[1]] != occupied[bonds[2]], problem.n_lines)
            filled = np.unique(problem.line[view][occupied[:-1]])
            filled = filled[np.isin(filled, line)]
            assert (edges[filled] >= 2).all()
            checked += len(filled)
    assert checked > 100


def seen_in_part(atoms, axis):
    """A view without the lower half of the columns."""
    columns, counts = column_counts(atoms, axis)
    seen = columns @ np.array((0, 0, 1)) >= 0
    assert 0 < seen.sum() < len(seen)
    return View(axis, columns[seen], counts=counts[seen], unseen_sites=columns[~seen])


@pytest.mark.parametrize("kind", ["faceted", "rough"])
def test_two_views_are_proven_without_branching(kind):
    atoms = random_particle(200, kind, seed=5)
    problem = build_problem(views_of(atoms, PAIRS[0], 0.2, seed=5))
    solution = solve_exact(problem, 0.8, chemical_potential=1.7)
    assert solution.proven
    (program,) = programs_of(problem, solution.prior)
    assert relaxed(program, np.inf).bound == pytest.approx(solution.energy, abs=1e-3)
