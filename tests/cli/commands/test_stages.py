"""`stemcount count`: a table's columns are counted as `stemcount run` counts an image's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.commands.simulation import simulate_project
from stemcount.cli.commands.stages import _view_name, _with_options, count_stage, reconstruct_stage
from stemcount.cli.one_image.columns import count_image
from stemcount.cli.result_folder.tables import fit_table, log_likelihood_of, read_table, write_table


@pytest.mark.parametrize("place", ["known", "one missing", "none"])
def test_where_columns_stand_is_told_to_counting_if_the_table_says_it(tmp_path, monkeypatch, place):
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(np.arange(8.0), np.arange(5.0)))
    values = 1.0 + np.arange(40) % 3
    if place == "one missing":
        x[7] = np.nan
    where = {} if place == "none" else {"x": x, "y": y}
    write_table(tmp_path / "columns.csv", {**where, "cross_section": values})
    told = []

    def count_atoms(cross_sections, **settings):
        told.append(settings.get("positions"))
        return real(cross_sections, **settings)

    real = stemcount.count_atoms
    monkeypatch.setattr(stemcount, "count_atoms", count_atoms)
    count_stage(tmp_path / "columns.csv", tmp_path / "out.csv", None, 4, None, None, "fixed")
    if place == "known":
        assert np.array_equal(told[0], np.column_stack([x, y]))
    else:
        assert told == [None]


def test_a_fitted_image_is_counted_as_a_run_counts_it(tmp_path):
    """Fit table in between: what errs beyond the noise is left to the classes' width."""
    rng = np.random.default_rng(0)
    x, y = (2.0 * axis.ravel() + 4 for axis in np.meshgrid(np.arange(10.0), np.arange(9.0)))
    atoms = rng.integers(1, 5, len(x))
    level = stemcount.simulate_columns(x, y, atoms.astype(float), shape=(120, 130), pixel_size=0.2).data
    image = stemcount.ZoneAxisImage(level + 0.02 * rng.standard_normal(level.shape), 0.2)
    found = stemcount.fit_columns(image, np.column_stack([x, y]))
    fit = replace(found, misfit=4.0, cross_section_std=2 * found.noise_std)
    write_table(tmp_path / "columns.csv", fit_table(fit))
    count_stage(tmp_path / "columns.csv", tmp_path / "out.csv", None, 8, None, None, "fixed")
    counts = count_image(fit, {"max_components": 8})
    table = read_table(tmp_path / "out.csv", ("count",))
    assert np.array_equal(table["count"], counts.count)
    np.testing.assert_allclose(log_likelihood_of(table), counts.log_likelihood, rtol=1e-5, atol=1e-6)


def test_a_scheduler_that_is_none_is_told(tmp_path):
    pytest.importorskip("distributed")
    write_table(tmp_path / "a.csv", {"h": [0, 0], "k": [0, 0], "l": [0, 2], "count": [1, 1]})
    with pytest.raises(stemcount.InputError, match="--scheduler nonsense://host:1: expected the address"):
        reconstruct_stage(
            [tmp_path / "a.csv"],
            ["1,0,0"],
            "Au",
            4.08,
            tmp_path / "out",
            "hard",
            "anneal",
            "nonsense://host:1",
        )


def test_what_the_reconstruction_warns_of_is_said(tmp_path, capsys):
    """One view of few columns leaves open where each begins."""
    write_table(tmp_path / "a.csv", {"h": [0, 0], "k": [0, 0], "l": [0, 2], "count": [3, 3]})
    settings = {"runs": 2, "seed": 0, "workers": 1, "edge_weight": None, "vacancies": None}
    out = tmp_path / "out"
    reconstruct_stage([tmp_path / "a.csv"], ["1,0,0"], "Au", 4.08, out, "hard", "anneal", None, **settings)
    assert "warning: views: all are along one zone axis" in capsys.readouterr().err


def test_settings_are_called_as_the_command_has_them():
    assert _with_options("set vacancies = true in [reconstruction]") == "set --vacancies"
    assert _with_options("vacancies = false fills what is empty.") == "--no-vacancies fills what is empty."


def test_a_cavity_is_told_with_the_option_that_allows_it(tmp_path, capsys):
    """A cube without the atom in its middle."""
    grid = np.argwhere(np.ones((7, 7, 7), dtype=bool)) - 3
    sites = grid[(grid.sum(axis=1) % 2 == 0) & (np.abs(grid).sum(axis=1) > 0)]
    paths, axes = [], [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
    for n, view in enumerate(tomo.phantoms.views_of(sites, axes)):
        sites_of = dict(zip("hkl", view.column_sites.T, strict=True))
        paths.append(tmp_path / f"{n}.csv")
        write_table(paths[-1], {**sites_of, "count": view.counts})
    settings = {"runs": 2, "seed": 0, "workers": 1, "edge_weight": None, "vacancies": None}
    given = [",".join(map(str, axis)) for axis in axes]
    reconstruct_stage(paths, given, "Au", 4.08, tmp_path / "out", "hard", "anneal", None, **settings)
    said = capsys.readouterr().err
    assert "--no-vacancies fills what is empty" in said
    assert "vacancies =" not in said


def write_counted(path, sites, axis):
    """The table x,y,count of a particle of gold along a zone axis."""
    indexing, count = tomo.phantoms.indexed_columns(sites, axis, tomo.fcc("Au", 4.08))
    write_table(path, {"x": indexing.x, "y": indexing.y, "count": count})


def test_tables_of_two_particles_are_refused(tmp_path):
    for seed, axis in enumerate([(1, 0, 0), (1, 1, 0)]):
        write_counted(tmp_path / f"{seed}.csv", tomo.phantoms.random_particle(300, "rough", seed=seed), axis)
    with pytest.raises(tomo.InputError, match="same particle"):
        reconstruct_stage(
            [tmp_path / "0.csv", tmp_path / "1.csv"],
            ["1,0,0", "1,1,0"],
            "Au",
            4.08,
            tmp_path / "out",
            "hard",
            "anneal",
            None,
        )


def tables_of_one_particle(folder, a=4.08):
    """Tables x,y,count of a particle of gold, and what to reconstruct them with."""
    sites = tomo.phantoms.random_particle(150, "rough", seed=1)
    axes = [(1, 0, 0), (0, 1, 0), (1, 1, 0)]
    for n, axis in enumerate(axes):
        write_counted(folder / f"{n}.csv", sites, axis)
    words = [",".join(map(str, axis)) for axis in axes]
    settings = {"runs": 2, "seed": 0, "workers": 1, "edge_weight": None, "vacancies": None}
    paths = [folder / f"{n}.csv" for n in range(len(axes))]
    given = (paths, words, "Au", a, folder / "out", "hard", "anneal", None)
    return sites, given, settings


def test_a_lattice_parameter_that_is_off_is_told(tmp_path, capsys):
    _, given, settings = tables_of_one_particle(tmp_path, a=4.5)
    reconstruct_stage(*given, **settings)
    assert capsys.readouterr().err.count("its lattice is 9.3 % smaller than the lattice parameter") == 3


def test_an_empty_count_leaves_its_column_open(tmp_path, capsys):
    """There is a column; how many atoms it holds the other views say."""
    sites, given, settings = tables_of_one_particle(tmp_path)
    path = given[0][2]
    table = read_table(path, ("count",))
    table["count"][::9] = np.nan
    write_table(path, table)
    reconstruct_stage(*given, **settings)
    result = tomo.load_reconstruction(tmp_path / "out")
    assert tomo.compare_sites(result.occupied(), sites).wrong_fraction < 0.01
    assert "warning" not in capsys.readouterr().err
    table["count"][:] = np.nan
    write_table(path, table)
    with pytest.raises(stemcount.InputError, match=r"2\.csv, line 2: count is empty"):
        reconstruct_stage(*given, **settings)


def test_a_structure_that_is_not_of_this_lattice_parameter_is_told(tmp_path, capsys):
    sites = tomo.phantoms.random_particle(40, "rough", seed=1)
    lines = [f"Pt {x} {y} {z}" for x, y, z in sites * 1.96]
    (tmp_path / "pt.xyz").write_text("\n".join([str(len(lines)), "", *lines]))
    for a, told in ((3.92, False), (8.0, True)):
        simulate_project(tmp_path / "pt.xyz", ["100"], a, tmp_path / "images", 0.3, 1e4, 0)
        assert ("2.77 A apart" in capsys.readouterr().err) == told


def test_a_structure_of_several_species_is_told_that_its_images_are_of_one(tmp_path, capsys):
    (tmp_path / "ag_au.xyz").write_text("3\n\nAu 0 0 0\nAu 2 2 0\nAg 0 2 2\n")
    simulate_project(tmp_path / "ag_au.xyz", ["100"], 4.0, tmp_path / "images", 0.3, 1e4, 0)
    assert "holds Ag, Au: all atoms are made equally bright" in capsys.readouterr().err


def test_a_species_that_is_none_is_named(tmp_path):
    with pytest.raises(stemcount.InputError, match="--species Gold: expected a chemical symbol, such as Au"):
        reconstruct_stage(
            [tmp_path / "a.csv"], ["1,0,0"], "Gold", 4.08, tmp_path / "out", "hard", "anneal", None
        )
    assert not (tmp_path / "out").exists()


def test_counting_a_table_anew_replaces_all_that_the_earlier_counts_left(tmp_path):
    """With fewer classes than before; likelihoods of the larger counts would stay behind."""
    values = 1.0 + np.arange(60) % 6 + 0.02 * np.sin(np.arange(60))
    write_table(tmp_path / "columns.csv", {"cross_section": values})
    path = tmp_path / "columns_counts.csv"
    count_stage(tmp_path / "columns.csv", path, 6, None, None, None, "fixed")
    count_stage(path, path, 2, None, None, None, "fixed")
    expected = stemcount.count_atoms(values, n_components=2).log_likelihood
    np.testing.assert_allclose(log_likelihood_of(read_table(path, ("count",))), expected, rtol=1e-8)


def test_a_folder_given_to_write_to_receives_the_file_of_the_usual_name(tmp_path):
    write_table(tmp_path / "au_columns.csv", {"cross_section": 1.0 + np.arange(30) % 3})
    count_stage(tmp_path / "au_columns.csv", tmp_path, 3, None, None, None, "fixed")
    assert (tmp_path / "au_columns_counts.csv").exists()
    count_stage(tmp_path / "au_columns.csv", tmp_path / "new" / "a.csv", 3, None, None, None, "fixed")
    assert (tmp_path / "new" / "a.csv").exists()


def test_views_are_called_after_their_images():
    for name in ("au_110.csv", "au_110_columns.csv", "au_110_columns_counts.csv", "au_110/columns.csv"):
        assert _view_name(Path(name)) == "au_110"


def test_a_table_that_is_not_counted_yet_is_told_what_comes_first(tmp_path):
    write_table(tmp_path / "a.csv", {"x": [0.0], "y": [0.0], "cross_section": [1.0]})
    with pytest.raises(stemcount.InputError, match=r"'count' is missing.*stemcount count .*a.csv adds it"):
        reconstruct_stage([tmp_path / "a.csv"], ["1,0,0"], "Au", 4.08, tmp_path, "soft", "anneal", None)


@pytest.mark.parametrize(
    ("axes", "a", "where"),
    [
        (["1,1,0", "1,0,0"], 4.08, "0.csv"),  # the tables' order changed
        (["1,0,0", "1,1,2"], 4.08, "1.csv"),
        (["1,0,0", "1,1,1"], 4.08, "1.csv"),  # fits when drawn out
        (["1,0,0", "1,1,0"], 9.0, "0.csv"),
    ],
)
def test_sites_that_are_not_seen_where_the_columns_are(tmp_path, axes, a, where):
    """A slow drift over the image, as a large one has, is none of this."""
    sites = tomo.phantoms.random_particle(150, "rough", seed=1)
    crystal, paths = tomo.fcc("Au", 4.08), [tmp_path / "0.csv", tmp_path / "1.csv"]
    for path, view in zip(paths, tomo.phantoms.views_of(sites, [(1, 0, 0), (1, 1, 0)]), strict=True):
        zone = tomo.zone_geometry(view.zone_axis)
        x, y = zone.positions(zone.lines(view.column_sites), crystal.a).T
        table = dict(zip("hkl", view.column_sites.T, strict=True))
        write_table(path, {"x": x + 2e-3 * y**2, "y": y, "count": view.counts, **table})
    settings = {"runs": 2, "seed": 0, "workers": 1, "edge_weight": None, "vacancies": None}
    others = (tmp_path / "out", "hard", "anneal", None)
    reconstruct_stage(paths, ["1,0,0", "1,1,0"], "Au", 4.08, *others, **settings)
    with pytest.raises(stemcount.InputError, match=f"{where}: its columns do not stand"):
        reconstruct_stage(paths, axes, "Au", a, *others, **settings)


def test_a_part_of_a_grid_site_is_told(tmp_path):
    columns = {"x": [0, 2.04], "y": [0, 2.04], "count": [1, 2], "h": [0, np.nan], "k": [0, 1], "l": [0, 1]}
    write_table(tmp_path / "half.csv", columns)
    with pytest.raises(stemcount.InputError, match=r"half\.csv, column 1: has only a part of h, k, l"):
        reconstruct_stage(
            [tmp_path / "half.csv"], ["1,0,0"], "Au", 4.08, tmp_path / "out", "hard", "anneal", None
        )


def test_what_counting_refuses_is_told_with_the_table(tmp_path):
    write_table(tmp_path / "one.csv", {"cross_section": [1.0]})
    with pytest.raises(stemcount.InputError, match=r"one\.csv: cross_sections: expected at least 2"):
        count_stage(tmp_path / "one.csv", None, None, None, None, None, "fixed")


def test_a_single_column_is_counted_by_a_library(tmp_path, capsys):
    """Of a table as a spreadsheet saves it."""
    (tmp_path / "column.csv").write_text("X;Y;Cross_Section\n1,0;2,0;0,061\n")
    write_table(tmp_path / "library.csv", {"cross_section": [0.03, 0.06, 0.09]})
    count_stage(
        tmp_path / "column.csv", tmp_path / "out.csv", None, None, None, tmp_path / "library.csv", "fixed"
    )
    assert read_table(tmp_path / "out.csv", ("x", "y", "count"))["count"] == [2]
    assert "2 +- 0 atoms in 1 column, 1 component" in capsys.readouterr().out
