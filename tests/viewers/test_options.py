"""Options with bad values give one clear sentence that names the option, never another error."""

import numpy as np
import pytest

import viewers
from stemcount import InputError

NOT_SIZES = [
    (0, 0),
    "abc",
    None,
    (100,),
    (1e9, 200),
    (100.5, 100),
    ("a", "b"),
    5,
    (np.nan, 100),
    (True, True),
]
NOT_DIRECTIONS = [(0, 0, 0), "abc", (1, 2), (np.nan, 1, 0), 5, [(1, 0, 0)], [1, (2, 3)]]
NOT_SHARES = [-0.1, 1.01, np.nan, "x", [0.5], None]
NOT_COLOURS = ["no colour", (1, 2), (2, 0, 0), None, 5, ("a", "b", "c"), [0.1, [0.2]]]
BAD = {
    "size": NOT_SIZES,
    "direction": NOT_DIRECTIONS,
    "threshold": NOT_SHARES,
    "background": NOT_COLOURS,
    "shell": NOT_SHARES,
}
BAD_MOVIE = {
    **BAD,
    "kind": ["spin", None, 5],
    "frames": [0, 1, -3, 1.5, "x", None, np.nan],
    "fps": [0, -1, 0.5, "x", None],
    "normal": [(0, 0, 0), "abc", (1, 2), (1.5, 0, 0), None],
}
NOT_FILES = ["", 5, None, "picture", "picture.docx", "/dev/null/picture.png"]


def cases(bad):
    for name, values in bad.items():
        yield from (pytest.param(name, value, id=f"{name}={value!r}") for value in values)


def one_sentence(error) -> bool:
    text = str(error.value)
    return "\n" not in text and text.endswith(".") and len(text) < 250


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_of_pictures(result, tmp_path, name, value):
    with pytest.raises(InputError, match=r"\[uvw\]" if name == "direction" else name) as error:
        viewers.save_screenshot(result, tmp_path / "x.png", **{"size": (100, 80), name: value})
    assert one_sentence(error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "value"), cases(BAD_MOVIE))
def test_of_movies(result, tmp_path, name, value):
    options = {"size": (64, 64), "frames": 2, name: value}
    with pytest.raises(InputError, match=r"\[uvw\]" if name == "direction" else name) as error:
        viewers.save_movie(result, tmp_path / "x.gif", **options)
    assert one_sentence(error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", NOT_FILES)
def test_of_files(result, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        viewers.save_screenshot(result, path, size=(64, 64))
    with pytest.raises(InputError):
        viewers.save_movie(result, path, size=(64, 64), frames=2)
    with pytest.raises(InputError):
        viewers.export(result, path)


@pytest.mark.parametrize("nothing", [None, "demo_result", 5, np.zeros((3, 3))])
def test_what_is_no_reconstruction(nothing, tmp_path):
    for call in (
        lambda: viewers.save_screenshot(nothing, tmp_path / "x.png"),
        lambda: viewers.save_movie(nothing, tmp_path / "x.gif"),
        lambda: viewers.export(nothing, tmp_path / "x.cif"),
        lambda: viewers.write_page(nothing, tmp_path / "x.html"),
        lambda: viewers.view_atoms(nothing, show=False),
        lambda: viewers.figure_atoms(nothing),
        lambda: viewers.figure_certainty(nothing),
        lambda: viewers.figure_reprojections(nothing),
        lambda: viewers.figure_plane_sums(nothing),
    ):
        with pytest.raises(InputError, match=r"expected a tomo\.Reconstruction, got"):
            call()


def test_colours_by_name(result, tmp_path):
    import imageio.v3 as iio

    viewers.save_screenshot(result, tmp_path / "x.png", size=(100, 80), background="#ff0000")
    assert iio.imread(tmp_path / "x.png")[0, 0].tolist() == [255, 0, 0]
