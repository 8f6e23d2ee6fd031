"""Picture of the atoms in a file, without a window or a display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from stemcount import InputError

from .atom_data import Selection, atom_properties, colour_scales, visible
from .atom_figures import length_unit, middle_of, oblique_view, sphere_radius
from .atom_table import atom_table, species_rgba, sphere_diameters
from .options import check_colour, check_number, check_path, check_result, check_size, written
from .species import SHELL_COLOUR, SHELL_SIZE, shell_positions, species_colours
from .spheres import frame_scale, render_spheres
from .style import INK, new_figure, round_length, style

if TYPE_CHECKING:
    from tomo.result import Reconstruction


SHELL_OPACITY = 0.22
"""Of the other species' atoms around a core."""
LEAST_DPI = 80.0
"""Of the labels: 8 points are then 9 pixels high, which can just be read."""
COLOURS = ("certainty", "species", "coordination", "between runs", "distance")
"""What atoms in a picture can be coloured by."""
PICTURE_ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


class AtomPicture:
    """Draws a reconstruction from any direction at one scale, with colour bar and scale bar.

    `size` is width and height [pixels], `background` a colour, `shell` the opacity of the other species'
    atoms around the core (0 leaves them out), `colour` one of `COLOURS`: by species all atoms are drawn
    alike, and none faint.
    """

    def __init__(
        self,
        result: Reconstruction,
        size: tuple[int, int],
        selection: Selection | None = None,
        background: tuple[float, float, float] | str = (1.0, 1.0, 1.0),
        shell: float = SHELL_OPACITY,
        colour: str = "certainty",
    ) -> None:
        self.result = check_result(result)
        if not isinstance(colour, str) or colour not in COLOURS:
            raise InputError(f"colour must be one of {', '.join(COLOURS)}, got {colour!r}.")
        self.by_species = colour == "species"
        self.table = atom_table(result, companions=self.by_species)
        self._colour_by(colour)
        self.size = check_size(size)
        self.dpi = max(100.0 * min(self.size) / 600.0, LEAST_DPI)
        self.background = check_colour(background)
        self.radius = sphere_radius(result)
        selection = selection or Selection()
        atoms = self.table.positions[self.table.certainty >= selection.threshold]
        self.centre = middle_of(atoms)
        self.shell = 0.0 if self.by_species else check_number("shell", shell, 0, 1)
        faint = self.shell > 0
        around = shell_positions(result, selection.threshold) if faint else np.zeros((0, 3))
        self.around = around - self.centre
        self.bar = max(48, int(0.16 * self.size[0]))  # pixels at the right for the colour bar
        picture = (self.size[0] - self.bar, self.size[1])
        self.picture = picture
        everything = np.concatenate([atoms - self.centre, self.around])
        self.scale = frame_scale(everything, self.radius, picture, margin=0.05)
        self.select(selection)
        self.decoration = self._decorate()

    def select(self, selection: Selection) -> None:
        """Choose other atoms; the scale stays."""
        shown = visible(self.table, selection)
        self.xyz = self.table.positions[shown] - self.centre
        self.colours, self.radii = self.all_colours[shown], self.all_radii[shown]

    def _colour_by(self, colour: str) -> None:
        """Colours and radii [A] of all sites, and the scale of the colour bar."""
        self.all_radii = np.full(len(self.table), sphere_radius(self.result))
        self.colour_scale = None if self.by_species else colour_scales(self.table)[colour]
        if self.colour_scale is None:
            self.all_colours = species_rgba(self.result, self.table)[:, :3]
            self.all_radii = sphere_diameters(self.result, self.table) / 2
        else:
            low, high = self.colour_scale.limits
            share = np.clip((atom_properties(self.table)[colour] - low) / (high - low), 0, 1)
            self.all_colours = matplotlib.colormaps[self.colour_scale.colormap](share)[:, :3]

    def draw(self, direction: ArrayLike, up: ArrayLike | None = None) -> NDArray[np.uint8]:
        """Picture (rows, cols, 3) seen along `direction`, `up` pointing up."""
        picture = self._spheres(self.xyz, self.colours, self.radii, direction, up)
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
        """Colour bar, or names of the species, and scale bar as a transparent picture of the full size."""
        width, height = self.size
        dpi = self.dpi
        dark = sum(self.background) < 1.5
        ink = "#e8eaed" if dark else INK
        with style():
            figure = new_figure(width / dpi, height / dpi)
            figure.set_layout_engine("none")
            figure.set_dpi(dpi)
            figure.patch.set_alpha(0.0)
            self._explain_colours(figure, ink)
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

    def _explain_colours(self, figure: Figure, ink: str) -> None:
        """Colour bar, or the names of the species in their colours, at the right of a figure."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        x0 = self.picture[0] / self.size[0]
        scale = self.colour_scale
        if scale is None:
            for line, (name, colour) in enumerate(species_colours(self.result).items()):
                figure.text(x0 + 0.012, 0.6 - 0.06 * line, name, color=colour, fontsize=11, weight="bold")
            return
        axes = figure.add_axes((x0 + 0.012, 0.22, 0.022, 0.56))
        bar = figure.colorbar(ScalarMappable(Normalize(*scale.limits), scale.colormap), cax=axes)
        bar.set_label(scale.label, color=ink)
        bar.outline.set_edgecolor(ink)  # type: ignore[operator]
        axes.tick_params(colors=ink)


def save_screenshot(
    result: Reconstruction,
    path: str | Path,
    *,
    size: tuple[int, int] = (1200, 900),
    direction: ArrayLike | None = None,
    threshold: float = 0.5,
    background: tuple[float, float, float] | str = (1.0, 1.0, 1.0),
    shell: float = SHELL_OPACITY,
    colour: str = "certainty",
) -> None:
    """Save a picture of the atoms as spheres coloured by certainty, or otherwise; needs no display.

    Where other species were reconstructed too, the counted one is the core that is drawn so, and the
    others' atoms around it are faint.

    Parameters
    ----------
    result : tomo.Reconstruction
    path : str or Path
        File to write; its ending names the format (png, tif, jpg). Its folder is made where there is none.
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
    colour : {"certainty", "species", "coordination", "between runs", "distance"}
        What the colours tell, as in the atom viewer. By species all atoms are drawn alike, and none faint.

    Raises
    ------
    InputError
        If an option is out of its range, or the file cannot be written.

    Examples
    --------
    >>> save_screenshot(result, "atoms.png", direction=(1, 1, 0))
    >>> save_screenshot(result, "neighbours.png", colour="coordination")
    """
    from PIL import Image

    path = check_path(path, PICTURE_ENDINGS)
    selection = Selection(threshold=check_number("threshold", threshold, 0, 1))
    picture = AtomPicture(result, size, selection, background, shell, colour)
    frame = picture.draw(oblique_view(result) if direction is None else direction)
    with written(path, "picture") as unfinished:
        Image.fromarray(frame).save(unfinished, dpi=(picture.dpi, picture.dpi))
