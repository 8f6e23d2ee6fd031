"""Columns from and for atomap: its file layout, its objects, and atomap itself where it is installed."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import stemcount
from stemcount import InputError

POSITIONS = {"A": [[10.5, 20.25], [30.0, 12.0]], "B": [[18.0, 16.5]]}


@pytest.fixture
def lattice_file(tmp_path):
    """A file laid out as atomap 0.4 writes it; its sublattices in another order than the alphabet's."""
    path = tmp_path / "lattice.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs.update(atom_lattice_type="Atom_Lattice", name="test", pixel_separation=10)
        file["image_data"] = np.zeros((40, 50))
        for index, (name, positions) in enumerate(reversed(POSITIONS.items())):
            group = file.create_group(f"{name}_sublattice")
            group.attrs.update(name=name, sublattice_index=index, pixel_size=0.02, units="nm")
            group["atom_positions"] = np.array(positions)
    return path


def test_positions_of_a_file(lattice_file):
    found = stemcount.columns_from_atomap(lattice_file)
    assert found.sublattices == ("B", "A")
    assert found.column_type.tolist() == [0, 1, 1]
    np.testing.assert_allclose(found.positions, 0.2 * np.array(POSITIONS["B"] + POSITIONS["A"]))


def test_an_image_gives_the_calibration(lattice_file):
    image = stemcount.ZoneAxisImage(np.ones((40, 50)), pixel_size=0.5, offset=(100.0, -3.0))
    found = stemcount.columns_from_atomap(lattice_file, image)
    np.testing.assert_allclose(found.positions[1], [100 + 0.5 * 10.5, -3 + 0.5 * 20.25])


def test_positions_of_objects():
    def sublattice(name, units="Å"):
        x, y = np.array(POSITIONS[name]).T
        return SimpleNamespace(name=name, x_position=x, y_position=y, pixel_size=0.2, units=units)

    lattice = SimpleNamespace(sublattice_list=[sublattice("A"), sublattice("B")])
    found = stemcount.columns_from_atomap(lattice)
    assert found.column_type.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.positions[2], [3.6, 3.3])
    assert len(stemcount.columns_from_atomap(sublattice("B")).positions) == 1
    with pytest.raises(InputError, match="no calibration"):
        stemcount.columns_from_atomap(sublattice("B", "pixel"))


@pytest.fixture(scope="module")
def fitted():
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(4.0, 14, 2.2), np.arange(4.0, 14, 2.2)))
    image = stemcount.simulate_columns(x, y, np.ones(25), shape=(90, 92), pixel_size=0.2)
    image = stemcount.ZoneAxisImage(image.data, 0.2, offset=(5.0, 6.0), name="grid")
    seeds = np.column_stack([x + 5, y + 6])
    return image, stemcount.fit_columns(image, seeds, column_type=np.arange(25) % 2)


def test_what_is_written_is_read(fitted, tmp_path):
    image, fit = fitted
    found = stemcount.columns_from_atomap(stemcount.save_atomap(image, fit, tmp_path / "ours.hdf5"), image)
    order = np.argsort(fit.column_type, kind="stable")
    np.testing.assert_allclose(found.positions, np.column_stack([fit.x, fit.y])[order])
    np.testing.assert_array_equal(found.column_type, np.sort(fit.column_type))


def test_atomap_reads_what_is_written(fitted, tmp_path):
    api = pytest.importorskip("atomap.api", reason="atomap is not installed")
    image, fit = fitted
    lattice = api.load_atom_lattice_from_hdf5(
        str(stemcount.save_atomap(image, fit, tmp_path / "ours.hdf5")), construct_zone_axes=False
    )
    assert [len(s.atom_list) for s in lattice.sublattice_list] == [13, 12]
    np.testing.assert_allclose(lattice.sublattice_list[1].sigma_x, fit.width[1::2] / 0.2)
    lattice.save(str(tmp_path / "theirs.hdf5"))
    found = stemcount.columns_from_atomap(tmp_path / "theirs.hdf5", image)
    np.testing.assert_allclose(found.positions[13:], np.column_stack([fit.x, fit.y])[1::2])


def test_mistakes_are_named(tmp_path, fitted):
    with pytest.raises(InputError, match="no such file"):
        stemcount.columns_from_atomap(tmp_path / "nothing.hdf5")
    (tmp_path / "text.hdf5").write_text("positions")
    with pytest.raises(InputError, match="not an HDF5 file"):
        stemcount.columns_from_atomap(tmp_path / "text.hdf5")
    with h5py.File(tmp_path / "empty.hdf5", "w"):
        pass
    with pytest.raises(InputError, match="holds no column positions"):
        stemcount.columns_from_atomap(tmp_path / "empty.hdf5")
    with pytest.raises(InputError, match="expected a file name"):
        stemcount.columns_from_atomap(3.0)
    with pytest.raises(InputError, match="cannot be written"):
        stemcount.save_atomap(*fitted, tmp_path / "text.hdf5" / "folder.hdf5")
