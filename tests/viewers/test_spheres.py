"""Spheres drawn without a display: where they are, which is in front, how they are lit."""

from itertools import pairwise

import imageio.v3 as imageio
import numpy as np
import pytest

import viewers
from stemcount import InputError
from tomo.observables import coordination_numbers
from viewers import spheres
from viewers.atom_data import Selection, visible
from viewers.atom_table import atom_table
from viewers.spheres import render_spheres


def centre_of(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    rows, cols = np.nonzero(mask)
    return np.array([cols.mean(), rows.mean()])


def test_area_and_place_of_one_sphere():
    scene = render_spheres([(0, 0, 0)], [(1, 1, 1)], 2.0, size=(201, 101), scale=10)
    alpha = scene.rgba[..., 3]
    assert alpha.sum() == pytest.approx(np.pi * 20**2, rel=0.01)
    np.testing.assert_allclose(centre_of(alpha, alpha > 0.5), (100, 50), atol=0.1)


def test_frame_is_right_handed():
    """Looking along +z with -y up, x points right: the frame of an image (x right, y down, beam in)."""
    red, green, blue = np.eye(3)
    scene = render_spheres(
        [(0, 0, 0), (5, 0, 0), (0, 5, 0)], [red, green, blue], 1.0, (0, 0, 1), up=(0, -1, 0), size=(100, 100)
    )
    rgb = scene.rgba[..., :3]
    places = [centre_of(rgb, (rgb.argmax(axis=2) == c) & (scene.rgba[..., 3] > 0.5)) for c in range(3)]
    assert places[1][0] > places[0][0] + 20
    assert places[2][1] > places[0][1] + 20


def test_nearer_atom_hides_the_farther():
    for order in ([0, 1], [1, 0]):
        xyz = np.array([(0, 0, 0), (0, 0, 5.0)])[order]
        colours = np.array([(1.0, 0, 0), (0, 0, 1.0)])[order]
        middle = render_spheres(xyz, colours, 1.0, (0, 0, 1), size=(41, 41)).rgba[20, 20]
        assert middle[0] > 0.3
        assert middle[0] > middle[2] + 0.2


def test_light_comes_from_the_upper_left():
    rgba = render_spheres([(0, 0, 0)], [(0.5, 0.5, 0.5)], 1.0, size=(80, 80)).rgba
    assert rgba[25, 25, :3].mean() > 1.5 * rgba[55, 55, :3].mean()


def test_hidden_interior_changes_nothing_that_is_seen(result):
    table = atom_table(result)
    everything = visible(table, Selection(hide_interior=False))
    outer = visible(table, Selection())
    assert 0 < outer.sum() < everything.sum()
    surface = coordination_numbers(result.sites[everything]) < 12
    assert outer[np.flatnonzero(everything)[surface]].all()
    pictures = [
        render_spheres(
            result.sites[m] * 2.04,
            np.tile(0.6, (m.sum(), 3)),
            1.44,
            (3, 2, 1),
            size=(150, 150),
            scale=3.0,
            centre=(0, 0, 0),
        ).rgba
        for m in (everything, outer)
    ]
    assert np.abs(pictures[0][..., 3] - pictures[1][..., 3]).max() < 1e-9
    assert np.mean(np.abs(pictures[0] - pictures[1]) > 0.05) < 0.005


def test_bands_of_rows_leave_no_seams(result, monkeypatch):
    """A picture that is shaded in bands is the one that is shaded at once."""
    xyz = result.sites * 2.04
    colours = np.tile((0.8, 0.7, 0.2), (len(xyz), 1))
    monkeypatch.setattr(spheres, "BAND", 1000)
    whole = render_spheres(xyz, colours, 1.44, (3, 2, 1), size=(90, 75)).rgba
    for rows in (1, 7, 32):
        monkeypatch.setattr(spheres, "BAND", rows)
        banded = render_spheres(xyz, colours, 1.44, (3, 2, 1), size=(90, 75)).rgba
        np.testing.assert_array_equal(banded, whole)


def test_planes_and_runs_choose_atoms(result):
    table = atom_table(result)
    layer = visible(table, Selection(threshold=0.0, normal=(1, 1, 1), first=0, last=0, hide_interior=False))
    np.testing.assert_array_equal(layer, result.sites.sum(axis=1) == 0)
    run = visible(table, Selection(run=3, hide_interior=False))
    np.testing.assert_array_equal(run, result.runs[3])


def test_screenshot_shows_gold_and_a_colour_bar(result, tmp_path):
    viewers.save_screenshot(result, tmp_path / "atoms.png", size=(400, 300), direction=(1, 1, 0))
    picture = imageio.imread(tmp_path / "atoms.png").astype(float)
    assert picture.shape == (300, 400, 3)
    atoms = picture[:, :336]
    yellow = (atoms[..., 0] > 100) & (atoms[..., 2] < 0.6 * atoms[..., 0])
    assert 0.2 < yellow.mean() < 0.8
    bar = picture[:, 336:]
    assert (np.ptp(bar, axis=2) > 60).sum() > 200


def test_labels_of_small_pictures_can_be_read(result, tmp_path):
    """The scale bar's label is seven pixels high or more, whatever the size of the picture."""
    for size in ((240, 180), (800, 600)):
        viewers.save_screenshot(result, tmp_path / "atoms.png", size=size, direction=(1, 1, 0))
        picture = imageio.imread(tmp_path / "atoms.png")[..., 0].astype(float)
        left = picture[int(0.8 * size[1]) : int(0.95 * size[1]), : int(0.2 * size[0])]
        rows = np.flatnonzero((left < 128).any(axis=1))
        assert np.ptp(rows) >= 6


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_a_picture_says_its_resolution(result, tmp_path, ending):
    """For the width it is printed in: 1200 pixels on the shorter side are 6 inches."""
    from PIL import Image

    viewers.save_screenshot(result, tmp_path / f"atoms.{ending}", size=(1200, 1200))
    with Image.open(tmp_path / f"atoms.{ending}") as picture:
        assert picture.info["dpi"] == pytest.approx((200, 200), abs=1)


def test_bad_screenshots_are_refused(result, tmp_path):
    with pytest.raises(InputError, match="size"):
        viewers.save_screenshot(result, tmp_path / "atoms.png", size=(4, 4))
    with pytest.raises(InputError, match="not a direction"):
        viewers.save_screenshot(result, tmp_path / "atoms.png", size=(100, 100), direction=(0, 0, 0))
    with pytest.raises(InputError, match=r"atoms\.nonsense"):
        viewers.save_screenshot(result, tmp_path / "atoms.nonsense", size=(100, 100))
    (tmp_path / "nowhere").touch()
    with pytest.raises(InputError, match="nowhere"):
        viewers.save_screenshot(result, tmp_path / "nowhere" / "atoms.png", size=(100, 100))


@pytest.mark.parametrize(
    ("name", "kind"), [("turn.mp4", "turn"), ("turn.gif", "turn"), ("planes.gif", "planes")]
)
def test_movies_move(result, tmp_path, name, kind):
    done: list[float] = []
    viewers.save_movie(result, tmp_path / name, kind=kind, frames=6, size=(200, 150), progress=done.append)
    frames = np.array([f[..., :3] for f in imageio.imiter(tmp_path / name)], float)
    assert frames.shape[1:] == (144, 192, 3)
    assert len(frames) == 6
    assert done[-1] == 1.0
    assert all(np.abs(a - b).mean() > 0.2 for a, b in pairwise(frames))


def test_a_picture_is_coloured_as_the_panel_does(result, core_shell_result, tmp_path):
    def picture(of, **options):
        viewers.save_screenshot(of, tmp_path / "x.png", size=(240, 200), **options)
        return imageio.imread(tmp_path / "x.png").astype(int)

    usual = picture(result)
    np.testing.assert_array_equal(usual, picture(result, colour="certainty"))
    for colour in ("coordination", "between runs", "distance"):
        assert np.mean(np.abs(picture(result, colour=colour) - usual).max(axis=2) > 30) > 0.2
    with pytest.raises(InputError, match="colour must be one of certainty, species, coordination"):
        picture(result, colour="counts")
    by_species = picture(core_shell_result, colour="species")
    np.testing.assert_array_equal(by_species, picture(core_shell_result, colour="species", shell=1.0))
    viewers.save_movie(core_shell_result, tmp_path / "x.gif", frames=2, size=(240, 208), colour="species")
    for shown in (by_species, imageio.imread(tmp_path / "x.gif")[0].astype(int)):
        assert (shown[..., 0] - shown[..., 2] > 60).any()
    reddish = by_species[..., 0] - by_species[..., 2]
    assert (reddish < -30).any()


def test_a_turn_has_no_jump_where_it_begins_again(result, tmp_path):
    viewers.save_movie(result, tmp_path / "turn.gif", frames=24, size=(160, 160))
    frames = imageio.imread(tmp_path / "turn.gif").astype(float)
    assert len(frames) == 24
    steps = [np.abs(a - b).mean() for a, b in pairwise([*frames, frames[0]])]
    assert steps[-1] < 1.3 * max(steps[:-1])
    assert min(steps) > 0.3 * max(steps)


@pytest.mark.parametrize("name", ["turn.mp4", "turn.gif"])
def test_a_stopped_movie_leaves_the_older_one(result, tmp_path, name):
    viewers.save_movie(result, tmp_path / name, frames=4, size=(96, 96))
    older = (tmp_path / name).read_bytes()

    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        viewers.save_movie(result, tmp_path / name, frames=8, size=(96, 96), progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == older


def test_bad_movies_are_refused(result, tmp_path):
    with pytest.raises(InputError, match=r"\.mp4 or \.gif"):
        viewers.save_movie(result, tmp_path / "atoms.avi")
    with pytest.raises(InputError, match="kind"):
        viewers.save_movie(result, tmp_path / "atoms.gif", kind="spin")
    with pytest.raises(InputError, match="frames"):
        viewers.save_movie(result, tmp_path / "atoms.gif", frames=1)
