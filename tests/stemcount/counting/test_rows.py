"""Rows of columns, and readings judged by neighbours."""

from __future__ import annotations

import numpy as np
import pytest

import stemcount
from stemcount.counting import context
from stemcount.counting.context import fit_in_rows, in_rows
from stemcount.counting.curve import CurveFit
from stemcount.counting.order import assign
from stemcount.counting.row_kernel import RowValues
from stemcount.counting.rows import Rows, find_rows


def grid(n_along: int, n_across: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of a square lattice turned by 20 degrees and shaken, and the indices of its columns."""
    i, j = (v.ravel() for v in np.meshgrid(np.arange(n_along), np.arange(n_across), indexing="ij"))
    turn = np.deg2rad(20)
    place = (
        2.0
        * np.column_stack([i, j])
        @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    )
    return place + np.random.default_rng(0).normal(0, 0.05, place.shape), i, j


def test_rows_follow_the_direction_of_least_change_and_hold_every_column_once() -> None:
    place, _, j = grid(30, 20)
    rows = find_rows(place, j.astype(float))
    assert rows is not None
    assert sorted(rows.order.tolist()) == list(range(600))
    assert np.all(np.diff(j[rows.order])[~rows.start[1:]] == 0)
    assert rows.start.sum() in (20, 40)  # along one step or two


def test_no_rows_without_a_lattice_or_with_few_columns() -> None:
    scattered = np.random.default_rng(1).uniform(0, 100, (300, 2))
    assert find_rows(scattered, np.zeros(300)) is None
    assert find_rows(scattered[:10], np.zeros(10)) is None


@pytest.fixture(scope="module")
def terraces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thick ridge with terraces along i whose classes overlap: positions, atoms, cross-sections."""
    place, i, j = grid(60, 40)
    rng = np.random.default_rng(2)
    edge = np.cumsum(rng.random((40, 60)) < 0.08, axis=1)[j, i] % 2
    atoms = 20 - np.round(((j - 19.5) / 5) ** 2).astype(int) + edge
    return place, atoms, atoms + 0.5 * rng.standard_normal(len(atoms))


@pytest.fixture(scope="module")
def rows(terraces: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Rows:
    """The rows of the terraces."""
    place, _, values = terraces
    found = find_rows(place, values)
    assert found is not None
    return found


def reading(scale: float, top: int = 21) -> CurveFit:
    """Straight curve on which the thickest column, of `top` atoms, counts as `scale` times as many."""
    last = round(scale * top)
    mean = np.arange(1, last + 4) / scale
    share = np.where(np.arange(1, last + 4) <= last, 100.0, 0.0)
    return CurveFit(mean, share / share.sum(), share, 0.16, 0.0, True, 0.0, 1, last)


def test_neighbours_tell_the_scale_where_classes_overlap(
    terraces: tuple[np.ndarray, np.ndarray, np.ndarray], rows: Rows
) -> None:
    _, _, values = terraces
    columns = RowValues(values[rows.order], rows.start, np.zeros(len(values), dtype=np.int64))
    evidence = {
        scale: fit_in_rows(columns, reading(scale), 40).log_evidence for scale in (0.7, 0.85, 1.0, 1.2, 1.5)
    }
    assert max(evidence, key=lambda scale: evidence[scale]) == 1.0


def test_in_rows_finds_the_right_counts_from_a_reading_that_is_off(
    terraces: tuple[np.ndarray, np.ndarray, np.ndarray], rows: Rows
) -> None:
    _, atoms, values = terraces
    found = in_rows(values, np.full(len(values), 0.04), rows, [reading(0.85), reading(1.3)])
    assert [fit.log_evidence for fit in found] == sorted((fit.log_evidence for fit in found), reverse=True)
    total = assign(values, found[0]).sum() / atoms.sum()
    assert total == pytest.approx(1.0, abs=0.03)


def test_the_best_reading_depends_neither_on_the_start_nor_on_the_last_digits(
    terraces: tuple[np.ndarray, np.ndarray, np.ndarray], rows: Rows
) -> None:
    _, _, values = terraces
    shaken = values * (1 + 1e-5 * np.random.default_rng(0).standard_normal(len(values)))
    noise = np.full(len(values), 0.04)
    one = in_rows(values, noise, rows, [reading(0.85), reading(1.3)])[0]
    other = in_rows(shaken, noise, rows, [reading(0.9), reading(1.1)])[0]
    assert other.log_evidence == pytest.approx(one.log_evidence, abs=0.5)
    assert np.mean(assign(values, one) == assign(values, other)) > 0.98


def test_every_column_of_a_large_image_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of some of the rows only, one column that splits a row in two would change which ones these are."""
    place, i, _ = grid(110, 40)
    atoms = 1 + i // 55
    values = atoms + 0.3 * np.random.default_rng(3).standard_normal(len(atoms))
    found = find_rows(place, values)
    assert found is not None
    monkeypatch.setattr(context, "ROUNDS", 0)  # no further readings are searched
    best = in_rows(values, np.full(len(values), 0.01), found, [reading(1.0, top=2)])[0]
    assert best.share.sum() == pytest.approx(len(values))
    assert np.mean(assign(values, best) == atoms) > 0.9


@pytest.mark.parametrize("positions", [np.zeros((5, 2)), np.zeros(30), np.full((30, 2), np.nan)])
def test_positions_that_are_none_are_refused(positions: np.ndarray) -> None:
    with pytest.raises(stemcount.InputError, match="positions: expected finite x, y in A of 30 columns"):
        stemcount.count_atoms(np.arange(1.0, 31.0), positions=positions)
