"""What a run says of single images of crystals of several species."""

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.one_image.columns import GivenImage
from stemcount.cli.one_image.field_of_view import cuts_typed
from stemcount.cli.one_image.typed_images import typed_image
from stemcount.cli.project_file.project import load_project

PBSE = """
[crystal]
structure = "rock_salt"
species = ["Pb", "Se"]
a = {}

[[image]]
file = "pbse.hspy"
zone_axis = [1, 1, 0]
"""


@pytest.fixture(scope="module")
def pbse():
    """An image of PbSe along [110], whose Pb and Se columns stand beside each other."""
    particle = tomo.core_shell_particle(tomo.rock_salt("Pb", "Se", 6.1), 150, seed=2)
    image, _ = stemcount.simulate_compound(
        particle.species, particle.positions, (1, 1, 0), dose=1e5, tail=(0.2, 1.8), name="pbse"
    )
    return image


def said(folder, image, a=6.1):
    """The warnings about an image, read from a file as a run reads it, and its faults."""
    stemcount.save_image(image, folder / "pbse.hspy")
    path = folder / "project.toml"
    path.write_text(PBSE.format(a))
    project = load_project(path)
    read = stemcount.load_image(folder / "pbse.hspy", zone_axis=(1, 1, 0))
    typed = typed_image(project, GivenImage(project.image[0], read, None, {}), folder)
    return typed.warnings, typed.faults


def test_a_good_image_is_not_warned_of(tmp_path, pbse):
    warnings, faults = said(tmp_path, pbse)
    assert warnings == ()
    assert faults.saturated == 0
    assert faults.drawn_out is not None


def test_a_saturated_detector_is_told(tmp_path, pbse):
    data = np.minimum(pbse.data, 0.8 * pbse.data.max())
    warnings, _ = said(tmp_path, stemcount.ZoneAxisImage(data, pbse.pixel_size, (1, 1, 0), name="pbse"))
    assert any("the detector was saturated" in sentence for sentence in warnings)


def test_a_lattice_parameter_that_is_off_is_told(tmp_path, pbse):
    warnings, _ = said(tmp_path, pbse, a=5.9)
    assert any("% larger than the lattice parameter" in sentence for sentence in warnings)


@pytest.mark.parametrize(("margin", "share", "cut"), [(2.5, 0, False), (0.5, 0, True), (2.5, 0.2, True)])
def test_a_particles_thin_rim_near_the_edge_is_not_cut(margin, share, cut):
    crystal = tomo.rock_salt("Pb", "Se", 6.1)
    particle = tomo.core_shell_particle(crystal, 300, seed=2)
    _, columns = stemcount.simulate_compound(
        particle.species, particle.positions, (1, 1, 0), pixel_size=0.5, dose=None, angle=17.0
    )
    x, y, brightness = (columns[name] for name in ("x", "y", "cross_section"))
    seen = x >= x.min() + share * np.ptp(x)
    x, y, brightness = x[seen], y[seen], brightness[seen]
    indexing = tomo.index_columns(x, y, (1, 1, 0), crystal, cross_section=brightness)
    field = (x.min() - margin, x.max() + 5, y.min() - 5, y.max() + 5)
    assert cuts_typed(indexing, brightness, field) is cut


CORE_SHELL = """
[crystal]
structure = "core_shell"
a = 6.1
core = { structure = "rock_salt", species = ["Pb", "Se"] }
shell = { structure = "zinc_blende", species = ["Cd", "Se"] }
target = "Pb"

[[image]]
file = "patch.hspy"
zone_axis = [1, 1, 0]
"""


@pytest.mark.parametrize("side", [1, -1])
def test_the_light_of_single_atoms_says_where_the_columns_are_of_a_type_that_was_not_found(tmp_path, side):
    """Pb and Se columns along [110] look the same turned by half a turn, which puts Cd between others."""
    core = tomo.core_shell_particle(tomo.rock_salt("Pb", "Se", 6.1), 150, seed=2)
    patch = side * (np.array([[1.5, 0.5, 5.5], [0.5, 1.5, 5.5], [4.5, -1.5, 0.5]]) * 3.05)
    species = [*core.species, "Cd", "Cd", "Cd"]
    image, columns = stemcount.simulate_compound(
        species, np.vstack([core.positions, patch]), (1, 1, 0), dose=5e4, name="patch"
    )
    stemcount.save_image(image, tmp_path / "patch.hspy")
    (tmp_path / "project.toml").write_text(CORE_SHELL)
    project = load_project(tmp_path / "project.toml")
    typed = typed_image(project, GivenImage(project.image[0], image, None, {}), tmp_path)
    there = columns["count_Cd"] > 0
    lines = np.column_stack([typed.columns.x, typed.columns.y])[typed.columns.column_type == 2]
    places = np.column_stack([columns["x"], columns["y"]])[there]
    assert np.linalg.norm(places[:, None] - lines[None], axis=2).min(axis=1).max() < 0.2
    assert typed.probability > 0.9
