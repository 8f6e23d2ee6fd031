"""Draw the pictures of core_shell.md from the result of the core-shell demo.

    .venv/bin/stemcount demo core-shell --out core_shell_result
    .venv/bin/python docs/make_core_shell_figures.py core_shell_result

Writes into docs/figures.
"""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from make_figures import FIGURES, save_small

import stemcount
import tomo
import viewers
from viewers.style import new_figure, style

NAMES = ("110", "100", "010")


def overview(result: tomo.Reconstruction) -> None:
    """The three images, and the core in its shell."""
    atoms = FIGURES / "core.png"
    viewers.save_screenshot(result, atoms, size=(700, 600))
    picture = imageio.imread(atoms)[40:540, :545]  # without colour bar and scale bar
    atoms.unlink()
    with style():
        figure = new_figure(12.5, 3.5, equal_aspect=True)
        *axes, last = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.1))
        for ax, name in zip(axes, NAMES, strict=True):
            with as_file(files("sample_images").joinpath(f"pbse_cdse_{name}.hspy")) as path:
                image = stemcount.load_image(path)
            left, right, top, bottom = image.extent
            ax.imshow(image.data, extent=(left, right, bottom, top), cmap="gray")
            ax.set_title(f"[{name}]")
            ax.set_xlabel("x (Å)")
        axes[0].set_ylabel("y (Å)")
        last.imshow(picture, interpolation="antialiased")
        last.set_axis_off()
        last.set_title("the core in its shell")
        figure.savefig(FIGURES / "core_shell_overview.png", dpi=100)
    save_small(FIGURES / "core_shell_overview.png", imageio.imread(FIGURES / "core_shell_overview.png"))


def main() -> None:
    """Draw all pictures from the result folder named on the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "core_shell_result")
    FIGURES.mkdir(exist_ok=True)
    overview(tomo.load_reconstruction(folder))
    for name in ("species", "facets", "profiles", "interfaces"):
        picture = np.asarray(imageio.imread(folder / "figures" / f"{name}.png"))
        save_small(FIGURES / f"core_shell_{name}.png", picture)


if __name__ == "__main__":
    main()
