"""Libraries by multislice: geometry, conservation of electrons, one atom's scattering, and abTEM."""

import numpy as np
import pytest

import stemcount
from stemcount.simulation import multislice
from stemcount.simulation.metals import METALS, thermal_displacement
from stemcount.simulation.slab import SMALLEST_BOX, fcc_slab, orthogonal_cell

ALUMINIUM = {"semi_convergence": 20.0, "detector": (50.0, 120.0), "snapshots": 4}


@pytest.fixture
def small_box(monkeypatch):
    """A box two columns wide: quick, and good enough where both sides of a comparison have it."""
    monkeypatch.setattr("stemcount.simulation.slab.SMALLEST_BOX", 4.0)


def frozen(species="Au", n_atoms=3, voltage=300.0, limit=10.0):
    """A slab whose atoms are displaced once, its frequencies, amplitude and propagator."""
    slab = fcc_slab(4.08, (1, 0, 0), n_atoms)
    moved = slab.positions + 0.085 * np.random.default_rng(0).standard_normal(slab.positions.shape)
    k = multislice.frequencies(slab.size, limit)
    atom = multislice.scattering_amplitude(species, voltage, k, limit)
    wavelength = multislice.electron_wavelength(voltage)
    propagator = np.where(k < limit, np.exp(-1j * np.pi * wavelength * slab.layer_spacing * k**2), 0)
    return slab, moved, k, atom, propagator.astype(np.complex64)


@pytest.mark.parametrize("axis", [(1, 0, 0), (1, 1, 0), (1, -1, 1), (1, 1, 2), (0, 1, 3)])
def test_the_slab_is_fcc_with_equal_columns(axis):
    slab = fcc_slab(4.0, axis, 3)
    assert slab.size.min() >= SMALLEST_BOX
    feet, count = np.unique((slab.positions / slab.size).round(6) % 1, axis=0, return_counts=True)
    assert np.all(count == 3)
    assert len(feet) * slab.column_area == pytest.approx(np.prod(slab.size))
    assert slab.layer.max() + 1 == 3 * slab.layers_per_atom
    edges = orthogonal_cell(axis)
    assert np.linalg.det(edges) > 0
    assert np.count_nonzero(edges @ edges.T) == 3
    assert np.array_equal(np.cross(edges[2], axis), [0, 0, 0])


@pytest.mark.parametrize(("voltage", "wavelength"), [(100, 0.037014), (200, 0.025079), (300, 0.019687)])
def test_wavelengths_are_those_of_the_tables(voltage, wavelength):
    """Kirkland, Advanced Computing in Electron Microscopy, and any other textbook [A]."""
    assert multislice.electron_wavelength(voltage) == pytest.approx(wavelength, abs=1e-6)


def test_beams_fill_the_aperture_evenly():
    beams = multislice.aperture_beams(1.2, 400, np.array([30.0, 20.0])) / [30.0, 20.0]
    assert np.hypot(*beams.T).max() <= 1.2 + 0.05
    assert np.abs(beams.mean(axis=0)).max() < 0.02
    assert np.mean(np.sum(beams**2, axis=1)) == pytest.approx(1.2**2 / 2, rel=0.02)


def test_electrons_are_neither_made_nor_lost(small_box):
    slab, moved, k, atom, propagator = frozen("Al", limit=12.0)
    rings = np.array([k >= 0, k < 1.0, k >= 1.0])
    shares = multislice.detected_shares(slab, moved, atom, propagator, rings, np.array([[0, 0], [3, -2]]))
    assert shares.shape == (3, 3, 2)
    assert shares[:, 0] == pytest.approx(np.ones((3, 2)), abs=0.002)
    assert shares[:, 0] == pytest.approx(shares[:, 1] + shares[:, 2])


def scattering_factor(species, q):
    """Of the first Born approximation [A], q = 2 sin(theta) / wavelength [1/A]."""
    square = np.asarray(q)[..., None] ** 2
    a, b = np.array(METALS[species].a), np.array(METALS[species].b)
    return np.sum(a * (2 + b * square) / (1 + b * square) ** 2, axis=-1)


def test_a_light_atom_scatters_as_in_the_first_born_approximation():
    """V(1) = mean over the aperture of the integral over the detector of |wavelength m / m0 f|^2."""
    found = stemcount.simulate_library("Al", 4.05, (1, 1, 0), 1, **ALUMINIUM)[0]
    wavelength = multislice.electron_wavelength(300)
    mass = 1 + 300 / 511.0
    radius = np.linspace(0.05, 0.12, 200) / wavelength
    angle = np.arange(180) * 2 * np.pi / 180
    expected = []
    for beam in 0.02 / wavelength * np.sqrt((np.arange(20) + 0.5) / 20):
        q = np.sqrt(radius[:, None] ** 2 + beam**2 - 2 * radius[:, None] * beam * np.cos(angle))
        ring = ((wavelength * mass * scattering_factor("Al", q)) ** 2).mean(axis=1) * 2 * np.pi * radius
        expected.append(np.trapezoid(ring, radius))
    assert found == pytest.approx(np.mean(expected), rel=0.02)


def test_a_heavy_atom_does_not_depend_on_the_pixels(monkeypatch):
    settings = {"semi_convergence": 24.0, "detector": (60.0, 130.0), "snapshots": 2}
    fine = []
    for band in (1.1, 1.8):
        monkeypatch.setattr(multislice, "BAND_LIMIT", band)
        fine.append(stemcount.simulate_library("Au", 4.08, (1, 1, 0), 2, **settings))
    assert fine[0] == pytest.approx(fine[1], rel=0.005)


def test_a_library_grows_repeats_and_is_what_counting_takes():
    shares = []
    library = stemcount.simulate_library("Al", 4.05, (1, 0, 0), 6, **ALUMINIUM, progress=shares.append)
    assert np.array_equal(library, stemcount.simulate_library("Al", 4.05, (1, 0, 0), 6, **ALUMINIUM))
    assert shares == [0.25, 0.5, 0.75, 1.0]
    values = np.repeat(library, 20)
    counts = stemcount.count_atoms(values, library=library)
    assert np.array_equal(counts.count, np.repeat(np.arange(1, 7), 20))


def test_equivalent_axes_agree():
    one, other = (
        stemcount.simulate_library("Al", 4.05, axis, 3, **(ALUMINIUM | {"snapshots": 8}))
        for axis in ((1, 1, 0), (0, -1, 1))
    )
    assert one == pytest.approx(other, rel=0.03)


def test_metals_move_as_their_debye_temperatures_say():
    assert thermal_displacement("Au") == pytest.approx(0.089, abs=0.002)
    assert thermal_displacement("Pt") < thermal_displacement("Au") < thermal_displacement("Pb")
    # classical far above the Debye temperature, zero-point motion far below it
    assert thermal_displacement("Au", 4000) / thermal_displacement("Au", 1000) == pytest.approx(2, rel=0.01)
    assert thermal_displacement("Au", 2) == pytest.approx(thermal_displacement("Au", 1), rel=1e-3)


def test_scattering_factors_fall_off_as_the_nucleus_says():
    """f -> 2 Z m e^2 / (h q)^2 far out, that is Z / (2 pi^2 a0 q^2) with the Bohr radius a0."""
    numbers = {
        "Al": 13,
        "Ni": 28,
        "Cu": 29,
        "Rh": 45,
        "Pd": 46,
        "Ag": 47,
        "Ir": 77,
        "Pt": 78,
        "Au": 79,
        "Pb": 82,
    }
    assert set(numbers) == set(METALS)
    for species, number in numbers.items():
        far = number / (2 * np.pi**2 * 0.529177 * 60.0**2)
        assert scattering_factor(species, 60.0) == pytest.approx(far, rel=0.02), species


def test_settings_that_are_off_change_the_library(small_box, monkeypatch):
    """One column each, nearly what a simulation with that setting gives; the first is without a change."""
    monkeypatch.setattr(multislice, "CHANGED_EVERY", 1)
    settings = {"semi_convergence": 20.0, "detector": (50.0, 120.0), "thermal_displacement": 0.1}
    crystal = ("Al", 4.05, (1, 0, 0), 4)
    shares = []
    found = stemcount.simulate_library(
        *crystal, **settings, snapshots=8, setting_error=0.3, progress=shares.append
    )
    assert np.allclose(np.diff(shares, prepend=0), 1 / 8)
    off = (
        ({}, 0.002),
        ({"semi_convergence": 20.0 / 1.3}, 0.02),  # of other beams
        ({"detector": (65.0, 156.0)}, 0.002),
        ({"thermal_displacement": 0.13}, 0.002),
    )
    for column, (changed, error) in zip(found.T, off, strict=True):
        alone = stemcount.simulate_library(*crystal, **(settings | changed), snapshots=8)
        assert column == pytest.approx(alone, rel=error)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"species": "Mo"}, "fcc metals"),
        ({"a": 0.4}, "lattice parameter"),
        ({"zone_axis": (0, 0, 0)}, "zone_axis"),
        ({"n_atoms": 0}, "n_atoms"),
        ({"voltage": 3e5}, "kV"),
        ({"semi_convergence": 0.0}, "semi_convergence"),
        ({"detector": (130.0, 60.0)}, "detector"),
        ({"detector": (10.0, 60.0)}, "beyond the probe"),
        ({"thermal_displacement": 8.5}, "thermal_displacement"),
        ({"snapshots": 0}, "snapshots"),
        ({"n_atoms": 2.5}, "n_atoms: expected an integer"),
        ({"seed": -1}, "seed: expected an integer"),
        ({"detector": 60.0}, "detector: expected its inner and outer angle"),
        ({"setting_error": 5.0}, "setting_error"),
    ],
)
def test_mistakes_are_named(changed, named):
    given = {"species": "Au", "a": 4.08, "zone_axis": (1, 1, 0), "n_atoms": 2, **ALUMINIUM} | changed
    with pytest.raises(stemcount.InputError, match=named):
        stemcount.simulate_library(**given)


def test_abtem_says_the_same(small_box):
    """A probe scanned by abTEM over frozen gold atoms, on pixels that resolve the nucleus; any focus."""
    abtem = pytest.importorskip("abtem", reason="abTEM, the independent multislice program, is not installed")
    slab, moved, k, atom, propagator = frozen(n_atoms=2, limit=11.0)
    wavelength = multislice.electron_wavelength(300)
    harmonics = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 2), axis=-1).reshape(-1, 2)
    harmonics = harmonics[np.hypot(*(harmonics / slab.size).T) < 0.024 / wavelength]
    seen = (k >= 0.06 / wavelength) & (k < 0.13 / wavelength)
    own = multislice.detected_shares(slab, moved, atom, propagator, seen[None], harmonics)[:, 0].mean(axis=1)

    n = 320
    frequency = np.fft.fftfreq(n, slab.size[0] / n)
    projected = abtem.parametrizations.LobatoParametrization().projected_scattering_factor("Au")
    factor = projected(frequency[:, None] ** 2 + frequency**2) * n * n / np.prod(slab.size)
    layers = [
        np.fft.ifft2(factor * multislice.structure_factor(moved[slab.layer == i], slab.size, (n, n))).real
        for i in range(4)
    ]
    with abtem.config.set({"diagnostics.progress_bar": False, "fftw.planning_effort": "FFTW_ESTIMATE"}):
        potential = abtem.PotentialArray(
            np.array(layers, dtype=np.float32),
            slice_thickness=slab.layer_spacing,
            extent=tuple(slab.size),
            exit_planes=(1, 3),
        )
        probe = abtem.Probe(energy=3e5, semiangle_cutoff=24, soft=False, defocus=60)
        probe.grid.match(potential)
        points = np.stack(np.meshgrid(*[np.arange(15) / 15] * 2), axis=-1).reshape(-1, 2) * slab.size
        measured = probe.multislice(
            potential, abtem.CustomScan(points), abtem.AnnularDetector(60, 130), lazy=False
        )
    assert own == pytest.approx(measured.array.mean(axis=1), rel=0.02)
