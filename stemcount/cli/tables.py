"""Tables of columns as CSV: what the stages read and write."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcount.errors import InputError
from stemcount.results import AtomCounts, ColumnFit

if TYPE_CHECKING:
    import tomo

Table = dict[str, NDArray[np.float64]]
#: What every table of fitted columns starts with, by the names of `ColumnFit`.
FIT_COLUMNS = ("x", "y", "height", "width", "cross_section", "cross_section_std")


def write_table(path: Path, columns: Mapping[str, ArrayLike]) -> None:
    """Write equally long columns under their names; integers stay integers, NaN becomes empty."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(arrays)
        for row in zip(*arrays.values(), strict=True):
            writer.writerow([_text(value) for value in row])


def _text(value: np.generic) -> str:
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else f"{value:.10g}"
    return str(value)


def read_table(path: Path, required: tuple[str, ...]) -> Table:
    """Read a CSV file with a header line; empty fields become NaN.

    Parameters
    ----------
    path : Path
        The file.
    required : tuple of str
        Columns it must have.

    Raises
    ------
    InputError
        If the file is missing, a required column is missing, or a field is not a number.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such table; expected a CSV file with columns {', '.join(required)}."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file: {error}.") from error
    names = [name.strip() for name in header]
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(f"{path}: column {missing[0]!r} is missing; its header is {','.join(names)!r}.")
    values = np.full((len(rows), len(names)), np.nan)
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise InputError(f"{path}, line {i + 2}: {len(row)} fields where the header has {len(names)}.")
        for j, field in enumerate(row):
            try:
                values[i, j] = float(field) if field.strip() else np.nan
            except ValueError:
                raise InputError(
                    f"{path}, line {i + 2}: {names[j]} is {field!r}, expected a number."
                ) from None
    table = {name: values[:, j] for j, name in enumerate(names)}
    for name in required:
        if np.isnan(table[name]).any():
            line = int(np.flatnonzero(np.isnan(table[name]))[0]) + 2
            raise InputError(f"{path}, line {line}: {name} is empty, expected a number.")
    return table


def fit_table(fit: ColumnFit) -> dict[str, ArrayLike]:
    """Columns of a fit, as `stemcount fit` writes them; noise_std is what `count_stage` takes."""
    return {name: getattr(fit, name) for name in (*FIT_COLUMNS, "noise_std", "flags")}


def counts_table(counts: AtomCounts) -> dict[str, ArrayLike]:
    """Counts with the probability of each, and ln P(V | k) for k = 0..kmax."""
    likelihoods = {f"log_likelihood_{k}": values for k, values in enumerate(counts.log_likelihood.T)}
    return {"count": counts.count, "count_probability": counts.count_probability, **likelihoods}


def log_likelihood_of(table: Table) -> NDArray[np.float64] | None:
    """ln P(V | k) (n, kmax + 1) from a table's log_likelihood_k columns; None where it has none."""
    names = [f"log_likelihood_{k}" for k in range(len(table))]
    found = [table[name] for name in names if name in table]
    return np.column_stack(found) if found else None


def result_table(
    fit: ColumnFit, counts: AtomCounts | None, sites: NDArray[np.int64] | None, keep: NDArray[np.bool_] | None
) -> dict[str, ArrayLike]:
    """The result folder's columns.csv: fit, count and one grid site a column where they are known."""
    n = len(fit)
    unknown = np.full(n, "", dtype=object)
    table: dict[str, ArrayLike] = {name: getattr(fit, name) for name in FIT_COLUMNS}
    table["count"] = unknown if counts is None else counts.count
    table["count_probability"] = unknown if counts is None else counts.count_probability
    for axis, name in enumerate("hkl"):
        table[name] = unknown if sites is None else _where_kept(sites[:, axis], keep)
    return table


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


def _where_kept(values: NDArray[np.int64], keep: NDArray[np.bool_] | None) -> NDArray[np.object_]:
    shown = values.astype(object)
    if keep is not None:
        shown[~keep] = ""
    return shown
