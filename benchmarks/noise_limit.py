"""Errors of the joint fit over many noisy images against the Cramer-Rao bound.

The bound is computed here from the Fisher information of the true model, with none of the program's
own derivatives, windows or pulls; a pull towards the start positions may make errors smaller than it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

import stemcount

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REACH = 6.0  # widths after which a peak is left out of the Fisher information: exp(-18) = 2e-8
ATOM = 0.03  # cross-section of one atom [A^2]
START = 0.1  # standard deviation of the start positions, in x and in y [A]


@dataclass(frozen=True)
class Truth:
    """Columns and background with known parameters.

    Attributes
    ----------
    x, y, volume, width : (n,) float
        [A], [A^2], [A]
    kind : (n,) int
        Columns of one kind have one width.
    background : list of float
        Coefficients of 1, u and v, both from -1 to 1 over the image; one number is a constant.
    """

    x: Floats
    y: Floats
    volume: Floats
    width: Floats
    kind: Ints
    background: list[float]


@dataclass(frozen=True)
class Scene:
    """A truth, the noise of its images, and how they are fitted.

    Attributes
    ----------
    options : dict
        Of `stemcount.fit_columns`.
    told : bool
        Whether the fit knows the dose.
    """

    name: str
    truth: Truth
    options: dict
    pixel_size: float = 0.2
    dose: float = 2e4
    told: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image, with room around the columns."""
        rows, cols = (int((v.max() + 5) / self.pixel_size) for v in (self.truth.y, self.truth.x))
        return rows, cols

    def image(self, seed: int | None) -> stemcount.ZoneAxisImage:
        """The image with the noise of a seed, or without noise and background."""
        t = self.truth
        return stemcount.simulate_columns(
            t.x, t.y, t.volume, width=t.width, shape=self.shape, pixel_size=self.pixel_size,
            background=0.0 if seed is None else basis_images(self.shape, len(t.background)) @ t.background,
            dose=None if seed is None else self.dose, seed=seed,
        )  # fmt: skip


def basis_images(shape: tuple[int, int], n: int) -> Floats:
    """1, u and v, from -1 to 1 over the image, the first n of them: (rows, cols, n)."""
    v, u = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.stack([np.ones_like(u), u, v][:n], axis=-1)


def cramer_rao(truth: Truth, shape: tuple[int, int], pixel_size: float, dose: float) -> Floats:
    """Smallest standard deviations (n, 3) of x, y [A] and V [A^2] that any unbiased fit can have.

    Pixels count electrons N ~ Poisson(d mu), d the dose times the pixel's area, so the Fisher
    information is J' diag(d / mu) J with J = d mu / d (x, y, V of all columns, one width for each
    kind, background); see e.g. den Dekker et al., Ultramicroscopy 104 (2005) 83.
    """
    x, y, volume, width = truth.x, truth.y, truth.volume, truth.width
    rows, cols = shape
    n = len(x)
    parts: dict[str, list] = {name: [] for name in ("pixel", "column", "x", "y", "volume", "width")}
    for k in range(n):
        i, j = (
            np.arange(max(round((c - REACH * width[k]) / pixel_size), 0),
                      min(round((c + REACH * width[k]) / pixel_size), size - 1) + 1)
            for c, size in ((y[k], rows), (x[k], cols))
        )  # fmt: skip
        dy, dx = np.meshgrid(i * pixel_size - y[k], j * pixel_size - x[k], indexing="ij")
        square = (dx**2 + dy**2) / width[k] ** 2
        peak = np.exp(-square / 2) / (2 * np.pi * width[k] ** 2)
        parts["pixel"].append((i[:, None] * cols + j).ravel())
        parts["column"].append(np.full(peak.size, k))
        parts["x"].append((volume[k] * peak * dx / width[k] ** 2).ravel())
        parts["y"].append((volume[k] * peak * dy / width[k] ** 2).ravel())
        parts["volume"].append(peak.ravel())
        parts["width"].append((volume[k] * peak * (square - 2) / width[k]).ravel())
    flat = {name: np.concatenate(values) for name, values in parts.items()}

    def derivative(name: str, of: Ints) -> csr_matrix:
        return csr_matrix((flat[name], (flat["pixel"], of)), shape=(rows * cols, int(of.max()) + 1))

    own = [derivative(name, flat["column"]) for name in ("x", "y", "volume")]
    level = basis_images(shape, len(truth.background)).reshape(rows * cols, -1)
    mean = own[2] @ volume + level @ truth.background
    jacobian = hstack([*own, derivative("width", truth.kind[flat["column"]]), csr_matrix(level)]).tocsr()
    weighted = jacobian.multiply((dose * pixel_size**2 / mean)[:, None])
    fisher = (jacobian.T @ weighted).toarray()
    return np.sqrt(np.diag(np.linalg.inv(fisher))[: 3 * n]).reshape(3, n).T


def scenes(draw: int = 7) -> Iterator[Scene]:
    """The rows of the table; `draw` seeds the positions and cross-sections."""
    rng = np.random.default_rng(draw)
    flat, slope = [0.01], [0.03, 0.015, -0.01]

    def scene(
        name: str, spacing: float, options: dict, *, pair: tuple[float, float] | None = None,
        ratio: float = 1.0, widths: tuple[float, float] = (0.6, 0.6), background: list[float] = flat,
        **more: Any,
    ) -> Scene:  # fmt: skip
        """36 columns on a square lattice, or pairs (dx, dy) with cross-sections 1 : ratio."""
        i, j = (v.ravel() for v in np.indices((6, 6)))
        x, y = 5 + j * spacing, 5 + i * spacing
        atoms = ATOM * rng.integers(2, 15, len(x)).astype(float)
        kind = np.zeros(len(x), dtype=np.int64)
        if pair is not None:
            x, y = np.concatenate([x, x + pair[0]]), np.concatenate([y, y + pair[1]])
            atoms, kind = np.concatenate([atoms, ratio * atoms]), np.repeat([0, 1], len(kind))
        x, y = np.array([x, y]) + rng.normal(0, 0.03, (2, len(x)))
        if options.get("widths") == "per_type":
            options = options | {"column_type": kind}
        else:
            kind = np.zeros(len(x), dtype=np.int64)
        return Scene(name, Truth(x, y, atoms, np.array(widths)[kind], kind, background), options, **more)

    common, typed = {"widths": "common"}, {"widths": "per_type"}
    own: dict[str, Any] = {}
    for spacing in (1.6, 2.0, 3.0):
        for px in (0.1, 0.2, 0.4):
            yield scene(f"spacing {spacing} A, pixel {px} A", spacing, common, pixel_size=px)
    for spacing in (1.6, 2.0, 3.0):
        yield scene(f"default options, {spacing} A", spacing, own)
    yield scene("default options, 2 A, dose not told", 2.0, own, told=False)
    plane: dict[str, Any] = {"background": "plane"}
    yield scene("sloping background, 2 A", 2.0, common | plane, background=slope)
    yield scene("the same, default widths", 2.0, plane, background=slope)
    two: dict[str, Any] = {"pair": (1.7, 1.7), "widths": (0.6, 0.5)}
    yield scene("two widths, 2.4 A", 3.4, typed, **two)
    yield scene("two widths, 2.4 A, 1 : 0.3", 3.4, typed, ratio=0.3, **two)
    bell: dict[str, Any] = {"pair": (0.0, 1.4)}
    yield scene("[110] dumbbells, 1.4 A, 1 : 1", 3.9, common, **bell)
    yield scene("[110] dumbbells, 1.4 A, 1 : 0.4", 3.9, common, ratio=0.4, **bell)
    yield scene("the same, default widths", 3.9, own, ratio=0.4, **bell)
    yield scene("all three", 3.9, typed | plane, ratio=0.4, widths=(0.6, 0.5), background=slope, **bell)
    yield scene("all three, pixel 0.4 A, dose not told", 3.9, typed | plane, ratio=0.4, widths=(0.6, 0.5),
                background=slope, pixel_size=0.4, told=False, **bell)  # fmt: skip


def root_mean(squares: Floats) -> tuple[float, float]:
    """Root of the mean of (seeds, ...) squares and its standard error, from the scatter of the seeds."""
    each = squares.reshape(len(squares), -1).mean(axis=1)
    root = float(np.sqrt(each.mean()))
    return root, float(each.std(ddof=1)) / np.sqrt(len(each)) / (2 * root)


def noisy(seeds: int = 60, draw: int = 7) -> None:
    """Errors over many noise realisations against the Cramer-Rao bound, start positions 0.1 A off."""
    print(
        f"{seeds} seeds, +- standard error     rms error / bound          sd of (found - true) / std    cells"
    )
    heads = ("position", "cross-section") * 2 + ("cross-section", "worst [A]")
    print(f"{'case':36s}" + "".join(f"{head:>15s}" for head in heads))
    for scene in scenes(draw):
        known = scene.truth
        truth = np.column_stack([known.x, known.y, known.volume])
        bound = cramer_rao(known, scene.shape, scene.pixel_size, scene.dose)
        cell = stemcount.integrate_cells(scene.image(None), truth[:, :2], background=0.0).cross_section
        errors, stds, cells = [], [], []
        for seed in range(seeds):
            image = scene.image(seed)
            if not scene.told:
                image = stemcount.ZoneAxisImage(image.data, scene.pixel_size)
            start = truth[:, :2] + np.random.default_rng(seed).normal(0, START, (len(truth), 2))
            fit = stemcount.fit_columns(image, start, **scene.options)
            errors.append(np.column_stack([fit.x, fit.y, fit.cross_section]) - truth)
            stds.append(np.column_stack([fit.x_std, fit.y_std, fit.cross_section_std]))
            found = stemcount.integrate_cells(image, fit)
            cells.append((found.cross_section - cell) / found.cross_section_std)
        e, s = np.array(errors), np.array(stds)
        scores = [
            e[..., :2] / bound[:, :2],
            e[..., 2] / bound[:, 2],
            e[..., :2] / s[..., :2],
            e[..., 2] / s[..., 2],
        ]
        figures = "".join("{:9.3f}+-{:.3f}".format(*root_mean(v**2)) for v in [*scores, np.array(cells)])
        worst = np.hypot(e[..., 0], e[..., 1]).max()
        print(f"{scene.name:38s}{figures}{worst:15.2f}", flush=True)
