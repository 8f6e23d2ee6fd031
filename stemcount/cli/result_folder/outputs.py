"""The result folder: summary, tables, structure, figures and report of a finished run."""

from __future__ import annotations

import json
import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import stemcount
import tomo
from stemcount.arrays import Ints
from stemcount.images.image import ZoneAxisImage
from stemcount.results import AtomCounts, ColumnFit, FitFlag
from stemcount.whole_file import whole_file

from ..all_views.view_readings import moments
from ..interrupt import stop_if_asked
from .tables import write_table

if TYPE_CHECKING:
    from ..run import Run

Drawn = tuple[str, str, Callable[[], Any]]
"""Name, caption and maker of a figure."""

RESULTS = ("reconstruction.h5", "atoms.xyz", "summary.json", "report.html")
EARLIER = "earlier"  # folder, in a result folder, of the result that was there before
REFUSED = "refused.txt"  # why a run was refused, for who opens its folder
PROGRAMS = ("stemcount", "numpy", "scipy", "numba", "hyperspy", "napari")


def set_result_aside(folder: Path) -> Path | None:
    """Put an earlier run's result where it cannot pass for that of a run that is refused or stopped.

    A run that is stopped while it writes leaves no summary; what it wrote does not replace a whole result.
    Returns the folder that holds an earlier result, of this or of a former run; None if there is none.
    """
    aside = folder / EARLIER
    kept = [name for name in RESULTS if (aside / name).exists()]
    there = [name for name in RESULTS if (folder / name).exists()]
    if kept and there and "summary.json" not in there:
        _remove(folder, there)
    elif there:
        _remove(aside, kept)
        aside.mkdir(exist_ok=True)
        for name in there:
            (folder / name).rename(aside / name)
    return aside if kept or there else None


def save_new_image(folder: Path, image: ZoneAxisImage) -> None:
    """Save an image before anything is measured, so that a refused run leaves it to be seen.

    Not where an earlier run's table lies: that belongs to the image beside it.
    """
    if not (folder / "columns.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        stemcount.save_image(image, folder / "image.hspy")


def write_columns(folder: Path, image: ZoneAxisImage, table: Mapping[str, ArrayLike]) -> None:
    """Write the first table of an image, beside which the image takes the place of an earlier run's."""
    if (folder / "columns.csv").exists():
        stemcount.save_image(image, folder / "image.hspy")
    write_table(folder / "columns.csv", table)


def drop_earlier_result(folder: Path) -> None:
    """Take away what `set_result_aside` kept, once there is a new result; nothing else that lies there."""
    aside = folder / EARLIER
    _remove(aside, RESULTS)
    if aside.is_dir() and not any(aside.iterdir()):
        aside.rmdir()


def _remove(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape the numbers."""
    found = {"python": platform.python_version()}
    for name in PROGRAMS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_result(
    run: Run, result: tomo.Reconstruction, images: dict[str, Any], figures: Iterable[Drawn], **findings: Any
) -> None:
    """Write what all runs do beside the tables: the reconstruction, its atoms, summary, figures and report.

    `images` holds what was found in each image by its name, `figures` are those beside the crystal's;
    `findings`, what only some runs have found, stand between the images and the agreement of the views.
    """
    result.save(run.out)
    result.write_xyz(run.out / "atoms.xyz")
    views, planes = result.agreement()
    summary = {
        "project": run.project.path.name,
        "crystal": run.project.crystal.model_dump(exclude_none=True),
        "atoms": atoms_summary(result),
        "images": images,
        **findings,
        "agreement": {
            "views": [view.summary() for view in views],
            "planes": [plane.summary() for plane in planes],
        },
        "reconstruction": reconstruction_summary(result),
        "warnings": list(result.warnings),
        "seed": result.seed,
        "seconds": run.seconds,
        "versions": versions(),
    }
    write_json(run.out / "summary.json", summary)
    if run.figures:
        import viewers

        many = f"{len(images)} view{'' if len(images) == 1 else 's'}"
        title = f"{run.project.crystal.name} particle from {many}"
        drawn = run.draw([*result_figures(result), *figures])  # the answer first
        viewers.write_report(run.out / "report.html", title, summary, drawn)


def image_summary(
    image: ZoneAxisImage, fit: ColumnFit, counts: AtomCounts, indexing: tomo.Indexing
) -> dict[str, Any]:
    """What was found in one image, in plain numbers with their units in the names."""
    mean, variance = (of_columns[indexing.keep] for of_columns in moments(counts))
    return {
        "zone_axis": list(image.zone_axis or ()),
        "pixel_size_A": image.pixel_size,
        **exposure_summary(image),
        "columns": len(fit),
        "columns_off_the_lattice": int(np.count_nonzero(~indexing.keep)),
        "column_flags": flag_counts(fit.flags),
        "peak": fit.peak[0],
        "halo_share": fit.halo[0],
        "halo_radius_A": fit.halo[1] if fit.halo[0] else None,
        "magnification": [float(np.min(fit.magnification)), float(np.max(fit.magnification))],
        "residual_sum_of_squares": fit.residual_sum_of_squares,
        "lattice": lattice_summary(indexing),
        "components": counts.n_components,
        "thinnest_column_atoms": counts.offset + 1,
        "order": counts.verdict,
        "order_reason": counts.reason,
        "atoms_counted": int(counts.count[indexing.keep].sum()),
        "atoms_expected": float(mean.sum()),
        "atoms_expected_std": float(np.sqrt(variance.sum())),
    }


def exposure_summary(image: ZoneAxisImage) -> dict[str, Any]:
    """Of how many frames an image is the average, how far they drifted, and the dose of all together."""
    drift = np.zeros(1) if image.drift is None else image.drift
    return {"frames": len(drift), "largest_drift_A": float(drift.max()), "dose_per_A2": image.dose}


def lattice_summary(indexing: tomo.Indexing) -> dict[str, float]:
    """How the lattice lies in one image, and how far its columns stray from it."""
    return {
        "rotation_deg": indexing.rotation,
        "scale": indexing.scale,
        "shear": indexing.shear,
        "residual_rms_A": float(np.sqrt(np.mean(indexing.residual[indexing.keep] ** 2))),
    }


def flag_counts(flags: Ints) -> dict[str, int]:
    """How many columns carry each `FitFlag`."""
    return {flag.name.lower(): int(np.count_nonzero(flags & flag)) for flag in FitFlag if flag and flag.name}


def atoms_summary(result: tomo.Reconstruction) -> dict[str, Any]:
    """How many atoms, and how sure; of several species, each alone too."""
    certainty = result.certainty
    several = result.crystal is not None and len(result.crystal.sublattices) > 1
    found = {
        "atoms": len(result.occupied(0.5)),
        "expected_atoms": float(certainty.sum()),
        "certain_sites": int(np.count_nonzero(certainty >= 0.95)),
        "doubtful_sites": int(np.count_nonzero((certainty > 0.05) & (certainty < 0.95))),
        "expected_wrong_atoms": result.diagnostics["expected_wrong"],
    }
    return found | ({"species": species_summary(result)} if several else {})


def in_a_sentence(result: tomo.Reconstruction) -> str:
    """What a finished run found, for the terminal: ``669 Au atoms; the runs differ on 3 sites``."""
    found = ", ".join(f"{number} {species}" for species, number in Counter(result.atoms()[0]).items())
    atoms = atoms_summary(result)
    if result.method == "sample" or "other_crystals" in result.diagnostics:
        sure = f"{atoms['expected_wrong_atoms']:.1f} expected to be wrong"
    else:
        sites = atoms["doubtful_sites"]
        sure = f"the runs differ on {sites} {'site' if sites == 1 else 'sites'}"
    return f"{found or 'no'} atoms; {sure}"


def species_summary(result: tomo.Reconstruction) -> dict[str, dict[str, float]]:
    """Atoms of every species, and how sure; how many are wrong is told by the chains that tell it of all."""
    wrong = result.diagnostics.get("expected_wrong_of_species", [result.diagnostics["expected_wrong"]])
    return {
        part.species: {
            "atoms": int(np.count_nonzero(part.certainty >= 0.5)),
            "expected_atoms": float(part.certainty.sum()),
            "expected_wrong_atoms": expected_wrong,
        }
        for part, expected_wrong in zip(result.parts, wrong, strict=False)
    }


def reconstruction_summary(result: tomo.Reconstruction) -> dict[str, Any]:
    """Settings and energies of the reconstruction."""
    return {
        "method": result.method,
        "runs": len(result.runs),
        "seed": result.seed,
        "edge_weight": result.edge_weight,
        "energy_best": float(np.min(result.energy)),
        "energy_mean": float(np.mean(result.energy)),
        "diagnostics": {k: v for k, v in result.diagnostics.items() if k not in ("views", "shared_planes")},
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write plain JSON: arrays become lists, and what is not finite, which JSON does not know, null."""

    def plain(item: Any) -> Any:
        if isinstance(item, np.ndarray | np.generic):
            item = item.tolist()
        if isinstance(item, dict):
            return {name: plain(value) for name, value in item.items()}
        if isinstance(item, list | tuple):
            return [plain(value) for value in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    text = json.dumps(plain(content), indent=2, allow_nan=False)
    with whole_file(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def fit_figure(image: ZoneAxisImage, fit: ColumnFit) -> Drawn:
    """Name, caption and maker of the figure of one image's fit."""
    import viewers

    caption = (
        f"{image.name}: the image, the model of all its columns and the background (dots: columns), and image"
        " minus model. A good model leaves noise without a pattern; rings or crosses at the columns"
        " say that peaks have another shape, and a slope that the background has."
    )
    return f"{image.name}_fit", caption, lambda: viewers.figure_fit(image, fit)


def count_figures(image: ZoneAxisImage, fit: ColumnFit, counts: AtomCounts) -> Iterator[Drawn]:
    """Name, caption and maker of each figure of one image's counts."""
    import viewers

    name = image.name
    unit = None if image.dose is None else "Å²"  # a known dose means fractions of the incident beam
    yield (
        f"{name}_histogram",
        f"{name}: how intensities became numbers of atoms. Left: cross-sections of all columns (grey) and the"
        " class of each number of atoms (coloured); the less the classes overlap, the surer the counts."
        " Middle: the ICL criterion, whose minima are numbers of classes that the values alone suggest, and"
        " the number chosen with everything else that is known. Right: mean cross-section of k atoms; it must"
        " rise smoothly from zero.",
        lambda: viewers.figure_histogram(fit, counts, unit=unit),
    )
    yield (
        f"{name}_counts",
        f"{name}: number of atoms in each column as counted from this image, by colour and in figures where"
        " there is room. White rings: counts with a probability below 0.9.",
        lambda: viewers.figure_counts(image, fit, counts),
    )


def strain_figure(image: ZoneAxisImage, fit: ColumnFit, indexing: tomo.Indexing) -> Drawn:
    """Name, caption and maker of the figure of one image's distortion."""
    import viewers

    least, most = np.min(fit.magnification), np.max(fit.magnification)
    divided = (
        ""
        if least == most
        else (
            " The widths of the peaks and the classes of the cross-sections say that it was the scan, so"
            f" cross-sections were divided by its magnification, {least:.3f}-{most:.3f}."
        )
    )
    caption = (
        f"{image.name}: slow distortion of the lattice relative to its mean over the image. It holds what the"
        f" scan did to the image (drift, distortion) as well as strain of the crystal.{divided}"
    )
    return f"{image.name}_strain", caption, lambda: viewers.figure_strain(image, indexing)


def result_figures(result: tomo.Reconstruction) -> Iterator[Drawn]:
    """Name, caption and maker of each figure of the crystal."""
    import viewers

    yield (
        "atoms",
        "The reconstructed atoms as spheres that touch, seen obliquely and along the beam of the images."
        " Colour: certainty that the atom is there, from yellow (certain) to grey (no more than even odds).",
        lambda: viewers.figure_atoms(result),
    )
    yield (
        "certainty",
        "Left: how many sites are how certain, on a logarithmic scale. Right: how many atoms are left when"
        " only those above a threshold are believed; the flatter the curve, the less depends on it.",
        lambda: viewers.figure_certainty(result),
    )
    yield (
        "reprojections",
        "Atoms in each column, one row for each view, turned so that the crystal stands upright: as the image"
        " counted them, as the reconstructed crystal holds them, and the difference (red: the crystal holds"
        " more, blue: fewer). Differences that lie together say that a view or the crystal is wrong there.",
        lambda: viewers.figure_reprojections(result),
    )
    if len(result.views) > 1:
        yield (
            "plane_sums",
            "Atoms in the lattice planes that two views share. Whatever the shape of the particle, both"
            " images must find the same number in each plane; the bars below are the difference.",
            lambda: viewers.figure_plane_sums(result),
        )


def save_figure(folder: Path, name: str, make: Callable[[], Any]) -> Path:
    """Draw one figure into folder/name.png."""
    stop_if_asked()
    path = folder / f"{name}.png"
    figure = make()
    # savefig would draw all of it once more to lay it out, and once more to see how large it is
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    with whole_file(path) as unfinished:
        figure.canvas.print_png(unfinished)
    return path
