"""What napari calls: readers of images and results, the XYZ writer, and sample data."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

import tomo
from stemcount import InputError, load_images
from stemcount.images.files import IMAGE_FOLDERS
from tomo.result_file import holds_reconstruction

from .atoms import atom_layer_data, frame_atoms, name_colours
from .columns import image_layer_data
from .display import LayerData, coloured_by, sphere_look
from .options import written
from .result_folder import folder_layers, is_result_folder, tell_in_window, why_no_atoms
from .species import SPECIES_COLOURS
from .style import CERTAINTY_COLORMAP

Reader = Callable[[Any], list[LayerData]]

STRUCTURES = (".xyz", ".extxyz")
"""Endings of structure files that can be seen and compared."""
SPHERE_RADIUS = 1.44
"""Radius of the spheres of an XYZ file [A]; that of gold, since such files hold no radii."""
SPHERE_SHARE = 0.7
"""Of that radius where a file holds several species, whose bonds are shorter."""


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """The function that reads one path or several, or None where one is not a file of the program's.

    These are result folders, ``reconstruction.h5``, extended XYZ files, and images that hyperspy reads.
    """
    paths = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    if not paths:
        return None
    readers = [_reader_of(p) for p in paths]
    if any(reader is None for reader in readers):
        return None

    def read(_: Any) -> list[LayerData]:
        return [layer for p, reader in zip(paths, readers, strict=True) if reader for layer in reader(p)]

    return read


def _reader_of(path: Path) -> Reader | None:
    if is_result_folder(path):
        return read_result
    if path.is_dir() and path.suffix.lower() not in IMAGE_FOLDERS:
        return None
    suffix = path.suffix.lower()
    if suffix in STRUCTURES:
        return read_xyz
    if suffix in (".h5", ".hdf5") and holds_reconstruction(path):
        return read_result
    return read_image


def read_result(path: Path) -> list[LayerData]:
    """Images, columns and atoms of a result folder, or the atoms of a ``reconstruction.h5``.

    A napari window that shows nothing yet, or other atoms, is set up for the atoms, in 3D; where a refused
    run has left none, an empty one says why.
    """
    if path.is_dir():
        layers = folder_layers(path)
        if (said := why_no_atoms(path)) is not None:
            if (viewer := _empty_window()) is not None:
                viewer.canvas.overlays["scale_bar"].visible = True
                tell_in_window(viewer, said)
            return layers
        if _window_of_atoms() is not None:
            for _, properties, _ in layers:
                properties["visible"] = False
    else:
        layers = [atom_layer_data(tomo.load_reconstruction(path), path.stem)]
    _frame_atoms_when_added()
    return layers


def _frame_atoms_when_added() -> None:
    """Make napari's window, if it is empty or shows other atoms, turn to the atoms when it gets them."""
    viewer = _empty_window() or _window_of_atoms()
    if viewer is None:
        return

    def frame(event: Any) -> None:
        if "reconstruction" in event.value.metadata:
            viewer.layers.events.inserted.disconnect(frame)
            frame_atoms(viewer, event.value)
            name_colours(viewer, event.value)

    viewer.layers.events.inserted.connect(frame)


def _window() -> Any:
    """The napari window that a file is opened in; None where there is none."""
    napari = sys.modules.get("napari")
    return napari.current_viewer() if napari else None


def _empty_window() -> Any:
    """The napari window that a file is opened in, if it shows nothing yet; else None."""
    viewer = _window()
    return viewer if viewer is not None and not len(viewer.layers) else None


def _window_of_atoms() -> Any:
    """The napari window that a file is opened in, if it shows a reconstruction in 3D; else None."""
    viewer = _window()
    if viewer is None or viewer.dims.ndisplay != 3:
        return None
    shown = any("reconstruction" in layer.metadata and layer.visible for layer in viewer.layers)
    return viewer if shown else None


def read_image(path: Path) -> list[LayerData]:
    """The images of a file, pixel size in A; a window that shows nothing yet gets a scale bar."""
    layers = [image_layer_data(image) for image in load_images(path)]
    if (viewer := _empty_window()) is not None:
        viewer.canvas.overlays["scale_bar"].visible = True
    return layers


def read_xyz(path: Path) -> list[LayerData]:
    """Atoms of an extended XYZ file, by species where it holds several, else by certainty."""
    species, positions, certainty = parse_xyz(path)
    names = list(dict.fromkeys(species.tolist()))
    properties: dict[str, Any] = {
        "name": path.stem,
        "features": {"certainty": certainty, "species": species},
        "size": 2 * SPHERE_RADIUS * (1.0 if len(names) < 2 else SPHERE_SHARE),
        "metadata": {"structure": True},
        **sphere_look(in_angstrom=True),
    }
    if len(names) > 1:
        colours = [SPECIES_COLOURS[names.index(name) % len(SPECIES_COLOURS)] for name in species]
        properties["face_color"] = np.array([to_rgba(colour) for colour in colours])
    else:
        properties |= coloured_by("certainty", CERTAINTY_COLORMAP, (0.0, 1.0))
    return [(positions, properties, "points")]


def parse_xyz(path: Path) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.float64]]:
    """Species (n,), positions (n, 3) [A] and certainties (n,) of an XYZ file; certainty 1 where it has none.

    InputError if it is no (extended) XYZ file.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        count = int(lines[0])
        found = re.search(r'Properties="?([^\s"]+)', lines[1])
        layout = (found[1] if found else "species:S:1:pos:R:3").split(":")
        columns: dict[str, int] = {}
        start = 0
        for name, width in zip(layout[0::3], layout[2::3], strict=True):
            columns[name] = start
            start += int(width)
        rows = [line.split() for line in lines[2 : 2 + count]]
        if len(rows) < count:
            raise ValueError(f"it announces {count} atoms and holds {len(rows)}")
        at = columns["pos"]
        species = np.array([row[columns["species"]] for row in rows], dtype=str)
        positions = np.array([row[at : at + 3] for row in rows], float).reshape(-1, 3)
        certainty = np.ones(count)
        if "certainty" in columns:
            certainty = np.array([row[columns["certainty"]] for row in rows], float)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise InputError(f"{path}: not an extended XYZ file ({error}).") from error
    return species, positions, certainty


def write_points(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a layer of points as extended XYZ; a reconstruction's layer with all its atoms.

    `data` are positions (n, 3) along x, y, z [A], `attributes` the state of the layer as napari hands it
    over, which wants the names of the files written. InputError if the points are not in 3D or the file
    cannot be written.
    """
    metadata = attributes.get("metadata", {})
    if "reconstruction" in metadata:  # the layer leaves out hidden atoms, the file should not
        tomo.write_xyz(metadata["reconstruction"], path, metadata.get("threshold", 0.5))
        return [path]
    positions = np.asarray(data, float)
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError(f"{path}: XYZ files hold points in 3D, this layer has {positions.shape[-1]} axes.")
    features = attributes.get("features", {})
    species = [str(s) for s in features["species"]] if "species" in features else ["X"] * len(positions)
    certainty = np.asarray(
        features["certainty"] if "certainty" in features else np.ones(len(positions)), float
    )
    lines = [f"{len(positions)}", 'Properties=species:S:1:pos:R:3:certainty:R:1 pbc="F F F"']
    for symbol, (x, y, z), sure in zip(species, positions, certainty, strict=True):
        lines.append(f"{symbol} {x:.6f} {y:.6f} {z:.6f} {sure:.6f}")
    with written(path, "file") as unfinished:
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path]


def _sample(name: str, read: Reader) -> list[LayerData]:
    with as_file(files("sample_images").joinpath(name)) as path:
        return read(path)


def sample_001() -> list[LayerData]:
    """Sample image along [001]."""
    return _sample("au_001.hspy", read_image)


def sample_100() -> list[LayerData]:
    """Sample image along [100]."""
    return _sample("au_100.hspy", read_image)


def sample_110() -> list[LayerData]:
    """Sample image along [110]."""
    return _sample("au_110.hspy", read_image)


def sample_atoms() -> list[LayerData]:
    """True atoms of the sample particle."""
    return _sample("au_particle.xyz", read_xyz)
