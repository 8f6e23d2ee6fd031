"""The figure of the lattice's distortion shows what was put in."""

import numpy as np
import pytest

import stemcount
import tomo
import viewers

PALLADIUM = tomo.fcc("Pd", a=3.89)


@pytest.fixture
def stretched():
    """A square lattice whose spacing grows by 4 % from left to right, on a faint image."""
    i, j = (g.ravel() for g in np.mgrid[0:18, 0:14])
    x = 6.0 + 1.945 * i * (1 + 0.0011 * i)
    y = 5.0 + 1.945 * j
    image = stemcount.simulate_columns(
        x, y, np.full(len(x), 0.1), shape=(170, 240), pixel_size=0.2, name="pd_001"
    )
    return image, tomo.index_columns(x, y, (0, 0, 1), PALLADIUM, name="pd_001")


def test_colours_follow_the_stretch(stretched):
    image, indexing = stretched
    figure = viewers.figure_strain(image, indexing)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert [axes.get_title(loc="left") for axes in panels][:2] == [
        "stretch along x (%)",
        "stretch along y (%)",
    ]
    shown = panels[0].collections[0].get_array()
    left, right = indexing.x < 12, indexing.x > 36
    assert shown[left].mean() == pytest.approx(-1.5, abs=0.5)
    assert shown[right].mean() == pytest.approx(1.5, abs=0.5)
    assert np.abs(panels[1].collections[0].get_array()).max() < 0.2
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[:, :, :3].astype(int)
    red = (picture[:, :, 0] > picture[:, :, 2] + 60).mean()
    blue = (picture[:, :, 2] > picture[:, :, 0] + 60).mean()
    assert red > 0.01
    assert blue > 0.01


def test_no_distortion_looks_like_none(stretched):
    image, _ = stretched
    i, j = (g.ravel() for g in np.mgrid[0:18, 0:14])
    even = tomo.index_columns(6.0 + 1.945 * i, 5.0 + 1.945 * j, (0, 0, 1), PALLADIUM)
    figure = viewers.figure_strain(image, even)
    for axes in figure.axes:
        if axes.collections and axes.get_label() != "<colorbar>":
            colours = axes.collections[0]
            assert colours.norm.vmax >= 0.05
            assert np.abs(colours.get_array()).max() < 0.01
