"""Picture of the atoms in a file, without a window or a display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError
from stemcount.whole_file import whole_file

from .atom_data import Selection, visible_atoms
from .atom_figures import atom_positions, certainty_colours, lattice_parameter, length_unit, oblique_view
from .options import check_colour, check_number, check_path, check_result, check_size
from .species import SHELL_COLOUR, SHELL_SIZE, shell_positions
from .spheres import frame_scale, render_spheres
from .style import CERTAINTY_COLORMAP, INK, new_figure, round_length, style

if TYPE_CHECKING:
    from tomo.result import Reconstruction


SHELL_OPACITY = 0.22
"""Of the other species' atoms around a core."""
LEAST_DPI = 80.0
"""Of the labels: 8 points are then 9 pixels high, which can just be read."""
PICTURE_ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


class AtomPicture:
    """Draws a reconstruction from any direction at one scale, with colour bar and scale bar.

    Parameters
    ----------
    result : tomo.Reconstruction
    size : tuple of 2 int
        Width and height [pixels].
    selection : Selection, optional
        Which atoms to draw.
    background : tuple of 3 float
        Red, green, blue, 0..1.
    shell : float
        Opacity of the other species' atoms around the core; 0 leaves them out.
    """

    def __init__(
        self,
        result: Reconstruction,
        size: tuple[int, int],
        selection: Selection | None = None,
        background: tuple[float, float, float] | str = (1.0, 1.0, 1.0),
        shell: float = SHELL_OPACITY,
    ) -> None:
        self.result = check_result(result)
        self.size = check_size(size)
        self.dpi = max(100.0 * min(self.size) / 600.0, LEAST_DPI)
        self.background = check_colour("background", background)
        self.radius = lattice_parameter(result) / np.sqrt(8)
        atoms = atom_positions(result)[np.asarray(result.certainty) >= (selection or Selection()).threshold]
        self.centre = (atoms.min(axis=0) + atoms.max(axis=0)) / 2 if len(atoms) else np.zeros(3)
        self.shell = check_number("shell", shell, 0, 1)
        around = shell_positions(result, (selection or Selection()).threshold) if shell else np.zeros((0, 3))
        self.around = around - self.centre
        self.bar = max(48, int(0.16 * self.size[0]))  # pixels at the right for the colour bar
        picture = (self.size[0] - self.bar, self.size[1])
        self.picture = picture
        everything = np.concatenate([atoms - self.centre, self.around])
        self.scale = frame_scale(everything, self.radius, picture, margin=0.05)
        self.select(selection or Selection())
        self.decoration = self._decorate()

    def select(self, selection: Selection) -> None:
        """Choose other atoms; the scale stays."""
        shown = visible_atoms(self.result, selection)
        self.xyz = atom_positions(self.result)[shown] - self.centre
        self.colours = certainty_colours(np.asarray(self.result.certainty)[shown])

    def draw(self, direction: ArrayLike, up: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Picture (rows, cols, 3) seen along `direction`, `up` pointing up."""
        picture = self._spheres(self.xyz, self.colours, np.full(len(self.xyz), self.radius), direction, up)
        if len(self.around):
            # Opaque shell and core, laid over the core alone: what is in front of the core veils it,
            # what is behind does not.
            radii = np.repeat([self.radius, SHELL_SIZE * self.radius], [len(self.xyz), len(self.around)])
            grey = np.tile(SHELL_COLOUR, (len(self.around), 1))
            both = self._spheres(
                np.concatenate([self.xyz, self.around]),
                np.concatenate([self.colours, grey]),
                radii,
                direction,
                up,
            )
            picture = (1 - self.shell) * picture + self.shell * both
        canvas = np.empty((self.size[1], self.size[0], 3))
        canvas[:] = self.background
        canvas[:, : self.picture[0]] = picture
        ink = self.decoration[..., 3:]
        canvas = canvas * (1 - ink) + self.decoration[..., :3] * ink
        return np.round(255 * np.clip(canvas, 0, 1)).astype(np.uint8)

    def _spheres(
        self,
        xyz: NDArray[np.float64],
        colours: NDArray[np.float64],
        radii: NDArray[np.float64],
        direction: ArrayLike,
        up: ArrayLike | None,
    ) -> NDArray[np.float64]:
        """Opaque spheres on the background (rows, cols, 3), the particle's centre in the middle."""
        scene = render_spheres(
            xyz,
            colours,
            radii,
            direction,
            up=up,
            size=self.picture,
            scale=self.scale,
            centre=np.zeros(3),
            background=self.background,
        )
        return scene.rgba[..., :3]

    def _decorate(self) -> NDArray[np.float64]:
        """Colour bar and scale bar as a transparent picture of the full size."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        width, height = self.size
        dpi = self.dpi
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
    background: tuple[float, float, float] | str = (1.0, 1.0, 1.0),
    shell: float = SHELL_OPACITY,
) -> None:
    """Save a picture of the atoms as spheres coloured by certainty; needs no display.

    Where other species were reconstructed too, the counted one is the core that is drawn so, and the
    others' atoms around it are faint.

    Parameters
    ----------
    result : tomo.Reconstruction
    path : str or Path
        File to write; its ending names the format (png, tif, jpg).
    size : tuple of 2 int
        Width and height [pixels]. The file says how many there are to an inch, so that labels are printed in
        8 or 9 points: 300 where the shorter side has 1800.
    direction : (3,) array_like, optional
        Direction [uvw] in which one looks; by default a little off the first view's zone axis.
    threshold : float
        Sites of at least this certainty are drawn.
    background : tuple of 3 float or str
        Red, green, blue, 0..1, or a colour's name.
    shell : float
        Opacity of the other species' atoms, 0..1.

    Raises
    ------
    InputError
        If an option is out of its range, or the file cannot be written.

    Examples
    --------
    >>> save_screenshot(result, "atoms.png", direction=(1, 1, 0))
    """
    from PIL import Image

    path = check_path(path, PICTURE_ENDINGS)
    selection = Selection(threshold=check_number("threshold", threshold, 0, 1))
    picture = AtomPicture(result, size, selection, background, shell)
    frame = picture.draw(oblique_view(result) if direction is None else direction)
    try:
        with whole_file(path) as unfinished:
            Image.fromarray(frame).save(unfinished, dpi=(picture.dpi, picture.dpi))
    except OSError as error:
        raise InputError(f"{path}: the picture cannot be written ({error.strerror or error}).") from error
