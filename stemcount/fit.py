"""Joint fit of all columns of an image: positions, cross-sections, widths and background at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .background import DEGREES, background_basis
from .covariance import column_covariance
from .errors import InputError
from .image import ZoneAxisImage
from .noise import NoiseLaw, estimate_noise
from .normal_equations import Bordered, local_blocks, project, solve_bordered
from .peaks import add_peaks, add_shared_derivatives, peak_height, reach_of
from .results import ColumnFit
from .scale import peak_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WIDTH_BOUNDS = (0.5, 2.0)  # of the width at the start; per-column widths stay within these of the common one
TAIL_START = (0.15, 2.0)
TAIL_BOUNDS = ((0.01, 0.6), (1.3, 4.0))
EDGE_REACH = 2.0  # widths from the edge of the used pixels within which a column is flagged
OVERLAP_REACH = 2.0  # widths between two columns below which both are flagged


@dataclass
class _State:
    """Everything that is fitted, in pixels and image units."""

    x: Floats
    y: Floats
    volume: Floats
    width: Floats
    tail: tuple[float, float]
    background: Floats

    def copy(self) -> _State:
        return replace(self, x=self.x.copy(), y=self.y.copy(), volume=self.volume.copy())


@dataclass(frozen=True)
class _Task:
    """What stays the same during a fit, in pixels and image units."""

    data: Floats
    valid: NDArray[np.bool_]
    x0: Floats
    y0: Floats
    pull: float  # standard deviation of a column's distance from its start in x and in y; 0 for none
    group: Ints
    n_groups: int  # shared widths; 0 when every column has its own
    tailed: bool
    basis: Floats
    fixed_background: float
    width_start: float

    @property
    def kinds(self) -> int:
        return 4 if self.n_groups == 0 else 3

    def model(self, s: _State) -> Floats:
        image = np.tensordot(s.background, self.basis, axes=1) + self.fixed_background
        image = np.ascontiguousarray(np.broadcast_to(image, self.data.shape)).copy()
        add_peaks(image, s.x, s.y, s.volume, s.width, *s.tail)
        return image

    def shared_images(self, s: _State) -> Floats:
        """Derivatives by the shared parameters: background, widths of the groups, tail."""
        m = len(self.basis)
        images = np.zeros((m + self.n_groups + 2 * self.tailed, *self.data.shape))
        images[:m] = self.basis
        if len(images) > m:
            add_shared_derivatives(
                images[m:], s.x, s.y, s.volume, s.width, self.group, self.n_groups, *s.tail
            )
        return images

    def objective(self, s: _State, weight: Floats) -> float:
        r = self.data - self.model(s)
        return float(np.sum(weight * r * r)) + self.pull_cost(s)

    def pull_cost(self, s: _State) -> float:
        if self.pull == 0:
            return 0.0
        return float(np.sum((s.x - self.x0) ** 2 + (s.y - self.y0) ** 2)) / self.pull**2

    def pull_terms(self, s: _State) -> tuple[Floats, Floats]:
        """Gradient and curvature of the pull for each of the columns' own parameters."""
        gradient = np.zeros((len(s.x), self.kinds))
        curvature = np.zeros((len(s.x), self.kinds))
        if self.pull > 0:
            gradient[:, 0] = (self.x0 - s.x) / self.pull**2
            gradient[:, 1] = (self.y0 - s.y) / self.pull**2
            curvature[:, :2] = 1 / self.pull**2
        return gradient, curvature

    def reaches(self, s: _State) -> Floats:
        return np.array([reach_of(w, *s.tail) for w in s.width])

    def system(self, s: _State, weight: Floats, local: bool = True) -> tuple[Bordered, Floats, Floats]:
        """Normal equations and the gradients of the columns' own and of the shared parameters."""
        residual = self.data - self.model(s)
        shared = self.shared_images(s)
        gradient, border = project(
            residual, shared, weight, s.x, s.y, s.volume, s.width, s.tail, self.reaches(s), self.kinds
        )
        flat = shared.reshape(len(shared), self.data.size)
        weighted = flat * weight.ravel()
        matrix = local_blocks(weight, s.x, s.y, s.volume, s.width, s.tail, self.kinds)
        return Bordered(matrix, border, weighted @ flat.T), gradient, weighted @ residual.ravel()

    def moved(self, s: _State, step: Floats, shared_step: Floats) -> _State:
        """The state after a step, kept within the bounds."""
        step = step.reshape(-1, self.kinds)
        limit = 0.5 * s.width
        m, g = len(self.basis), self.n_groups
        low, high = (b * self.width_start for b in WIDTH_BOUNDS)
        width = s.width + (shared_step[m + self.group] if g else step[:, 3])
        tail = s.tail
        if self.tailed:
            (f0, f1), (t0, t1) = TAIL_BOUNDS
            tail = (
                float(np.clip(s.tail[0] + shared_step[m + g], f0, f1)),
                float(np.clip(s.tail[1] + shared_step[m + g + 1], t0, t1)),
            )
        return _State(
            x=s.x + np.clip(step[:, 0], -limit, limit),
            y=s.y + np.clip(step[:, 1], -limit, limit),
            volume=np.maximum(s.volume + step[:, 2], 0.0),
            width=np.clip(width, np.maximum(low, 0.8 * s.width), np.minimum(high, 1.25 * s.width)),
            tail=tail,
            background=s.background + shared_step[:m],
        )


def _check_seeds(image: ZoneAxisImage, seeds: object) -> Floats:
    points = np.asarray(seeds, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise InputError(f"{image.name}: seeds must have shape (n, 2), x and y in A, got {points.shape}.")
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise InputError(f"{image.name}: seed {bad} is not finite; every column needs an x and a y in A.")
    left, right, top, bottom = image.extent
    margin = 0.05 * max(right - left, bottom - top)
    inside = (
        (points[:, 0] > left - margin)
        & (points[:, 0] < right + margin)
        & (points[:, 1] > top - margin)
        & (points[:, 1] < bottom + margin)
    )
    if not inside.all():
        bad = int(np.flatnonzero(~inside)[0])
        raise InputError(
            f"{image.name}: seed {bad} at ({points[bad, 0]:.2f}, {points[bad, 1]:.2f}) A lies outside the"
            f" image ({left:.1f} to {right:.1f}, {top:.1f} to {bottom:.1f} A); seeds are x, y in A."
        )
    return points


def typical_spacing(x: Floats, y: Floats, default: float) -> float:
    """Median distance of a column to its nearest neighbour, `default` if there is only one column."""
    if len(x) < 2:
        return default
    points = np.column_stack([x, y])
    return float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))


def _solve(task: _Task, state: _State, weigh: object, max_iterations: int, tolerance: float = 1e-5) -> _State:
    """Gauss-Newton with Levenberg-Marquardt damping; `weigh` gives the weights of a model image."""
    damping = 0.0
    n_shared = len(task.basis) + task.n_groups + 2 * task.tailed
    for _ in range(max_iterations):
        weight = weigh(task.model(state))  # type: ignore[operator]
        system, gradient, shared_gradient = task.system(state, weight)
        pull_gradient, curvature = task.pull_terms(state)
        gradient = gradient + pull_gradient
        # a column without volume says nothing about its position or width
        diagonal = system.local.diagonal().reshape(-1, task.kinds)
        floor = 1e-9 * np.maximum(diagonal.max(axis=0), np.finfo(float).tiny)
        before = task.objective(state, weight)
        for _ in range(8):
            extra = curvature + floor + damping * diagonal
            step, shared_step = solve_bordered(
                system,
                gradient.ravel(),
                shared_gradient,
                extra.ravel(),
                damping * np.diag(system.shared) if n_shared else np.zeros(0),
            )
            trial = task.moved(state, step, shared_step)
            after = task.objective(trial, weight)
            if after <= before * (1 + 1e-12):
                damping = 0.0 if damping < 1e-4 else damping / 10
                break
            damping = max(10 * damping, 1e-3)
        else:
            return state
        shift = max(np.max(np.abs(trial.x - state.x)), np.max(np.abs(trial.y - state.y)))
        growth = np.max(np.abs(trial.volume - state.volume)) / max(np.max(trial.volume), 1e-300)
        state = trial
        if before - after <= 1e-9 * before and shift < 1e-2 * task.width_start:
            break
        if shift < tolerance * task.width_start and growth < tolerance:
            break
    return state


def fit_columns(
    image: ZoneAxisImage,
    seeds: object,
    *,
    peak: str = "gaussian",
    widths: str = "common",
    background: str | float = "constant",
    column_type: object = None,
    likelihood: str = "poisson",
    pull: float | None = None,
    max_iterations: int = 50,
) -> ColumnFit:
    """Fit all columns of an image together."""
    points = _check_seeds(image, seeds)
    px = image.pixel_size
    data = image.data
    valid = np.isfinite(data) if image.valid is None else image.valid & np.isfinite(data)
    data = np.where(valid, data, 0.0)
    x0 = (points[:, 0] - image.offset[0]) / px
    y0 = (points[:, 1] - image.offset[1]) / px
    n = len(x0)
    types = np.zeros(n, dtype=np.int64) if column_type is None else np.asarray(column_type, dtype=np.int64)
    if widths == "common":
        group, n_groups = np.zeros(n, dtype=np.int64), 1
    elif widths == "per_type":
        group = np.unique(types, return_inverse=True)[1].astype(np.int64)
        n_groups = int(group.max()) + 1
    elif widths == "per_column":
        group, n_groups = np.zeros(n, dtype=np.int64), 0
    else:
        raise InputError(f"widths must be 'common', 'per_type' or 'per_column', got {widths!r}.")
    if isinstance(background, str):
        if background not in DEGREES:
            raise InputError(
                f"background must be one of {', '.join(DEGREES)} or a number, got {background!r}."
            )
        basis, fixed = background_basis((data.shape[0], data.shape[1]), DEGREES[background]), 0.0
    else:
        basis, fixed = background_basis((data.shape[0], data.shape[1]), -1), float(background)
    spacing = typical_spacing(x0, y0, 4 * peak_scale(data))
    width = float(min(peak_scale(data), 0.5 * spacing))
    task = _Task(
        data=data,
        valid=valid,
        x0=x0,
        y0=y0,
        pull=0.15 * spacing if pull is None else pull / px,
        group=group,
        n_groups=n_groups,
        tailed=peak == "tailed",
        basis=basis,
        fixed_background=fixed,
        width_start=width,
    )
    state = _start(task, width)
    law = estimate_noise(data, task.model(state), valid)

    for round_ in range(3):
        if likelihood == "least_squares":
            r = (data - task.model(state))[valid]
            law = NoiseLaw(float(np.mean(r * r)), 0.0, float(np.mean(r * r)))
        else:
            law = estimate_noise(data, task.model(state), valid)

        def weigh(model: Floats, law: NoiseLaw = law) -> Floats:
            return np.where(valid, 1 / law.variance(model), 0.0)

        state = _solve(task, state, weigh, max_iterations if round_ else 6)
    return _result(image, task, state, weigh(task.model(state)), types)


def _start(task: _Task, width: float) -> _State:
    """Volumes and background at the start positions and the start width: a linear problem."""
    n = len(task.x0)
    m = len(task.basis)
    state = _State(
        x=task.x0.copy(),
        y=task.y0.copy(),
        volume=np.full(n, 1e-6),
        width=np.full(n, width),
        tail=TAIL_START if task.tailed else (0.0, 1.0),
        background=np.zeros(m),
    )
    if m:
        state.background[0] = float(np.percentile(task.data[task.valid], 5))
    i = np.clip(np.rint(state.y).astype(int), 0, task.data.shape[0] - 1)
    j = np.clip(np.rint(state.x).astype(int), 0, task.data.shape[1] - 1)
    level = state.background[0] if m else task.fixed_background
    state.volume = np.maximum(task.data[i, j] - level, 0) * 2 * np.pi * width**2 * 0.5
    return state


def _result(image: ZoneAxisImage, task: _Task, s: _State, weight: Floats, types: Ints) -> ColumnFit:
    px = image.pixel_size
    system, _, _ = task.system(s, weight)
    _, curvature = task.pull_terms(s)
    floor = 1e-9 * np.maximum(system.local.diagonal().reshape(-1, task.kinds).max(axis=0), 1e-300)
    residual = np.where(task.valid, task.data - task.model(s), 0.0)
    rss = float(np.sum(residual**2))
    n_shared = system.shared.shape[0]
    covariance, _ = column_covariance(system, system, (curvature + floor).ravel(), np.zeros(n_shared))
    std = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0))
    return ColumnFit(
        x=s.x * px + image.offset[0],
        y=s.y * px + image.offset[1],
        height=peak_height(s.volume, s.width, s.tail),
        width=s.width * px,
        cross_section=s.volume * px**2,
        cross_section_std=std[:, 2] * px**2,
        background=s.background if len(s.background) else np.array([task.fixed_background]),
        residual_sum_of_squares=rss,
        flags=np.zeros(len(s.x), dtype=np.int64),
        peak=("tailed" if task.tailed else "gaussian", s.tail),
        x_std=std[:, 0] * px,
        y_std=std[:, 1] * px,
        column_type=types,
    )
