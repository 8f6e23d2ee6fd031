"""`stemcount demo`: a sample particle from its images to its atoms, compared with the truth."""

from __future__ import annotations

import shlex
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import tomo
from stemcount.errors import InputError

from ..pipeline import run_project
from ..project_file.project import load_project
from ..result_folder.tables import write_table
from .simulation import read_structure

SAMPLES = {  # that ship: their project files and their true structures
    "gold": ("gold.toml", "au_particle.xyz"),
    "core-shell": ("core_shell.toml", "pbse_cdse_particle.xyz"),
}


def run_demo(
    out: Path, seed: int | None = None, workers: int | None = None, sample: str = "gold"
) -> tomo.Comparison:
    """Run one of `SAMPLES` end to end; print how its atoms compare with the true ones.

    Returned is the comparison of the counted species. The result folder also receives comparison.csv, the
    true sites with how each was found, and of the core-shell sample core.mp4, the turning core. InputError if
    there is no such sample.
    """
    if sample not in SAMPLES:
        raise InputError(f"demo: there is no sample {sample!r}; expected one of {', '.join(SAMPLES)}.")
    folder = Path(str(files("sample_images")))
    project, structure = (folder / name for name in SAMPLES[sample])
    result = run_project(project, out, seed=seed, workers=workers)
    species, positions = read_structure(structure)
    crystal = load_project(project).crystal.crystal()
    places = 2 * positions / crystal.a
    names = np.array(species)
    true = {name: places[names == name] for name in dict.fromkeys([crystal.species, *species])}
    origin = true[crystal.species][0].copy()  # a site of the counted species' grid
    comparison = _compare(result, {name: sites - origin for name, sites in true.items()}, origin, out)
    if result.companions:
        _save_movie(result, out)
    print(f"Results in {out}; look at them:  stemcount view {shlex.quote(str(out))}")
    return comparison


def _compare(
    result: tomo.Reconstruction, true: dict[str, np.ndarray], origin: np.ndarray, out: Path
) -> tomo.Comparison:
    """Compare every species in the frame in which the counted one matches best; write and print it."""
    assert result.crystal is not None
    found = {part.species: part.occupied() + np.array(part.offset) for part in result.parts}
    comparison = tomo.compare_sites(result.occupied(), np.rint(true[result.crystal.species]).astype(np.int64))
    table: dict[str, list[np.ndarray]] = {"species": [], "sites": [], "status": []}
    for name, sites in found.items():
        placed = sites @ comparison.operation.T + comparison.shift
        status, every = _status(placed, true[name])
        table["species"].append(np.full(len(every), name, dtype=object))
        table["sites"].append(every + origin)
        table["status"].append(status)
        missed, false = np.count_nonzero(status == "missed"), np.count_nonzero(status == "false")
        kind = f"{name} atoms" if result.companions else "atoms"
        print(
            f"Truth: {len(true[name])} {kind}; missed {missed}, false {false}:"
            f" {100 * (missed + false) / len(true[name]):.2f} % wrong"
        )
    sites = np.concatenate(table["sites"])
    columns = {letter: sites[:, k] for k, letter in enumerate("hkl")}
    columns["status"] = np.concatenate(table["status"])
    if result.companions:
        columns = {"species": np.concatenate(table["species"]), **columns}
    else:
        columns |= {letter: np.rint(columns[letter]).astype(np.int64) for letter in "hkl"}
    write_table(out / "comparison.csv", columns)
    return comparison


def _status(found: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every place [a/2] that is in either set, and what became of it: right, missed or false."""
    sets = [{tuple(place) for place in np.rint(4 * places).astype(int).tolist()} for places in (found, true)]
    every = sorted(sets[0] | sets[1])
    status = ["right" if s in sets[0] & sets[1] else "missed" if s in sets[1] else "false" for s in every]
    return np.array(status, dtype=object), np.array(every, dtype=float).reshape(-1, 3) / 4


def _save_movie(result: tomo.Reconstruction, out: Path) -> None:
    """The turning core, coloured by certainty; as a GIF where no video encoder is installed."""
    import viewers

    name = "core.mp4" if find_spec("imageio_ffmpeg") else "core.gif"
    if find_spec("imageio") is None:
        print(f"No movie: {name} needs imageio; install it with  pip install 'stemcount[gui]'.")
        return
    viewers.save_movie(result, out / name, frames=96, size=(640, 512))
    print(f"The turning core, coloured by certainty: {out / name}")
