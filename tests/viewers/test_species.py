"""Pictures of a core in its shell: the pixels show what they should."""

import dataclasses

import imageio.v3 as imageio
import numpy as np
import pytest

import viewers
from stemcount import InputError
from tomo.observables import ViewColumns, composition_profile, facets, interfaces
from viewers.screenshot import AtomPicture
from viewers.species import shell_positions, species_colours, species_names


def drawn(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255.0


def inked(picture):
    """Share of pixels that are not background."""
    return float(np.mean(np.any(picture < 0.98, axis=-1)))


def test_species_have_names_and_different_colours(core_shell_result, result):
    assert species_names(core_shell_result) == ["Pb", "Se", "Cd"]
    assert species_names(result) == ["Au"]
    colours = list(species_colours(core_shell_result).values())
    assert min(np.abs(a - b).max() for i, a in enumerate(colours) for b in colours[:i]) > 0.2


def test_the_shell_is_what_does_not_touch_the_core(core_shell_result, result):
    around = shell_positions(core_shell_result)
    core = core_shell_result.crystal.a / 2 * core_shell_result.occupied()
    gap = np.min(np.linalg.norm(around[:, None] - core[None], axis=2), axis=1)
    assert gap.min() > 0.6 * core_shell_result.crystal.a
    assert len(around) > 50
    assert shell_positions(result).shape == (0, 3)


def test_the_shell_veils_the_core_and_can_be_left_out(core_shell_result):
    certain = dataclasses.replace(core_shell_result, certainty=np.ones(len(core_shell_result.sites)))
    faint, none, solid = (
        AtomPicture(certain, (320, 256), shell=opacity).draw((1, 1, 0))[:, :260] / 255.0
        for opacity in (0.22, 0.0, 1.0)
    )

    def yellow(picture):
        return float(np.mean(np.ptp(picture, axis=-1) > 0.25))

    # of what is drawn: more is core without a shell, less with one, least behind a solid one
    shares = [yellow(picture) / inked(picture) for picture in (none, faint, solid)]
    assert shares[0] > 1.3 * shares[1] > 1.3 * 1.2 * shares[2]
    with pytest.raises(InputError, match="shell must be"):
        AtomPicture(certain, (320, 256), shell=2.0)


def test_one_species_is_drawn_as_before(result):
    size = (320, 256)
    one, two = (AtomPicture(result, size, shell=opacity).draw((1, 1, 0)) for opacity in (0.0, 0.5))
    np.testing.assert_array_equal(one, two)


def test_a_movie_turns_core_and_shell(core_shell_result, tmp_path):
    viewers.save_movie(core_shell_result, tmp_path / "turn.gif", frames=4, size=(160, 128))
    frames = imageio.imread(tmp_path / "turn.gif", index=None)
    assert len(frames) == 4
    assert all(inked(frame[..., :3] / 255.0) > 0.1 for frame in frames)


def test_figure_of_species(core_shell_result, result):
    picture = drawn(viewers.figure_species(core_shell_result))
    thirds = np.array_split(picture, 3, axis=1)
    assert all(inked(part) > 0.1 for part in thirds)

    def red(part):
        return float(np.mean((part[..., 0] > 0.5) & (part[..., 1] < 0.35) & (part[..., 2] < 0.3)))

    assert red(thirds[1]) > 2 * red(thirds[0])  # cut open, the Pb core is seen
    with pytest.raises(InputError, match="no other species"):
        viewers.figure_species(result)


def test_figure_of_facets_shows_islands_in_their_colour(core_shell_result):
    certain = dataclasses.replace(core_shell_result, certainty=np.ones(len(core_shell_result.sites)))
    found = facets(certain.sites)
    assert any(facet.islands for facet in found)
    picture = drawn(viewers.figure_facets(certain, found))
    left = picture[:, : picture.shape[1] // 3]
    assert np.mean((left[..., 0] > 0.55) & (left[..., 1] < 0.45) & (left[..., 2] < 0.35)) > 0.01
    assert inked(drawn(viewers.figure_facets(certain, []))) > 0.02


def test_figures_of_profiles_and_interfaces(core_shell_result):
    crystal = core_shell_result.crystal
    core = core_shell_result.occupied()
    positions = {"Pb": core} | {
        part.species: part.occupied() + np.array(part.offset) for part in core_shell_result.companions
    }
    facet = facets(core)[0]
    floor = core[core @ np.array(facet.normal) == facet.layers[0].index]
    profiles = [composition_profile(positions, floor, facet.normal)] * 8
    assert inked(drawn(viewers.figure_profiles(profiles, crystal.a))) > 0.02
    with pytest.raises(InputError, match="profile"):
        viewers.figure_profiles([], crystal.a)
    rng = np.random.default_rng(0)
    lines = np.concatenate([positions["Se"], positions["Cd"]])
    plane = np.array([[1, -1, 0], [0, 0, -np.sqrt(2)]]) / np.sqrt(2)
    atoms = np.zeros((len(lines), 3))
    atoms[: len(positions["Se"]), 1] = 1
    atoms[len(positions["Se"]) :, 2] = 1
    xy = crystal.a / 2 * lines @ plane.T + 0.05 * rng.normal(size=(len(lines), 2))
    view = ViewColumns("[110]", (1, 1, 0), xy, lines, atoms)
    found = interfaces(core, facets(core), [view], crystal)
    assert found
    assert inked(drawn(viewers.figure_interfaces(found))) > 0.02
    assert inked(drawn(viewers.figure_interfaces([]))) > 0.01
