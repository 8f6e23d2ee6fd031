"""Crowded columns, laid on a lattice as a whole.

Where columns are closer than three widths of their peaks, one of them less in a row, with the others a little
displaced, explains the image nearly as well, and no step that adds or drops single columns leads out. All
columns together tell better where they are: by the lattice that the image's spectrum shows, by the one on
which most of those found stand, by what stands around each of them, or by the one that a known crystal has.
All its sites are then tried at once, and taken if they explain the image better.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..fitting.fit import typical_spacing
from ..images.image import ZoneAxisImage
from .complete import BESIDE, PAIR, on_lattice, revise, strong_lattice
from .deconvolve import SIGNIFICANT
from .evidence import better, misfit
from .fourier import CLEAR, SMOOTHED, FourierLattice, lattice_seeds
from .known import known_lattice, same_shape
from .lattice import SHARE, shortest, translations_of
from .scene import Scene
from .significance import CLOSE, Revision
from .smooth import smooth_area, too_wide
from .spectrum import lattice_of_points, lattices_in_spectrum, reduced

Floats = NDArray[np.float64]

NEAREST = 1.0  # distance of rows of columns [A]: closer ones are not resolved
RELAID = 4  # times that columns are laid on their lattice
FEW = 0.02  # of the columns or sites that noise displaces or adds


def on_spectral_lattice(
    image: ZoneAxisImage, scene: Scene, best: Revision | None, tried: list[Floats]
) -> Revision | None:
    """The better one of a set of columns and all sites of a lattice that the image's spectrum may show.

    `best` are the columns found so far; peaks wider than columns are no rivals, as the spectrum has told the
    lattice from all that is smooth. Sites (n, 2) that have been `tried` are not tried again; those of this
    are added to them [A].
    """
    px = image.pixel_size
    candidates = []
    for lattice in lattices_in_spectrum(*scene.modulation(), NEAREST / px):
        spacing = float(np.linalg.norm(lattice.basis, axis=0).min())
        lattice = replace(lattice, basis=lattice.basis * px, origin=lattice.origin * px + image.offset)
        candidates.append((sites_shown(image, scene, lattice), spacing / CLOSE))
    if best is not None and any(stands_on(best.points, sites) for sites, _ in candidates):
        return best
    for sites, width in candidates:
        trial = trial_of(image, scene, sites, width, tried)
        if trial is None or too_wide(trial, px):
            continue
        if best is None or too_wide(best, px):  # none of them shows by itself
            return replace(trial, added=np.ones(len(trial.points), dtype=bool))
        if better(trial, best, scene):
            return trial
    return best


def on_own_lattice(image: ZoneAxisImage, scene: Scene, best: Revision, tried: list[Floats]) -> Revision:
    """The better one of a set of columns and all sites of the lattice on which most of them stand.

    Where columns are nearer than two widths, a spot of the lattice can be lost in the noise of the spectrum.
    The columns found, of which one or two are missing in many a row, still have most of it. Parameters as of
    `on_spectral_lattice`.
    """
    translations = strong_lattice(best)
    if len(translations) == 0:
        return best
    sites = sites_shown(image, scene, lattice_of_points(best.points, translations))
    beside = columns_beside(best.points, sites, shortest(translations))
    if not beside.any() or beside.mean() > SHARE:  # nothing to be put right, or not their lattice
        return best
    trial = trial_of(image, scene, sites, best.width, tried)
    return trial if trial is not None and better(trial, best, scene) else best


def on_known_lattice(
    image: ZoneAxisImage, scene: Scene, best: Revision | None, basis: Floats
) -> Revision | None:
    """The better one of a set of columns and those on a lattice whose shape is known.

    What a column off the lattice costs is that of the known one: columns of another lattice stand off it. So
    it must be told from others as clearly as by its Fourier transform, from that of the columns among them.
    `best` are the columns found so far, left as they are if they form a lattice of this shape; `basis` (2, 2)
    has its two vectors as columns, in any orientation [A].
    """
    px = image.pixel_size
    other = None
    translations = np.zeros((0, 2)) if best is None else strong_lattice(best)
    if best is not None and len(translations):
        own = lattice_of_points(best.points, translations)
        if same_shape(own.basis, basis):
            return best
        other = own.basis / px, (own.origin - image.offset) / px
    lattice = known_lattice(scene, basis / px, other)
    if lattice is None or lattice.clear < CLEAR:
        return best
    place = FourierLattice(lattice.basis * px, lattice.origin * px + image.offset, lattice.clear)
    known = translations_of(reduced(place.basis).T)
    sites = sites_shown(image, scene, place)
    if len(sites) == 0:
        return best
    trial = revise(image, sites, lattice.width, resolved=True, slow=scene.slow, known=known)
    if trial is None or too_wide(trial, px) or smooth_area(trial):
        return best
    if lattice.clear < CLEAR * misfit(trial, scene):  # what no columns explain has its own evidence
        return best
    if best is not None and not better(trial, best, scene, known):
        return best
    return replace(trial, added=np.ones(len(trial.points), dtype=bool))


def relaid(image: ZoneAxisImage, scene: Scene, best: Revision) -> Revision:
    """The better one of a set of columns and those laid on the lattice around them, while that helps."""
    for _ in range(RELAID):
        points = on_lattice(best)
        if points is None:
            break
        trial = revise(image, points, best.width, resolved=True, slow=scene.slow)
        if trial is None or not better(trial, best, scene):
            break
        best = trial
    return best


def sites_shown(image: ZoneAxisImage, scene: Scene, lattice: FourierLattice) -> Floats:
    """Points (n, 2) of a lattice [A] where the image, smoothed, stands out of its background."""
    spacing = float(np.linalg.norm(lattice.basis, axis=0).min()) / image.pixel_size
    noise = float(np.sqrt(scene.variance[scene.valid].mean() / (4 * np.pi))) / (SMOOTHED * spacing)
    flat = replace(image, data=scene.data - scene.slow)
    return lattice_seeds(flat, lattice, scene.background + SIGNIFICANT * noise)


def trial_of(
    image: ZoneAxisImage, scene: Scene, sites: Floats, width: float, tried: list[Floats]
) -> Revision | None:
    """The columns that stand on some sites; None if there is none or these sites have been `tried`."""
    if len(sites) == 0 or any(same_sites(sites, other) for other in tried):
        return None
    tried.append(sites)
    return revise(image, sites, width, resolved=True, slow=scene.slow)


def columns_beside(points: Floats, sites: Floats, spacing: float) -> NDArray[np.bool_]:
    """Which points stand beside the sites of a lattice whose least distance is `spacing`."""
    if len(sites) == 0:
        return np.ones(len(points), dtype=bool)
    return np.asarray(cKDTree(sites).query(points)[0] > BESIDE * spacing)


def stands_on(points: Floats, sites: Floats) -> bool:
    """Whether columns stand on the sites of a lattice, with nothing to add to them or to take away.

    Empty sites as far from the columns as these are from each other have been tried already, one by one;
    so have all if they are about as many as the columns.
    """
    spacing = typical_spacing(points[:, 0], points[:, 1], 0.0)
    if SHARE * len(sites) > len(points) or columns_beside(points, sites, spacing).mean() > FEW:
        return False
    distance = cKDTree(points).query(sites)[0]
    between = (distance > BESIDE * spacing) & (distance < PAIR * spacing)
    return bool(between.sum() <= FEW * len(points))


def same_sites(sites: Floats, others: Floats) -> bool:
    """Whether two sets of sites are the same but for a few, at the rim."""
    spacing = typical_spacing(sites[:, 0], sites[:, 1], 0.0)
    pairs = ((sites, others), (others, sites))
    return all(columns_beside(one, other, spacing).mean() <= FEW for one, other in pairs)
