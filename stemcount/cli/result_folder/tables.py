"""Tables of columns as CSV: what the stages read and write."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from stemcount.arrays import Bools, Floats, Ints
from stemcount.errors import InputError
from stemcount.results import AtomCounts, ColumnFit
from stemcount.whole_file import whole_file

if TYPE_CHECKING:
    import tomo

Table = dict[str, Floats]
#: What every table of fitted columns starts with, by the names of `ColumnFit`.
FIT_COLUMNS = ("x", "y", "height", "width", "cross_section", "cross_section_std")
#: What the stages read of a table; other columns are the user's own.
OWN_COLUMNS = (*FIT_COLUMNS, "noise_std", "flags", "count", "count_probability", "h", "k", "l")
LIKELIHOOD = "log_likelihood_"  # of k atoms, with k behind it
OWN_SERIES = (LIKELIHOOD, "cross_section:")  # what the names of such columns start with
SEPARATORS = (",", ";", "\t")
EMPTY = ("", "nan")  # fields that hold nothing
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # marks at the start of what spreadsheets call Unicode text


def write_table(path: Path, columns: Mapping[str, ArrayLike]) -> None:
    """Write equally long columns under their names; integers stay integers, NaN becomes empty."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    with whole_file(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(arrays)
        for row in zip(*arrays.values(), strict=True):
            writer.writerow([_text(value) for value in row])


def _text(value: np.generic) -> str:
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else f"{value:.10g}"
    return str(value)


def read_table(path: Path, required: tuple[str, ...], may_be_empty: tuple[str, ...] = ()) -> Table:
    """Read a CSV file with a header line; empty fields become NaN.

    Fields may be parted by commas, semicolons or tabs, the last two with decimal commas, as spreadsheets save
    them. Empty rows are left out, and so are columns of the user's own that hold words, such as remarks.
    Names that the program knows may be in capitals, as in X and Count.

    The `required` columns must have a number in each row; those of them that `may_be_empty` may have empty
    fields, but not only these. InputError if the file or a required column is missing, or a field is not a
    number.
    """
    names, rows, separator = _fields_of(path, required)
    missing = [name for name in required if name not in names]
    if missing:
        header = separator.join(names)
        raise InputError(f"{path}: column {missing[0]!r} is missing; its header is {header!r}.")
    if not rows:
        raise InputError(f"{path}: has no rows below its header.")
    for line, row in rows:
        if len(row) != len(names):
            raise InputError(f"{path}, line {line}: {len(row)} fields where the header has {len(names)}.")
    table: Table = {}
    for column, name in enumerate(names):
        if not name:  # separators at the ends of the lines
            continue
        if name in table:
            raise InputError(f"{path}: two columns are called {name!r}; expected one.")
        fields = [row[column].strip() for _, row in rows]
        values = np.array([_number(field, separator) for field in fields], dtype=float)
        needed = name in required and (name not in may_be_empty or np.isnan(values).all())
        wrong = np.isnan(values) & [field.lower() not in EMPTY or needed for field in fields]
        if not wrong.any():
            table[name] = values
        elif name in required or name in OWN_COLUMNS or name.startswith(OWN_SERIES):
            first = int(np.flatnonzero(wrong)[0])
            said = repr(fields[first]) if fields[first] else "empty"
            raise InputError(f"{path}, line {rows[first][0]}: {name} is {said}, expected a number.")
    return table


def _fields_of(path: Path, required: tuple[str, ...]) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Names of a table's columns, its rows with the numbers of their lines, and what parts the fields."""
    columns = "column" if len(required) == 1 else "columns"
    expected = f"expected a CSV file with {columns} {', '.join(required)}"
    try:
        content = Path(path).read_bytes()
        text = content.decode("utf-16" if content[:2] in UTF_16 else "utf-8-sig")
        separator = max(SEPARATORS, key=text.lstrip().split("\n", 1)[0].count)
        reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
        filled = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; {expected}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {expected}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a text in UTF-8; {expected}, as spreadsheets save it.") from error
    header = [name.strip() for name in filled[0][1]] if filled else []
    return [_known_name(name, header) for name in header], filled[1:], separator


def _known_name(name: str, header: list[str]) -> str:
    """A column's name as the program writes it; a column of the user's own keeps its name."""
    low = name.lower()
    known = low in OWN_COLUMNS or low.startswith(OWN_SERIES)
    return low if known and low not in header else name


def _number(field: str, separator: str) -> float:
    """The number in a field; NaN where there is none."""
    try:
        return float(field if separator == "," else field.replace(",", "."))
    except ValueError:
        return math.nan


def fit_table(fit: ColumnFit) -> dict[str, ArrayLike]:
    """Columns of a fit, as `stemcount fit` writes them; noise_std is what `count_stage` takes."""
    return {name: getattr(fit, name) for name in (*FIT_COLUMNS, "noise_std", "flags")}


def counts_table(counts: AtomCounts) -> dict[str, ArrayLike]:
    """Counts with the probability of each, and ln P(V | k) for k = 0..kmax."""
    likelihoods = {f"{LIKELIHOOD}{k}": values for k, values in enumerate(counts.log_likelihood.T)}
    return {"count": counts.count, "count_probability": counts.count_probability, **likelihoods}


def log_likelihood_of(table: Table) -> Floats | None:
    """ln P(V | k) (n, kmax + 1) from a table's log_likelihood_k columns; None where it has none."""
    names = [f"{LIKELIHOOD}{k}" for k in range(len(table))]
    found = [table[name] for name in names if name in table]
    return np.column_stack(found) if found else None


def result_table(
    fit: ColumnFit,
    counts: AtomCounts,
    sites: Ints | None = None,
    on_grid: Bools | bool = False,
) -> dict[str, ArrayLike]:
    """The result folder's columns.csv: fit, count, and one of `sites` (n, 3) for each column on the grid."""
    table: dict[str, ArrayLike] = {name: getattr(fit, name) for name in FIT_COLUMNS}
    table |= {"count": counts.count, "count_probability": counts.count_probability}
    named = np.zeros((len(fit), 3), dtype=np.int64) if sites is None else sites
    return table | dict(zip("hkl", np.where(on_grid, named.T, np.array("", dtype=object)), strict=True))


def strain_table(indexing: tomo.Indexing) -> dict[str, ArrayLike]:
    """The result folder's lattice.csv: where columns lie on their lattice, and how that is distorted there.

    Positions and displacements in A, strains as fractions of the mean over the image, rotation in degrees.
    """
    import tomo

    strain = tomo.strain_map(indexing)
    return {
        "x": indexing.x,
        "y": indexing.y,
        "on_lattice": indexing.keep.astype(int),
        "doubtful": indexing.doubtful.astype(int),
        "residual": indexing.residual,
        "displacement_x": indexing.displacement[:, 0],
        "displacement_y": indexing.displacement[:, 1],
        **{name: strain[name] for name in ("exx", "eyy", "exy", "rotation")},
    }
