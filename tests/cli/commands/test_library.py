"""`stemcount library`: a table that a project and `stemcount count` read."""

import numpy as np
import pytest

from stemcount.cli.commands.library import library_stage, read_library
from stemcount.cli.commands.stages import count_stage
from stemcount.cli.result_folder.tables import read_table, write_table
from stemcount.errors import InputError


def simulate(folder, detector="50,120", atoms=3):
    path = folder / "tables" / "al.csv"
    library_stage("Al", 4.05, "110", atoms, 300.0, 20.0, detector, None, 0, path)
    return path


def test_columns_are_counted_with_a_simulated_library(tmp_path, capsys):
    path = simulate(tmp_path)
    assert "3 atoms" in capsys.readouterr().out
    library = read_table(path, ("cross_section",))
    assert library["atoms"].tolist() == [1, 2, 3]
    count = np.repeat([1, 2, 3], 15)
    spread = 0.05 * library["cross_section"][0] * np.random.default_rng(0).standard_normal(45)
    values = library["cross_section"][count - 1] + spread
    for scale, factor in (("fixed", 1.0), ("free", 1.15)):
        write_table(tmp_path / "columns.csv", {"cross_section": factor * values})
        count_stage(tmp_path / "columns.csv", tmp_path / "counted.csv", None, None, None, path, scale)
        assert np.array_equal(read_table(tmp_path / "counted.csv", ("count",))["count"], count)
    said = capsys.readouterr()
    assert "90 +- " in said.out
    assert "warning" not in said.err


def test_columns_beyond_a_library_are_told(tmp_path, capsys):
    path = tmp_path / "library.csv"
    write_table(path, {"cross_section": np.array([1.0, 2.0, 3.0])})
    values = np.repeat([1.0, 2.0, 3.0, 4.0], 15) + 0.03 * np.random.default_rng(0).standard_normal(60)
    write_table(tmp_path / "columns.csv", {"cross_section": values})
    count_stage(tmp_path / "columns.csv", tmp_path / "counted.csv", None, None, None, path, "fixed")
    assert "15 of 60 columns hold more atoms than the 3 of the library" in capsys.readouterr().err


@pytest.mark.slow
def test_the_table_holds_what_uncertain_settings_do(tmp_path):
    path = simulate(tmp_path)
    library = read_library(path)
    assert library.shape == (3, 4)
    assert np.all(library[:, 2] < library[:, 0])  # a detector further out sees less
    table = read_table(path, ("cross_section",))
    write_table(
        path, {name: table[name] for name in ("cross_section", "atoms")} | {"cross_section_std": [0.1] * 3}
    )
    assert np.array_equal(read_library(path), library[:, :1])


@pytest.mark.parametrize(("field", "said"), [("", "empty"), ("nan", "not a number"), ("-0.1", "is -0.1")])
def test_the_field_that_is_no_cross_section_is_named(tmp_path, field, said):
    path = tmp_path / "own.csv"
    path.write_text(f"cross_section,cross_section: probe angle / 1.05\n0.1,0.1\n0.2,{field}\n")
    with pytest.raises(InputError, match=f"own.csv, line 3: 'cross_section: probe.*{said}"):
        read_library(path)


def test_angles_that_are_none_are_named(tmp_path):
    with pytest.raises(InputError, match="--detector wide"):
        simulate(tmp_path, detector="wide")


def test_ctrl_c_leaves_no_table(tmp_path, monkeypatch):
    from stemcount.cli import interrupt

    interrupt._asked_to_stop.set()
    try:
        with pytest.raises(KeyboardInterrupt):
            simulate(tmp_path)
    finally:
        interrupt._asked_to_stop.clear()
    assert not (tmp_path / "tables" / "al.csv").exists()
