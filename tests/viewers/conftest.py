"""A small particle with a known answer, in the shapes that the stages hand on."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

import tomo
from stemcount import AtomCounts, ColumnFit, Hypothesis, Mixture, ZoneAxisImage
from tomo.observables import surface_atoms
from tomo.result import Companion, Reconstruction
from viewers.geometry import view_rotation

A = 4.08
PIXEL_SIZE = 0.25
RHO = 0.7


def particle_sites(radius: float) -> NDArray:
    """fcc sites of a ball with flattened corners, in units of a/2."""
    n = int(radius) + 1
    grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[grid.sum(axis=1) % 2 == 0]
    inside = (np.linalg.norm(grid, axis=1) <= radius) & (np.abs(grid).sum(axis=1) <= 1.45 * radius)
    return grid[inside]


def make_view(sites: NDArray, zone_axis: tuple[int, int, int], rng: np.random.Generator) -> tomo.View:
    (true,) = tomo.phantoms.views_of(sites, [zone_axis])
    wrong = rng.random(true.n_columns) < 0.08
    counts = np.maximum(true.counts + wrong * rng.choice([-1, 1], true.n_columns), 1)
    return tomo.View(zone_axis=zone_axis, column_sites=true.column_sites, counts=counts)


def make_result(sites: NDArray, seed: int = 0, method: str = "sample") -> Reconstruction:
    """Inner atoms certain, surface atoms less so, a few vacant sites that could be occupied."""
    rng = np.random.default_rng(seed)
    radius = np.linalg.norm(sites, axis=1)
    certainty = np.clip(
        1.25 - rng.exponential(0.25, len(sites)) * (radius > 0.9 * radius.max()) - 0.2, 0.02, 1.0
    )
    certainty[radius <= 0.9 * radius.max()] = 1.0
    runs = rng.random((10, len(sites))) < certainty
    views = tuple(make_view(sites, zone_axis, rng) for zone_axis in [(0, 0, 1), (1, 0, 0), (1, 1, 0)])
    return Reconstruction(
        sites=sites.astype(np.int64),
        certainty=certainty,
        runs=runs,
        energy=rng.normal(100, 5, 10),
        views=views,
        crystal=tomo.fcc("Au", a=A),
        method=method,
        edge_weight=1.0,
        seed=seed,
    )


def make_columns(sites: NDArray, zone_axis: tuple[int, int, int], seed: int = 0) -> tuple:
    """Image, fit and counts of a particle along one zone axis, all with their true answers."""
    rng = np.random.default_rng(seed)
    (true,) = tomo.phantoms.views_of(sites, [zone_axis])
    count = true.counts
    xy = (A / 2 * true.column_sites @ view_rotation(zone_axis).T)[:, :2]
    xy = xy - xy.min(axis=0) + 4.0
    kmax = int(count.max()) + 1
    mean = 0.12 * np.arange(kmax + 1) ** 0.92
    width = np.full(kmax + 1, 0.012)
    volume = mean[count] + rng.normal(0, 0.012, len(count))
    cols, rows = np.ceil((xy.max(axis=0) + 4.0) / PIXEL_SIZE).astype(int)
    x, y = np.arange(cols) * PIXEL_SIZE, np.arange(rows) * PIXEL_SIZE
    gx = np.exp(-((x - xy[:, :1]) ** 2) / (2 * RHO**2))
    gy = np.exp(-((y - xy[:, 1:]) ** 2) / (2 * RHO**2))
    height = volume / (2 * np.pi * RHO**2)
    dose = 2e4
    model = np.einsum("n,ni,nj->ij", height, gy, gx) + 0.002
    data = rng.poisson(model * dose * PIXEL_SIZE**2) / (dose * PIXEL_SIZE**2)
    image = ZoneAxisImage(data, PIXEL_SIZE, zone_axis, dose=dose, name="au_" + "".join(map(str, zone_axis)))
    n = len(count)
    fit = ColumnFit(
        x=xy[:, 0],
        y=xy[:, 1],
        height=height,
        width=np.full(n, RHO),
        cross_section=volume,
        cross_section_std=np.full(n, 0.012),
        background=np.array([0.002]),
        residual_sum_of_squares=float(np.sum((data - model) ** 2)),
        flags=np.where(np.arange(n) % 37 == 5, 4, 0),
        peak=("gaussian", (0.0, 1.0)),
        x_std=np.full(n, 0.01),
        y_std=np.full(n, 0.01),
        column_type=np.zeros(n, int),
    )
    return SimpleNamespace(
        image=image, fit=fit, counts=make_counts(volume, mean, width), model=model, true=count
    )


def make_counts(volume: NDArray, mean: NDArray, width: NDArray) -> AtomCounts:
    kmax = len(mean) - 1
    spread = np.hypot(width, 0.0)
    log_likelihood = -((volume[:, None] - mean) ** 2) / (2 * spread**2) - np.log(spread)
    log_likelihood[:, 0] -= 20
    probability = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    count = probability.argmax(axis=1)
    weight = np.bincount(count, minlength=kmax + 1) / len(count)
    mixtures = tuple(
        Mixture(
            np.linspace(mean[1], mean[-1], k),
            np.full(k, width[1]),
            np.full(k, 1 / k),
            0.0,
            0.0,
            icl,
            icl,
            icl,
        )
        for k, icl in ((k, -200 + 6 * abs(k - kmax + 1) + 9 * (k % 3)) for k in range(1, 16))
    )
    chosen = Hypothesis(mean, width, weight, 0, int((weight > 0).sum()), 0.0)
    other = Hypothesis(mean * 0.93, width, weight, 0, chosen.n_components, -4.0)
    return AtomCounts(
        count=count,
        log_likelihood=log_likelihood,
        probability=probability,
        mixtures=mixtures,
        icl=np.array([m.icl for m in mixtures]),
        n_components=chosen.n_components,
        offset=0,
        chosen=chosen,
        alternatives=(chosen, other),
        verdict="decided",
        reason="The class means follow one smooth curve through zero.",
    )


@pytest.fixture(scope="session")
def sites() -> NDArray:
    return particle_sites(7.2)


@pytest.fixture(scope="session")
def result(sites: NDArray) -> Reconstruction:
    return make_result(sites)


@pytest.fixture(scope="session")
def columns(sites: NDArray) -> SimpleNamespace:
    return make_columns(sites, (1, 1, 0))


@pytest.fixture(scope="session")
def core_shell_result() -> Reconstruction:
    """A PbSe core in a CdSe shell; the atoms at the surface of each sublattice are less certain."""
    crystal = tomo.core_shell(tomo.rock_salt("Pb", "Se", 6.1), tomo.zinc_blende("Cd", "Se", 6.1), "Pb")
    particle = tomo.core_shell_particle(crystal, 150, 6.0, seed=3)
    rng = np.random.default_rng(0)
    certainty = [
        np.where(surface_atoms(sites), rng.uniform(0.3, 1.0, len(sites)), 1.0) for sites in particle.sites
    ]
    companions = tuple(
        Companion(lattice.species, lattice.offset, sites, c, rng.random((4, len(sites))) < c)
        for lattice, sites, c in zip(crystal.sublattices, particle.sites, certainty, strict=True)
    )[1:]
    core = particle.sites[0]
    views = tuple(tomo.phantoms.views_of(core, [(1, 1, 0), (1, 0, 0)]))
    runs = rng.random((4, len(core))) < certainty[0]
    return Reconstruction(
        core, certainty[0], runs, np.zeros(4), views, "sample", 0, 1.0, crystal, companions=companions
    )
