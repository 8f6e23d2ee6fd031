"""Simulated images of several elements: what each column holds, and how much it scatters."""

import numpy as np
import pytest

from stemcount import InputError, simulate_compound

A = 6.1
ROCK_SALT = np.array([(i, j, k) for i in range(4) for j in range(4) for k in range(6)])
SPECIES = ["Pb" if site.sum() % 2 == 0 else "Se" for site in ROCK_SALT]


def test_columns_hold_what_lies_in_them():
    _, truth = simulate_compound(SPECIES, ROCK_SALT * A / 2, (0, 0, 1), dose=None)
    assert len(truth["x"]) == 16
    assert np.all(truth["count_Pb"] == 3)
    assert np.all(truth["count_Se"] == 3)
    _, pure = simulate_compound(SPECIES, ROCK_SALT * A / 2, (1, 1, 0), dose=None)
    assert not np.any((pure["count_Pb"] > 0) & (pure["count_Se"] > 0))
    assert pure["count_Pb"].sum() == SPECIES.count("Pb")


@pytest.mark.parametrize("pixel_size", [0.12, 0.2, 0.3])
def test_the_image_holds_the_cross_sections(pixel_size):
    image, truth = simulate_compound(
        SPECIES,
        ROCK_SALT * A / 2,
        (1, 1, 0),
        dose=None,
        pixel_size=pixel_size,
        width={"Pb": 0.5, "Se": 0.6},
        tail=(0.1, 1.8),
        angle=17,
    )
    assert image.data.sum() * pixel_size**2 == pytest.approx(truth["cross_section"].sum(), rel=1e-3)
    moved = ROCK_SALT * A / 2 @ truth["rotation"].T + truth["offset"]
    np.testing.assert_allclose(moved[:, 0], truth["x"][truth["column"]], atol=1e-9)


def test_without_channelling_volumes_add_up():
    _, truth = simulate_compound(
        SPECIES,
        ROCK_SALT * A / 2,
        (1, 0, 0),
        dose=None,
        channelling_length=None,
        atom_cross_section={"Pb": 0.04, "Se": 0.01},
    )
    np.testing.assert_allclose(
        truth["cross_section"], 0.04 * truth["count_Pb"] + 0.01 * truth["count_Se"], atol=1e-12
    )


def test_channelling_bends_and_knows_the_order_of_the_atoms():
    def column(symbols):
        atoms = [(0, 0, 3.05 * k) for k in range(len(symbols))]
        return simulate_compound(symbols, atoms, (0, 0, 1), dose=None)[1]["cross_section"][0]

    volumes = [column(["Pb"] * n) for n in range(1, 13)]
    steps = np.diff(volumes)
    assert np.all(steps > 0)
    assert np.all(np.diff(steps) < 0)
    assert 0.6 < volumes[-1] / (12 * volumes[0]) < 0.9
    assert column(["Pb", "Pb", "Cd", "Cd"]) > column(["Cd", "Cd", "Pb", "Pb"])
    # the beam comes from the other side
    atoms = [(0, 0, 3.05 * k) for k in range(4)]
    back = simulate_compound(["Pb", "Pb", "Cd", "Cd"], atoms, (0, 0, -1), dose=None)[1]["cross_section"][0]
    assert back == pytest.approx(column(["Cd", "Cd", "Pb", "Pb"]))


def test_equal_columns_scatter_as_much_as_asked():
    atoms = [(6.0 * i, 6.0 * j, 0) for i in range(20) for j in range(20)]
    plain, scattered = (
        simulate_compound(["Pb"] * 400, atoms, (0, 0, 1), dose=None, spread=spread)[1]["cross_section"]
        for spread in (0.0, 0.08)
    )
    assert np.ptp(plain) == pytest.approx(0, abs=1e-12)
    assert scattered.std() / scattered.mean() == pytest.approx(0.08, rel=0.15)
    assert scattered.mean() == pytest.approx(plain.mean(), rel=0.02)


def test_heavier_atoms_are_brighter():
    atoms = [(0, 0, 0), (6, 0, 0), (12, 0, 0)]
    _, truth = simulate_compound(["S", "Se", "Pb"], atoms, (0, 0, 1), dose=None)
    assert truth["cross_section"][0] < truth["cross_section"][1] < truth["cross_section"][2]


def test_noise_follows_the_seed():
    first, second, other = (
        simulate_compound(["Pb"], [(0, 0, 0)], (0, 0, 1), dose=1e4, seed=s)[0].data for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"species": ["Pb"]}, "one per position"),
        ({"species": ["Pb", "Xx"]}, "'Xx' is not"),
        ({"width": {"Pb": 0.5}}, "width: expected a positive value for Se"),
        ({"atom_cross_section": {"Pb": 0.1, "Se": 0.0}}, "atom_cross_section: .* for Se"),
        ({"channelling_length": 0.0}, "channelling_length"),
        ({"spread": -0.1}, "spread"),
        ({"positions": [[0, 0], [1, 1]]}, "finite coordinates"),
    ],
)
def test_mistakes_are_named(arguments, message):
    given = {"species": ["Pb", "Se"], "positions": [[0, 0, 0], [3, 0, 0]], "zone_axis": (0, 0, 1)} | arguments
    with pytest.raises(InputError, match=message):
        simulate_compound(**given)
