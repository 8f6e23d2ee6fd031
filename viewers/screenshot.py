"""Picture of the atoms in a file, without a window or a display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError

from .atom_data import Selection, visible_atoms
from .atom_figures import atom_positions, certainty_colours, lattice_parameter, length_unit
from .geometry import oblique_direction
from .spheres import frame_scale, render_spheres
from .style import CERTAINTY_COLORMAP, INK, new_figure, round_length, style

if TYPE_CHECKING:
    from tomo.result import Reconstruction


PICTURE_ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


def default_direction(result: Reconstruction) -> NDArray[np.float64]:
    """A direction a little off the first view's zone axis, so that no columns hide each other."""
    return oblique_direction(result.views[0].zone_axis if len(result.views) else (1, 1, 0))


class AtomPicture:
    """Draws a reconstruction from any direction at one scale, with colour bar and scale bar.

    Parameters
    ----------
    result : tomo.Reconstruction
    size : tuple of 2 int
        Width and height [pixels].
    selection : Selection, optional
        Which atoms to draw.
    frame : tuple of 3 float
        Colour of the background.
    """

    def __init__(
        self,
        result: Reconstruction,
        size: tuple[int, int],
        selection: Selection | None = None,
        background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        if len(size) != 2 or not all(64 <= int(s) <= 8192 for s in size):
            raise InputError(f"size must be (width, height) between 64 and 8192 pixels, got {size!r}.")
        self.result = result
        self.size = (int(size[0]), int(size[1]))
        self.background = background
        self.radius = lattice_parameter(result) / np.sqrt(8)
        atoms = atom_positions(result)[np.asarray(result.certainty) >= (selection or Selection()).threshold]
        self.centre = (atoms.min(axis=0) + atoms.max(axis=0)) / 2 if len(atoms) else np.zeros(3)
        self.bar = max(48, int(0.16 * self.size[0]))  # pixels at the right for the colour bar
        picture = (self.size[0] - self.bar, self.size[1])
        self.picture = picture
        self.scale = frame_scale(atoms - self.centre, self.radius, picture, margin=0.05)
        self.select(selection or Selection())
        self.decoration = self._decorate()

    def select(self, selection: Selection) -> None:
        """Choose other atoms; the scale stays."""
        shown = visible_atoms(self.result, selection)
        self.xyz = atom_positions(self.result)[shown] - self.centre
        self.colours = certainty_colours(np.asarray(self.result.certainty)[shown])

    def draw(self, direction: ArrayLike, up: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Picture (rows, cols, 3) seen along `direction`, `up` pointing up."""
        anchor = np.zeros(3)  # keeps the particle's centre in the middle while it turns
        scene = render_spheres(
            self.xyz,
            self.colours,
            self.radius,
            direction,
            up=up,
            size=self.picture,
            scale=self.scale,
            centre=anchor,
        )
        canvas = np.empty((self.size[1], self.size[0], 3))
        canvas[:] = self.background
        cover = scene.rgba[..., 3:]
        canvas[:, : self.picture[0]] = scene.rgba[..., :3] * cover + (1 - cover) * self.background
        ink = self.decoration[..., 3:]
        canvas = canvas * (1 - ink) + self.decoration[..., :3] * ink
        return np.round(255 * np.clip(canvas, 0, 1)).astype(np.uint8)

    def _decorate(self) -> NDArray[np.float64]:
        """Colour bar and scale bar as a transparent picture of the full size."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        width, height = self.size
        dpi = 100.0 * min(width, height) / 600.0
        dark = sum(self.background) < 1.5
        ink = "#e8eaed" if dark else INK
        with style():
            figure = new_figure(width / dpi, height / dpi)
            figure.set_layout_engine("none")
            figure.set_dpi(dpi)
            figure.patch.set_alpha(0.0)
            x0 = self.picture[0] / width
            axes = figure.add_axes((x0 + 0.012, 0.22, 0.022, 0.56))
            bar = figure.colorbar(ScalarMappable(Normalize(0, 1), CERTAINTY_COLORMAP), cax=axes)
            bar.set_label("certainty", color=ink)
            bar.outline.set_edgecolor(ink)  # type: ignore[operator]
            axes.tick_params(colors=ink)
            length = round_length(self.picture[0] / self.scale)
            fraction = length * self.scale / width
            line = figure.add_axes((0.03, 0.04, fraction, 0.008))
            line.set_facecolor(ink)
            line.set_xticks([])
            line.set_yticks([])
            line.spines[:].set_visible(False)
            figure.text(
                0.03 + fraction / 2,
                0.055,
                f"{length:g} {length_unit(self.result)}",
                ha="center",
                va="bottom",
                color=ink,
                fontsize=8,
            )
            canvas = cast(FigureCanvasAgg, figure.canvas)
            canvas.draw()
            drawn = np.array(canvas.buffer_rgba()) / 255.0
        fitted = np.zeros((height, width, 4))
        rows, cols = min(height, drawn.shape[0]), min(width, drawn.shape[1])
        fitted[:rows, :cols] = drawn[:rows, :cols]
        return fitted


def save_screenshot(
    result: Reconstruction,
    path: str | Path,
    *,
    size: tuple[int, int] = (1200, 900),
    direction: ArrayLike | None = None,
    threshold: float = 0.5,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> None:
    """Save a picture of the atoms as spheres coloured by certainty; needs no display.

    Parameters
    ----------
    result : tomo.Reconstruction
    path : str or Path
        File to write; its ending names the format (png, tif, jpg).
    size : tuple of 2 int
        Width and height [pixels].
    direction : (3,) array_like, optional
        Direction [uvw] in which one looks; by default a little off the first view's zone axis.
    threshold : float
        Sites of at least this certainty are drawn.
    background : tuple of 3 float
        Red, green, blue, 0..1.

    Raises
    ------
    InputError
        If the size, direction or ending of the file is wrong, or the file cannot be written.

    Examples
    --------
    >>> save_screenshot(result, "atoms.png", direction=(1, 1, 0))
    """
    import imageio.v3 as imageio

    if Path(path).suffix.lower() not in PICTURE_ENDINGS:
        raise InputError(f"{path}: a picture's name ends in one of {', '.join(PICTURE_ENDINGS)}.")
    picture = AtomPicture(result, size, Selection(threshold=threshold), background)
    frame = picture.draw(default_direction(result) if direction is None else direction)
    try:
        imageio.imwrite(path, frame)
    except OSError as error:
        raise InputError(f"{path}: the picture cannot be written ({error}).") from error
