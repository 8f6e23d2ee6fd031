"""Which column is of which type, and all types in one frame."""

import numpy as np
import pytest

import tomo
from tomo.neighbours import bonds, conflicting, near_filled
from tomo.placing.typed import pattern_rotations

PBSE = tomo.rock_salt("Pb", "Se", a=6.10)
CDSE = tomo.zinc_blende("Cd", "Se", a=6.10)
COHERENT = tomo.core_shell(PBSE, CDSE, "Pb")
AXES = [(1, 1, 0), (1, 0, 0), (0, 1, 0)]
BRIGHT = {"Pb": 4.5, "Se": 1.0, "Cd": 1.8, "S": 0.3, "Zn": 0.8}


def brightness(crystal: tomo.Crystal) -> np.ndarray:
    return np.array([BRIGHT[s.species] for s in crystal.sublattices])


def columns_of(
    particle: tomo.CoreShellParticle, axis: tuple[int, int, int], angle: float = 0.0, noise: float = 0.0
):
    """Image positions, cross-sections, true types and counts of each sublattice of a particle's columns."""
    crystal = particle.crystal
    zone = tomo.zone_geometry(axis)
    types = tomo.column_types(axis, crystal)
    table: dict[tuple[int, int, int], np.ndarray] = {}
    for s, sites in enumerate(particle.sites):
        kind = next(k for k, t in enumerate(types) if s in t.sublattices)
        fractional = zone.lines(sites) + zone.fractional(crystal.sublattices[s].offset)
        lines = np.rint(fractional - types[kind].shift).astype(int)
        for i, j in lines.tolist():
            table.setdefault((kind, i, j), np.zeros(len(particle.sites)))[s] += 1
    keys = np.array(list(table))
    counts = np.array(list(table.values()))
    shifts = np.array([t.shift for t in types])
    places = zone.positions(keys[:, 1:] + shifts[keys[:, 0]], crystal.a)
    c, s_ = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    rng = np.random.default_rng(1)
    values = counts @ brightness(crystal)
    values = values * (1 + noise * rng.standard_normal(len(values)))
    places = places @ np.array([[c, -s_], [s_, c]]).T + noise * rng.standard_normal(places.shape)
    return places, values, keys[:, 0], counts


def views_of(particle: tomo.CoreShellParticle, axes):
    """Indexed columns of rotated images; atoms of the common sublattice, and of all, in each of them."""
    views, atoms, truth = [], [], []
    for axis, angle in zip(axes, (10.0, 95.0, 300.0), strict=True):
        places, values, _, counts = columns_of(particle, axis, angle)
        indexing = tomo.index_columns(*places.T, axis, COHERENT)
        best = tomo.label_columns(indexing, values, brightness(COHERENT))[0].indexing
        views.append(
            tomo.TypedColumns(best.zone_axis, COHERENT, best.lines, best.column_type, best.x, best.y)
        )
        atoms.append(counts[:, tomo.common_sublattice(COHERENT)])
        truth.append(counts)
    return views, atoms, truth


def held(frame, truth, s: int) -> tomo.Reconstruction:
    """The atoms of a sublattice that hold the true counts of all views, placed as a frame says."""
    soft = [
        tomo.View(view.zone_axis, view.own_sites(s), counts=counts[view.holding(s), s].astype(int))
        for view, counts in zip(frame.columns, truth, strict=True)
    ]
    return tomo.reconstruct(soft, runs=1, workers=1, connected=s != 2, strict=False)


@pytest.fixture(scope="module")
def particle() -> tomo.CoreShellParticle:
    return tomo.core_shell_particle(COHERENT, 200, 6.0, seed=3)


class TestTypes:
    @pytest.mark.parametrize("axis", AXES)
    @pytest.mark.parametrize("angle", [0.0, 37.0, 215.0])
    def test_types_are_found_whatever_the_rotation(self, particle, axis, angle):
        places, values, kind, _ = columns_of(particle, axis, angle)
        indexing = tomo.index_columns(*places.T, axis, COHERENT)
        best = tomo.label_columns(indexing, values, brightness(COHERENT))[0]
        assert best.probability > 0.99
        assert np.array_equal(best.indexing.column_type, kind)

    @pytest.mark.parametrize("axis", AXES)
    def test_noise_does_not_confuse_them(self, particle, axis):
        places, values, kind, _ = columns_of(particle, axis, 20.0, noise=0.08)
        indexing = tomo.index_columns(*places.T, axis, COHERENT)
        best = tomo.label_columns(indexing, values, brightness(COHERENT))[0]
        assert np.mean(best.indexing.column_type == kind) > 0.98

    def test_equal_brightness_leaves_the_dumbbells_undecided(self):
        compound = tomo.zinc_blende("Cd", "Se", a=5.65)
        ball = tomo.core_shell_particle(compound, 200, seed=1)
        places, _, _, counts = columns_of(ball, (1, 1, 0))
        indexing = tomo.index_columns(*places.T, (1, 1, 0), compound)
        found = tomo.label_columns(indexing, counts.sum(axis=1), [1.0, 1.0])
        assert len(found) == 2
        assert found[0].probability < 0.9

    @pytest.mark.parametrize("axis", AXES)
    @pytest.mark.parametrize(
        ("core", "shell"),
        [
            (CDSE, tomo.zinc_blende("Zn", "Se", a=6.10)),
            (tomo.rock_salt("Pb", "S", a=6.10), tomo.zinc_blende("Cd", "S", a=6.10)),
        ],
    )
    def test_a_core_is_inside_its_shell_where_brightness_fits_both_ways(self, axis, core, shell):
        crystal = tomo.core_shell(core, shell, core.species)
        made = tomo.core_shell_particle(crystal, 250, 7.0, seed=5)
        places, values, kind, _ = columns_of(made, axis)
        indexing = tomo.index_columns(*places.T, axis, crystal)
        best = tomo.label_columns(indexing, values, brightness(crystal))[0]
        assert best.probability > 0.95
        assert np.array_equal(best.indexing.column_type, kind)

    def test_both_sides_are_proposed_for_columns_of_which_none_was_found(self, particle):
        """Half a turn lays Pb and Se along [110] on themselves, and Cd between others of them."""
        places, values, kind, _ = columns_of(particle, (1, 1, 0))
        seen = kind < 2
        indexing = tomo.index_columns(*places[seen].T, (1, 1, 0), COHERENT)
        likely = tomo.label_columns(indexing, values[seen], brightness(COHERENT))[:2]
        assert likely[0].probability == pytest.approx(0.5, abs=0.01)
        cadmium = []
        for label in likely:
            assert np.array_equal(label.indexing.column_type, kind[seen])
            columns = tomo.lattice_columns(label.indexing, (-99, 99, -99, 99))
            there = np.column_stack([columns.x, columns.y])[columns.column_type == 2]
            gap = np.linalg.norm(places[~seen][:, None] - there[None], axis=2).min(axis=1)
            cadmium.append(gap.max() < 0.05)
        assert sorted(cadmium) == [False, True]

    def test_amounts_follow_the_counts(self, particle):
        places, values, kind, counts = columns_of(particle, (1, 0, 0))
        bright = brightness(COHERENT)
        amounts, _ = tomo.phase_amounts(places, kind, values, bright, (1, 0, 0), COHERENT)
        mixed = kind == 0
        assert np.corrcoef(amounts[mixed, 0], counts[mixed, 0])[0, 1] > 0.9

    def test_what_does_not_belong_together_is_refused(self, particle):
        places, values, _, _ = columns_of(particle, (1, 0, 0))
        indexing = tomo.index_columns(*places.T, (1, 0, 0), COHERENT)
        with pytest.raises(tomo.InputError, match="expected"):
            tomo.label_columns(indexing, values[1:], brightness(COHERENT))


class TestFrame:
    def test_all_lines_of_the_particle_are_proposed(self, particle):
        places, values, _, _ = columns_of(particle, (1, 1, 0))
        strong = values > np.quantile(values, 0.2)  # the faintest fifth was not found
        indexing = tomo.index_columns(*places[strong].T, (1, 1, 0), COHERENT)
        label = tomo.label_columns(indexing, values[strong], brightness(COHERENT))[0]
        columns = tomo.lattice_columns(label.indexing, (-99, 99, -99, 99))
        gap = np.linalg.norm(places[:, None] - np.column_stack([columns.x, columns.y])[None], axis=2)
        assert gap.min(axis=1).max() < 0.05

    def test_lines_around_a_column_between_them_are_proposed(self):
        """Two faint columns beside the particle, found as one; one far away is of something else."""
        i, j = np.divmod(np.arange(36), 6)
        x, y = np.append(2.0 * i, [13.0, 30.0]), np.append(2.0 * j, [5.0, 30.0])
        indexing = tomo.index_columns(x, y, (0, 0, 1), tomo.fcc("Au", a=4.0))
        assert not indexing.keep[36:].any()
        columns = tomo.lattice_columns(indexing, (-20, 40, -20, 40))
        beyond = columns.x > 13
        assert len(columns) == 36 + 24 + 2
        assert sorted(columns.y[beyond].round(6).tolist()) == [4.0, 6.0]

    def test_views_in_one_frame_hold_the_same_crystal(self, particle):
        views, atoms, truth = views_of(particle, AXES)
        frame = tomo.register_types(views, atoms)[0]
        for s in range(3):  # exact counts leave no doubt about any species if the frame is right
            found = held(frame, truth, s)
            assert tomo.compare_sites(found.occupied(), particle.sites[s]).wrong_fraction < 0.02

    def test_the_inverted_crystal_is_proposed_where_only_the_shell_tells_it(self, particle):
        """Along <100> only Cd, on one of two sets of tetrahedra, tells a half turn of every view."""
        views, atoms, truth = views_of(particle, [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
        first, second = tomo.register_types(views, atoms)[:2]
        assert second.margin == 0.0
        cadmium = [held(frame, truth, 2) for frame in (first, second)]
        wrong = [tomo.compare_sites(c.occupied(), particle.sites[2]).wrong_fraction for c in cadmium]
        assert min(wrong) < 0.02
        assert max(wrong) > 0.1

    def test_amounts_that_are_next_to_nothing_are_named(self, particle):
        places, values, _, _ = columns_of(particle, (1, 1, 0))
        indexing = tomo.index_columns(*places.T, (1, 1, 0), COHERENT)
        best = tomo.label_columns(indexing, values, brightness(COHERENT))[0].indexing
        view = tomo.TypedColumns(best.zone_axis, COHERENT, best.lines, best.column_type, best.x, best.y)
        for amount in (0.0, 0.2):
            with pytest.raises(tomo.InputError, match="no column seems to hold Se"):
                tomo.register_types([view], [np.full(len(best.x), amount)])

    def test_only_turns_that_keep_the_species_are_allowed(self):
        def view(axis: tuple[int, int, int], crystal: tomo.Crystal) -> tomo.TypedColumns:
            empty = np.zeros(0)
            return tomo.TypedColumns(axis, crystal, np.zeros((0, 2), int), empty.astype(int), empty, empty)

        assert pattern_rotations(view((1, 1, 0), COHERENT)) == (
            0,
        )  # half a turn points the bonds the other way
        assert pattern_rotations(view((1, 1, 0), PBSE)) == (0, 1)
        assert pattern_rotations(view((1, 0, 0), COHERENT)) == (0, 1, 2, 3)


class TestNeighbours:
    def test_cations_of_core_and_shell_exclude_each_other(self):
        assert conflicting(COHERENT, 0, 2)
        assert not conflicting(COHERENT, 0, 1)
        assert conflicting(tomo.core_shell(CDSE, tomo.zinc_blende("Cd", "S", 6.1), "Se"), 0, 2)

    @pytest.mark.parametrize(("crystal", "number"), [(PBSE, 6), (CDSE, 4)])
    def test_coordination_numbers(self, crystal, number):
        assert len(bonds(crystal, 0, 1)) == len(bonds(crystal, 1, 0)) == number

    def test_near_filled(self):
        steps = bonds(PBSE, 0, 1)
        assert near_filled([[0, 0, 0], [8, 0, 0]], steps, [steps[0]]).tolist() == [True, False]
        assert near_filled([[0, 0, 0]], steps, np.zeros((0, 3), int)).tolist() == [False]
