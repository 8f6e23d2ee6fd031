"""Tables survive the way through a file; broken ones are named with their line."""

import numpy as np
import pytest

from stemcount import InputError
from stemcount.cli.commands.parsing import check_folder, parse_zone_axis
from stemcount.cli.result_folder.tables import log_likelihood_of, read_table, write_table


def test_round_trip(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    write_table(path, {"x": [0.1, 2.0], "count": [3, 4], "l": [np.nan, 1.0]})
    assert path.read_text().splitlines() == ["x,count,l", "0.1,3,", "2,4,1"]
    table = read_table(path, ("x", "count"))
    np.testing.assert_array_equal(table["l"], [np.nan, 1.0])
    assert log_likelihood_of(table) is None


def test_likelihood_columns_come_back_in_order(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 12))
    write_table(tmp_path / "t.csv", {f"log_likelihood_{k}": values[:, k] for k in range(12)})
    np.testing.assert_allclose(log_likelihood_of(read_table(tmp_path / "t.csv", ())), values, rtol=1e-9)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "'x' is missing"),
        ("a,b\n1,2\n", "'x' is missing"),
        ("x,y\n", "no rows below its header"),
        ("x,y\n1\n", "line 2: 1 fields"),
        ("x,y\n1,2\n1,abc\n", "line 3: y is 'abc'"),
        ("x,y\n1,\n", "line 2: y is empty"),
        ("x,y\n\n1,2\n3,\n", "line 4: y is empty"),
        ("x,y\n1,NaN\n", "line 2: y is 'NaN'"),
        ("x;y\n1,5;2\n1,5;#WERT!\n", "line 3: y is '#WERT!'"),
        ("x,y,count\n1,2,many\n", "line 2: count is 'many'"),
        ("x,y,x\n1,2,3\n", "two columns are called 'x'"),
    ],
)
def test_broken_tables(tmp_path, content, sentence):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_table(path, ("x", "y"))


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_spreadsheets_save_them(tmp_path, separator, encoding):
    """Decimal commas, Windows line ends, empty cells at the end, remarks, rows in any order."""
    lines = ["y,x,remark,count,,", "-2.5,0.125,grün,3,,", "1e-3,4,,,,", ",,,,,"]
    text = "\r\n".join(line.replace(",", separator).replace(".", ",") for line in lines)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "t.csv", ("x", "y"))
    assert list(table) == ["y", "x", "count"]
    np.testing.assert_array_equal(table["x"], [0.125, 4.0])
    np.testing.assert_array_equal(table["y"], [-2.5, 1e-3])
    np.testing.assert_array_equal(table["count"], [3.0, np.nan])


def test_names_in_capitals_are_known(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("X,y,Y,Cross_Section,Log_Likelihood_0,Particle\n1,2,9,3,-4,5\n")
    table = read_table(path, ("x", "y", "cross_section"))
    assert list(table) == ["x", "y", "Y", "cross_section", "log_likelihood_0", "Particle"]
    assert [table["y"][0], table["Y"][0]] == [2.0, 9.0]  # the user's own beside that of the program
    path.write_text("X,x,y\n1,2,3\n")
    assert read_table(path, ("x", "y"))["x"] == [2.0]


def test_missing_table(tmp_path):
    with pytest.raises(InputError, match="no such table"):
        read_table(tmp_path / "t.csv", ("x",))
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\); expected a CSV file"):
        read_table(tmp_path, ("x",))
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(InputError, match="not a text in UTF-8; expected a CSV file with column x"):
        read_table(tmp_path / "t.xlsx", ("x",))


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("1,1,0", (1, 1, 0)),
        ("[1 -1 0]", (1, -1, 0)),
        ("110", (1, 1, 0)),
        ("1-12", (1, -1, 2)),
        ("10,0,1", (10, 0, 1)),
    ],
)
def test_zone_axis_spellings(text, axis):
    assert parse_zone_axis(text) == axis


@pytest.mark.parametrize("text", ["", "1,1", "1,1,x", "0,0,0", "1.5,0,0", "1,2,3,4"])
def test_wrong_zone_axes(text):
    with pytest.raises(InputError, match="zone axis"):
        parse_zone_axis(text)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write there"):
        check_folder(tmp_path / "file" / "result")
