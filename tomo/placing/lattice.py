"""Finding a 2D lattice in a cloud of points from the vectors between neighbours."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.spatial import Delaunay, QhullError, cKDTree

from ..arrays import Floats
from ..crystal import Crystal
from ..zone import Zone, column_shifts, zone_geometry

COMMON_AXES = ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0), (0, 1, 3), (1, 2, 3))
SCALE_TOLERANCE = 0.12  # 10 % asked for, and what noise on a small particle adds
SHEAR_TOLERANCE = 0.1  # lattices of two zone axes differ by 0.106 ([113] and [221]) or more
MAX_VECTORS = 600  # difference vectors that score a trial; more only cost time
UNRESOLVED = 0.9  # of the distance of the columns found: where nearer ones are expected, some run together
MIN_EXPLAINED = 0.4  # share of the neighbour vectors on the lattice, chance hits taken off


def find_lattice(points: Floats, geometry: Zone, crystal: Crystal) -> Floats | None:
    """Matrix (2, 2) that maps ideal projected vectors to vectors in the image; None where there is none.

    The power spectrum of the points (n, 2) [A], from neighbour vectors only so that slow distortions do not
    smear it, is compared with the expected one over all rotations and scales; the best trials are refined by
    least squares on the neighbour vectors.
    """
    basis, shifts = geometry.plane_basis * crystal.a / 2, column_shifts(geometry.zone_axis, crystal)
    vectors = neighbour_vectors(points, 18, 2.6 * float(np.linalg.norm(basis[:, 1])))
    if len(vectors) < 8:
        return None
    best: Floats | None = None
    best_score = MIN_EXPLAINED
    for rotation, scale in _trials(_thin(vectors), basis, shifts):
        c, s = np.cos(rotation), np.sin(rotation)
        matrix = _refine(vectors, scale * np.array([[c, -s], [s, c]]), basis, shifts)
        stretch = np.linalg.svd(matrix, compute_uv=False)
        if abs(np.sqrt(stretch[0] * stretch[1]) - 1) > SCALE_TOLERANCE or np.linalg.det(matrix) <= 0:
            continue
        if stretch[0] / stretch[1] - 1 > SHEAR_TOLERANCE:
            continue
        score = _explained(vectors, matrix @ basis, shifts)
        if len(shifts) == 1 and not _dense_enough(points, matrix @ basis):
            continue
        if score > best_score:
            best, best_score = matrix, score
    return best


def neighbour_vectors(points: Floats, count: int, longest: float) -> Floats:
    """Vectors (m, 2) from points to their nearest neighbours, up to `count` each and `longest` [A]."""
    count = min(count, len(points) - 1)
    distance, index = cKDTree(points).query(points, k=count + 1)
    vectors = (points[index[:, 1:]] - points[:, None]).reshape(-1, 2)
    distance = distance[:, 1:].ravel()
    return np.asarray(vectors[(distance < longest) & (distance > 1e-9)])


def describe_lattice(points: Floats) -> tuple[tuple[float, float], float] | None:
    """Lattice that any points form: lengths of the shortest basis [A] and angle between [deg].

    None if the neighbour vectors do not gather at lattice points.
    """
    vectors = neighbour_vectors(points, 8, np.inf)
    typical = float(np.median(np.linalg.norm(neighbour_vectors(points, 1, np.inf), axis=1)))
    sample = _thin(vectors[np.linalg.norm(vectors, axis=1) < 2.5 * typical])
    if len(sample) < 8:
        return None
    gathered = cKDTree(np.concatenate([sample, -sample]))
    members = gathered.query_ball_point(sample, 0.15 * typical)
    weight = np.array([len(m) for m in members], dtype=float)
    length = np.linalg.norm(sample, axis=1)
    strong = weight > 0.5 * weight.max()
    first = sample[np.flatnonzero(strong)[np.argmin(length[strong])]]
    sine = np.abs(sample[:, 0] * first[1] - sample[:, 1] * first[0]) / (length * np.linalg.norm(first))
    strong &= sine > 0.35
    if not strong.any():
        return None
    second = sample[np.flatnonzero(strong)[np.argmin(length[strong])]]
    basis = np.column_stack([first, second])
    for _ in range(3):
        index = np.rint(np.linalg.solve(basis, vectors.T))
        good = np.linalg.norm(vectors.T - basis @ index, axis=0) < 0.25 * typical
        if np.count_nonzero(good) < 0.5 * len(vectors):
            return None
        basis = np.linalg.lstsq(index[:, good].T, vectors[good], rcond=None)[0].T
    p, q = basis.T
    while True:  # Lagrange-Gauss reduction
        if p @ p > q @ q:
            p, q = q, p
        step = np.rint(p @ q / (p @ p))
        if step == 0:
            break
        q = q - step * p
    lengths = float(np.linalg.norm(p)), float(np.linalg.norm(q))
    return lengths, float(np.degrees(np.arccos(abs(p @ q) / lengths[0] / lengths[1])))


def explain_mismatch(points: Floats, geometry: Zone, crystal: Crystal, label: str) -> str:
    """The sentence that says which lattice was found where another was expected."""
    u, v, w = geometry.zone_axis
    p1, p2 = geometry.plane_basis.T * crystal.a / 2
    expected = f"{np.linalg.norm(p1):.2f} x {np.linalg.norm(p2):.2f} A at {_acute(_angle(p1, p2)):.0f} deg"
    where = f"[{u} {v} {w}] of {'/'.join(s.species for s in crystal.sublattices)} with a = {crystal.a:g} A"
    seen = describe_lattice(points)
    if seen is None:
        return (
            f"{label}: the {len(points)} columns form no lattice; expected one of {expected} for {where}."
            " Is it a twin, are there two crystals, or was the grain of a support film taken for columns? roi"
            " leaves out what is beside the particle."
        )
    lengths, angle = seen
    found = f"{lengths[0]:.2f} x {lengths[1]:.2f} A at {angle:.0f} deg"
    single = len(crystal.sublattices) == 1
    ratio = _ratio(lengths, angle, geometry, crystal)
    others = [
        axis for axis in COMMON_AXES if abs(_ratio(lengths, angle, zone_geometry(axis), crystal) - 1) < 0.1
    ]
    if single and np.isfinite(ratio) and abs(ratio - 1) > 0.05:
        reason = f"the scale is off by {100 * (ratio - 1):+.0f} %, check pixel size and a"
        if any(abs(ratio / np.sqrt(share) - 1) < 0.03 for share in (2, 3)):
            reason += (
                "; or is it a single layer of atoms? It lacks every second line of this axis, or two of"
                " three, and cannot be read along it"
            )
    elif single and np.isfinite(ratio):
        reason = (
            "such a lattice is there, but too few of the columns lie on one: is there a second crystal or a"
            " grainy film, which roi would leave out, or are the atoms dark in this image?"
        )
    elif single and others:
        axis = " ".join(map(str, others[0]))
        reason = f"it is that of <{axis}>, check the zone axis, and that roi leaves out any second crystal"
    else:
        reason = "check the zone axis, the pixel size and a, and that roi leaves out any second crystal"
        if geometry.spacing(crystal.a) < UNRESOLVED * min(lengths):
            reason += "; or columns so close are not resolved in this image"
    end = "" if reason.endswith("?") else "."
    return f"{label}: the columns form a lattice of {found}, expected {expected} for {where}; {reason}{end}"


def _ratio(lengths: tuple[float, float], angle: float, geometry: Zone, crystal: Crystal) -> float:
    """Scale of a lattice against that of a zone axis; NaN if the shapes differ."""
    p1, p2 = geometry.plane_basis.T * crystal.a / 2
    shape = lengths[1] / lengths[0] / (np.linalg.norm(p2) / np.linalg.norm(p1))
    if abs(shape - 1) > 0.05 or abs(_acute(angle) - _acute(_angle(p1, p2))) > 4:
        return float("nan")
    return float(np.sqrt(lengths[0] * lengths[1] * np.sin(np.radians(angle)) / geometry.cell_area(crystal.a)))


def _angle(p: Floats, q: Floats) -> float:
    return float(np.degrees(np.arccos(np.clip(p @ q / np.linalg.norm(p) / np.linalg.norm(q), -1, 1))))


def _acute(angle: float) -> float:
    return min(angle, 180 - angle)


def _thin(vectors: Floats) -> Floats:
    return vectors[:: max(1, len(vectors) // MAX_VECTORS)]


def _structure_factors(basis: Floats, shifts: Floats) -> tuple[Floats, Floats]:
    """Reciprocal vectors (m, 2) [1/A] of one half plane and their weights |F|^2, damped."""
    reciprocal = np.linalg.inv(basis).T
    index = np.array([(p, q) for p in range(-3, 4) for q in range(-3, 4) if (p, q) > (0, 0)])
    phase = index @ shifts.T
    weight = np.abs(np.exp(2j * np.pi * phase).sum(axis=1)) ** 2 / len(shifts) ** 2
    vectors = index @ reciprocal.T
    length = np.linalg.norm(vectors, axis=1)
    shortest = length[weight > 0.2].min()
    weight = weight * np.exp(-0.5 * (length / shortest - 1) ** 2)
    strongest = np.argsort(-weight, kind="stable")[:8]
    strongest = strongest[weight[strongest] > 0.05]
    return vectors[strongest], weight[strongest] / weight[strongest].sum()


def _trials(vectors: Floats, basis: Floats, shifts: Floats) -> list[tuple[float, float]]:
    """Rotations and scales whose power spectrum fits best: local maxima, best first."""
    reciprocal, weight = _structure_factors(basis, shifts)
    reach = float(np.median(np.linalg.norm(vectors, axis=1)) * np.linalg.norm(reciprocal, axis=1).max())
    step = min(0.05, 0.1 / max(reach, 1e-9))  # a tenth of a period for the typical vector
    rotations = np.arange(0, np.pi, step)
    scales = np.arange(1 - SCALE_TOLERANCE - step, 1 + SCALE_TOLERANCE + 2 * step, step)
    score = np.zeros((len(rotations), len(scales)))
    # single precision, in which cosines take a tenth of the time, is enough to choose trials
    frequency = 1 / scales.astype(np.float32)[:, None, None]
    share = np.full(len(vectors), 1 / len(vectors), dtype=np.float32)
    for m, angle in enumerate(rotations):
        c, s = np.cos(angle), np.sin(angle)
        phase = 2 * np.pi * (vectors @ (reciprocal @ np.array([[c, s], [-s, c]])).T)
        score[m] = share @ np.cos(phase.astype(np.float32) * frequency) @ weight
    highest = maximum_filter(score, size=3, mode=("wrap", "constant"), cval=-np.inf)
    peaks = np.argwhere((score == highest) & (score > 0.5 * score.max()))
    peaks = peaks[np.argsort(-score[tuple(peaks.T)], kind="stable")][:12]
    return [(float(rotations[m]), float(scales[n])) for m, n in peaks]


def _nearest(vectors: Floats, basis: Floats, shifts: Floats) -> tuple[Floats, Floats]:
    """Nearest expected difference vector, in line coordinates, and the distance to it [A]."""
    fractional = np.linalg.solve(basis, vectors.T).T
    differences = (shifts[:, None] - shifts[None]).reshape(-1, 2)
    differences = np.unique(np.round(differences - np.floor(differences + 1e-9), 6), axis=0)
    best = np.full(len(vectors), np.inf)
    nearest = np.zeros_like(fractional)
    for shift in differences:
        trial = np.rint(fractional - shift) + shift
        distance = np.linalg.norm((fractional - trial) @ basis.T, axis=1)
        better = distance < best
        best[better], nearest[better] = distance[better], trial[better]
    return nearest, best


def _shortest(basis: Floats, shifts: Floats) -> float:
    """Shortest expected distance between columns [A]."""
    cells = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    gaps = (cells[:, None, None] + shifts[None, :, None] - shifts[None, None, :]).reshape(-1, 2)
    length = np.linalg.norm(gaps @ basis.T, axis=1)
    return float(length[length > 1e-6].min())


def _refine(vectors: Floats, matrix: Floats, basis: Floats, shifts: Floats) -> Floats:
    """Least squares on neighbour vectors, short ones first."""
    length = np.linalg.norm(vectors, axis=1)
    shortest = _shortest(basis, shifts)
    for quantile in (0.3, 0.5, 0.7, 0.9, 1.0, 1.0):
        nearest, distance = _nearest(vectors, matrix @ basis, shifts)
        good = (length <= np.quantile(length, quantile)) & (distance < 0.35 * shortest)
        if np.count_nonzero(good) < 6:
            continue
        ideal = nearest[good] @ basis.T
        solution, _, rank, _ = np.linalg.lstsq(ideal, vectors[good], rcond=None)
        if rank == 2:
            matrix = solution.T
    return matrix


def _explained(vectors: Floats, basis: Floats, shifts: Floats) -> float:
    """Share of the neighbour vectors that lie on the expected pattern, chance hits taken off."""
    kernel = 0.18 * _shortest(basis, shifts)
    distance = _nearest(vectors, basis, shifts)[1]
    hits = float(np.mean(np.exp(-0.5 * (distance / kernel) ** 2)))
    places = len(shifts) ** 2 - len(shifts) + 1  # distinct difference vectors per cell
    chance = min(2 * np.pi * kernel**2 * places / abs(float(np.linalg.det(basis))), 0.9)
    return (hits - chance) / (1 - chance)


def _dense_enough(points: Floats, basis: Floats) -> bool:
    """Whether most lattice points are occupied: the triangles between points have the right area.

    A Delaunay triangle between neighbouring lattice points has half the cell's area whatever its
    shape, so the median tells a lattice from a finer one that contains it.
    """
    try:
        corners = points[Delaunay(points).simplices]
    except QhullError:
        return False
    d1, d2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.abs(d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0])
    ratio = float(np.median(area)) / abs(float(np.linalg.det(basis)))
    return 0.7 < ratio < 1.6
