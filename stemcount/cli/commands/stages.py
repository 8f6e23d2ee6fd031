"""The stages alone, table in and table out: `stemcount fit`, `count` and `reconstruct`."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from scipy.spatial import cKDTree

import stemcount
import tomo
from stemcount.arrays import Bools, Floats
from stemcount.counting.library import beyond_library
from stemcount.errors import InputError
from stemcount.finding.fitted import find_and_fit_columns
from stemcount.simulation.elements import SYMBOLS

from ..one_image.columns import load_image_or_average
from ..one_image.image_checks import told
from ..one_image.lattice_checks import scale_warning
from ..progress import bars_wanted, compiling_told
from ..project_file.project import FitSection
from ..project_file.project_mistakes import first_mistake
from ..result_folder.outputs import in_a_sentence
from ..result_folder.tables import (
    LIKELIHOOD,
    Table,
    counts_table,
    fit_table,
    log_likelihood_of,
    read_table,
    write_table,
)
from .library import read_library
from .parsing import check_folder, file_to_write, parse_signal, parse_zone_axis

OFF_LINE = 0.5  # A: columns of a right table mostly lie nearer to their lines, as indexing drops others
STRETCH = 1.25  # of a lattice against that of the crystal: indexing allows 10 % and a slight shear


@compiling_told()
def fit_stage(
    path: Path,
    out: Path | None,
    pixel_size: float | None,
    signal: str | None,
    average: bool,
    columns: Path | None,
    peak: str | None,
    background: str | None,
) -> None:
    """Fit the columns of one image and write x, y, height, width, cross-section and its error."""
    given = {"peak": peak, "background": _number_or_word(background)}
    try:
        settings = FitSection(**given).model_dump(exclude_none=True)  # type: ignore[arg-type]
    except ValidationError as error:
        raise InputError(f"--{first_mistake(error, given, FitSection)}") from error
    image = load_image_or_average(path, average, None, pixel_size, parse_signal(signal))
    out = file_to_write(out, path.with_name(f"{path.stem}_columns.csv"))
    if columns is None:
        fit = find_and_fit_columns(image, **settings)
    else:
        table = read_table(columns, ("x", "y"))
        fit = stemcount.fit_columns(image, np.column_stack([table["x"], table["y"]]), **settings)
    write_table(out, fit_table(fit))
    print(f"{out}: {len(fit)} columns, residual sum of squares {fit.residual_sum_of_squares:.6g}")


def _number_or_word(text: str | None) -> str | float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


@compiling_told()
def count_stage(
    path: Path,
    out: Path | None,
    n_components: int | None,
    max_components: int | None,
    offset: int | None,
    library: Path | None,
    library_scale: str,
) -> None:
    """Count the atoms of a table's columns; the table comes back with counts and likelihoods added.

    As `stemcount run` does, by the noise alone where the table names it (`ColumnFit.noise_std`). Counts of
    an earlier time that the table holds are replaced.
    """
    if library_scale == "free" and library is None:
        raise InputError("--library-scale free: says nothing without --library.")
    table = read_table(path, ("cross_section",))
    out = file_to_write(out, path.with_name(f"{path.stem}_counts.csv"))
    given = {
        "n_components": n_components,
        "max_components": max_components,
        "offset": offset,
        "library": None if library is None else read_library(library),
        "library_scale": library_scale,
        "cross_section_std": table.get("noise_std", table.get("cross_section_std")),
        "positions": _positions_of(table),
    }
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        counts = stemcount.count_atoms(table["cross_section"], **settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    kept = {name: values for name, values in table.items() if not name.startswith(LIKELIHOOD)}
    write_table(out, {**kept, **counts_table(counts)})
    why = "" if counts.verdict == "given" else f" {counts.reason}"
    print(
        f"{out}: {counts.count.sum()} +- {counts.total_std:.0f} atoms in"
        f" {_number_of(len(counts.count), 'column')}, {_number_of(counts.n_components, 'component')}"
        f" ({counts.verdict}).{why}"
    )
    if "library" in settings and (beyond := beyond_library(counts.count, settings["library"])):
        print(f"warning: {beyond}", file=sys.stderr)


def _number_of(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _positions_of(table: Table) -> Floats | None:
    """Column centres (n, 2) [A] of a table; None where it does not name them all."""
    if not {"x", "y"} <= table.keys():
        return None
    places = np.column_stack([table["x"], table["y"]])
    return places if np.isfinite(places).all() else None


@compiling_told()
def reconstruct_stage(
    paths: list[Path],
    zone_axes: list[str],
    species: str,
    a: float,
    out: Path,
    counts: str,
    method: str,
    scheduler: str | None,
    **settings: Any,
) -> None:
    """Reconstruct from one table a view; `settings` are the others of `tomo.reconstruct`.

    A table with h, k, l is taken to be in the common frame already (a result folder's columns.csv); tables
    with x, y only are indexed and registered first. An empty count says that there is a column, and not how
    many atoms it holds.
    """
    if len(paths) != len(zone_axes):
        raise InputError(
            f"{_number_of(len(paths), 'table')} but {len(zone_axes)} --zone-axis; give one for each table."
        )
    if counts not in ("soft", "hard"):
        raise InputError(f"--counts {counts}: expected soft or hard.")
    if method not in ("anneal", "sample"):
        raise InputError(f"--method {method}: expected anneal or sample.")
    if species not in SYMBOLS:
        raise InputError(f"--species {species}: expected a chemical symbol, such as Au.")
    crystal = tomo.fcc(species, a)
    tables = [_counted_table(path) for path in paths]
    axes = [parse_zone_axis(text) for text in zone_axes]
    if all({"h", "k", "l"} <= table.keys() for table in tables):
        views = [_view_on_grid(*item, counts, crystal) for item in zip(paths, tables, axes, strict=True)]
        found: tuple[str, ...] = ()
    else:
        views, found = _views_by_registration(paths, tables, axes, crystal, counts)
    check_folder(out)
    with _client_of(scheduler) as client:
        result = tomo.reconstruct(
            views,
            method=method,
            crystal=crystal,
            progress=bars_wanted(),
            checkpoint=out / "stages" / "runs",
            client=client,
            **settings,
        )
    result.save(out)
    result.write_xyz(out / "atoms.xyz")
    print(f"{out}: {in_a_sentence(result)}, edge weight {result.edge_weight:.3g}")
    for warning in (*found, *result.warnings):
        print(f"warning: {_with_options(warning)}", file=sys.stderr)


def _with_options(warning: str) -> str:
    """A warning with what the command calls a setting of project files."""
    return re.sub(
        r"vacancies = (true|false)( in \[reconstruction\])?",
        lambda found: "--vacancies" if found[1] == "true" else "--no-vacancies",
        warning,
    )


def _counted_table(path: Path) -> Table:
    """A table with counts; who gives one of a fit alone is told what is to be done with it first."""
    try:
        return read_table(path, ("count",), may_be_empty=("count",))
    except InputError as error:
        if "'count' is missing" in str(error) and "cross_section" in str(error):
            raise InputError(f"{str(error)[:-1]}; stemcount count {path} adds it.") from error
        raise


def _view_name(path: Path) -> str:
    """What messages call the view of a table: the image, whose fit, counts or result it holds."""
    name = path.stem.removesuffix("_counts").removesuffix("_columns")
    return path.resolve().parent.name if name == "columns" else name


def _client_of(scheduler: str | None) -> AbstractContextManager[Any]:
    """A dask client of the scheduler at an address; None where none is asked for."""
    if scheduler is None:
        return nullcontext()
    try:
        from distributed import Client

        return Client(scheduler)  # type: ignore[no-any-return, no-untyped-call]
    except ImportError as error:
        raise InputError(
            f"--scheduler {scheduler}: needs dask.distributed; install stemcount[distributed] ({error})."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler {scheduler}: expected the address of a dask scheduler that runs, such as"
            f" tcp://host:8786 ({error})."
        ) from error


def _check_axis(
    path: Path,
    table: Table,
    sites: Floats,
    named: Bools,
    axis: tuple[int, int, int],
    crystal: tomo.Crystal,
) -> None:
    """Refuse a zone axis, or a lattice parameter, along which the sites do not lie where the columns are.

    Seen along the right axis the grid sites of the columns are their places, but for a turn, a shift, and a
    distortion as slight as indexing allows; neighbours, which a slow drift moves alike, stand apart as seen.
    Tables without places, or of columns in a line, cannot be checked.
    """
    places = _positions_of({name: table[name][named] for name in "xy" if name in table})
    if places is None or len(places) < 3:
        return
    seen = sites[named] @ tomo.zone_geometry(axis).rotation[:2].T * (crystal.a / 2)
    seen, places = seen - seen.mean(axis=0), places - places.mean(axis=0)
    if np.linalg.matrix_rank(places, tol=OFF_LINE * len(places) ** 0.5) < 2:
        return
    matrix = np.linalg.lstsq(seen, places, rcond=None)[0]
    error = seen @ matrix - places
    neighbour = cKDTree(places).query(places, k=2)[1][:, 1]
    off = float(np.median(np.linalg.norm(error - error[neighbour], axis=1)))
    stretch = np.linalg.svd(matrix, compute_uv=False)
    if off < OFF_LINE and stretch.max() < STRETCH * min(stretch.min(), 1.0) and stretch.min() > 1 / STRETCH:
        return
    raise InputError(
        f"{path}: its columns do not stand where h, k, l are seen along [{axis[0]} {axis[1]} {axis[2]}] with"
        f" a = {crystal.a:g} A; expected the zone axis and lattice parameter that the table was made with."
    )


def _view_on_grid(
    path: Path, table: Table, axis: tuple[int, int, int], counts: str, crystal: tomo.Crystal
) -> tomo.View:
    """A view from a table that names a grid site of each column."""
    sites = np.column_stack([table[name] for name in "hkl"])
    known = np.isfinite(sites)
    named: Bools = np.asarray(known.all(axis=1))
    halves = np.flatnonzero(known.any(axis=1) & ~named)
    if len(halves):
        raise InputError(
            f"{path}, column {halves[0]}: has only a part of h, k, l; expected all three, or none for a"
            " column that lies on no line."
        )
    _check_axis(path, table, sites, named, axis, crystal)
    return tomo.View(
        zone_axis=axis,
        column_sites=np.rint(sites[named]).astype(np.int64),
        name=_view_name(path),
        **_what_is_known(table, named, counts),
    )


def _what_is_known(table: Table, rows: Bools, counts: str) -> dict[str, Any]:
    """The counts of a table as `View` takes them: soft where the table has likelihoods."""
    likelihood = log_likelihood_of(table) if counts == "soft" else None
    if likelihood is not None:
        return {"log_likelihood": likelihood[rows]}
    values = table["count"][rows]
    return {"counts": np.where(np.isnan(values), -1, values)}


def _views_by_registration(
    paths: list[Path],
    tables: list[Table],
    axes: list[tuple[int, int, int]],
    crystal: tomo.Crystal,
    counts: str,
) -> tuple[list[tomo.View], tuple[str, ...]]:
    """Index the columns of each table and bring the views into one frame; what contradicts itself there."""
    for path, table in zip(paths, tables, strict=True):
        if not {"x", "y"} <= table.keys():
            raise InputError(f"{path}: needs columns x,y in A, or h,k,l.")
    indexings = [
        tomo.index_columns(table["x"], table["y"], axis, crystal, name=_view_name(path))
        for path, table, axis in zip(paths, tables, axes, strict=True)
    ]
    counted = [table["count"] for table in tables]
    registration = tomo.register_views(indexings, counted)
    views = []
    for table, indexing, sites in zip(tables, indexings, registration.column_sites, strict=True):
        known = _what_is_known(table, indexing.counted, counts)
        views.append(
            tomo.View(
                zone_axis=indexing.zone_axis,
                column_sites=sites[indexing.counted],
                name=indexing.name,
                **known,
            )
        )
    scales = told(scale_warning(indexing.name, indexing) for indexing in indexings)
    return views, (*scales, *tomo.check_registration(registration, counted))
