"""Movie of the turning particle, or of its planes one after the other; needs no display."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError

from .atom_data import Selection
from .atom_figures import oblique_view
from .geometry import oblique_direction, view_rotation
from .options import check_indices, check_number, check_path, check_size, check_whole, written
from .screenshot import SHELL_OPACITY, AtomPicture

if TYPE_CHECKING:
    from tomo.result import Reconstruction


def save_movie(
    result: Reconstruction,
    path: str | Path,
    *,
    kind: Literal["turn", "planes"] = "turn",
    frames: int = 120,
    fps: int = 24,
    size: tuple[int, int] = (800, 640),
    direction: ArrayLike | None = None,
    normal: tuple[int, int, int] = (0, 0, 1),
    threshold: float = 0.5,
    background: tuple[float, float, float] | str = (1.0, 1.0, 1.0),
    shell: float = SHELL_OPACITY,
    colour: str = "certainty",
    progress: Callable[[float], None] | None = None,
) -> None:
    """Save a movie of the atoms as spheres coloured by certainty, or otherwise.

    Where other species were reconstructed too, their atoms around the core are drawn faint.

    Parameters
    ----------
    result : tomo.Reconstruction
    path : str or Path
        File to write, ``.mp4`` (H.264) or ``.gif``; its folder is made where there is none.
    kind : {"turn", "planes"}
        One full turn about the vertical, or the particle growing plane by plane.
    frames : int
        Number of frames; with ``kind="planes"`` they are shared by the planes.
    fps : int
        Frames a second.
    size : tuple of 2 int
        Width and height [pixels]; made multiples of 16, as video formats want.
    direction : (3,) array_like, optional
        Direction [uvw] of the first frame; by default a little off the first view's zone axis, or off
        the normal of the planes.
    normal : tuple of 3 int
        Normal (hkl) of the planes.
    threshold : float
        Sites of at least this certainty are drawn.
    background : tuple of 3 float or str
        Red, green, blue, 0..1, or a colour's name.
    shell : float
        Opacity of the other species' atoms, 0..1; planes are always shown without them.
    colour : {"certainty", "species", "coordination", "between runs", "distance"}
        What the colours tell, as in `save_screenshot`.
    progress : callable, optional
        Called with the fraction done after each frame.

    Raises
    ------
    InputError
        If the ending is neither mp4 nor gif, a number is out of range, or the file cannot be written.

    Examples
    --------
    >>> save_movie(result, "turn.gif", frames=4, size=(160, 128))
    >>> save_movie(result, "planes.gif", kind="planes", normal=(1, 1, 1), frames=4, size=(160, 128))
    """
    path = check_path(path, (".mp4", ".gif"))
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise InputError(
            f"{path}: mp4 needs imageio-ffmpeg; install it with  pip install 'stemcount[gui]', or write"
            " a .gif."
        )
    if not isinstance(kind, str) or kind not in ("turn", "planes"):
        raise InputError(f"kind must be 'turn' or 'planes', got {kind!r}.")
    frames, fps = check_whole("frames", frames, 2), check_whole("fps", fps, 1)
    width, height = check_size(size)
    size = (16 * round(width / 16), 16 * round(height / 16))
    normal = check_indices("normal", normal)
    threshold = check_number("threshold", threshold, 0, 1)
    shown = shell if kind == "turn" else 0.0
    picture = AtomPicture(result, size, Selection(threshold=threshold), background, shown, colour)
    if direction is not None:
        start = view_rotation(direction)[2]
    else:
        start = oblique_view(result) if kind == "turn" else oblique_direction(normal, 30, 25)
    if kind == "turn":
        pictures = _turn(picture, start, frames)
    else:
        pictures = _planes(picture, start, frames, Selection(threshold=threshold, normal=normal))
    with written(path, "movie") as unfinished:
        _write(unfinished, pictures, frames, fps, progress)


def _turn(picture: AtomPicture, start: NDArray, frames: int) -> Iterator[NDArray[np.uint8]]:
    """One full turn about the screen's vertical."""
    rotation = view_rotation(start)
    for angle in np.linspace(0, 2 * np.pi, frames, endpoint=False):
        direction = np.cos(angle) * rotation[2] + np.sin(angle) * rotation[0]
        yield picture.draw(direction, up=-rotation[1])


def _planes(
    picture: AtomPicture, start: NDArray, frames: int, selection: Selection
) -> Iterator[NDArray[np.uint8]]:
    """The particle growing plane by plane towards the eye."""
    normal = np.asarray(selection.normal)
    atoms = np.asarray(picture.result.occupied(selection.threshold)).reshape(-1, 3)
    planes = np.unique(atoms @ normal) if len(atoms) else np.array([0])
    away = float(normal @ start) > 0  # the normal points away from the eye: the last plane comes first
    planes = planes[::-1] if away else planes
    shown = -1
    for frame in range(frames):
        number = frame * len(planes) // frames
        if number != shown:
            plane = int(planes[number])
            picture.select(replace(selection, first=plane) if away else replace(selection, last=plane))
            drawn, shown = picture.draw(start), number
        yield drawn


def _write(
    path: Path,
    pictures: Iterator[NDArray[np.uint8]],
    frames: int,
    fps: int,
    progress: Callable[[float], None] | None,
) -> None:
    import imageio

    if path.suffix.lower() == ".gif":
        writer = imageio.get_writer(path, format="GIF", duration=1000 / fps, loop=0)
    else:
        writer = imageio.get_writer(
            path,
            format="FFMPEG",
            fps=fps,
            codec="libx264",
            quality=8,
            pixelformat="yuv420p",
            macro_block_size=16,
        )
    with writer:
        for number, picture in enumerate(pictures):
            writer.append_data(picture)
            if progress is not None:
                progress((number + 1) / frames)
