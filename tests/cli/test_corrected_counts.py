"""Counts of a view whose class means were moved to agree with those of other views."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import stemcount
import tomo
from stemcount.cli.views import _corrected


@pytest.fixture(scope="module")
def counted():
    """A fit and its counts, decided."""
    atoms = np.repeat(np.arange(1, 9), 15)
    values = atoms + 0.05 * np.random.default_rng(0).standard_normal(len(atoms))
    counts = stemcount.count_atoms(values, max_components=10)
    assert counts.verdict == "decided"
    return SimpleNamespace(cross_section=values, cross_section_std=np.full(len(values), 0.01)), counts


def test_what_agrees_stays_as_it_is(counted):
    fit, counts = counted
    assert _corrected(counts, fit, tomo.CountCorrection(most=8.0)) is counts


def test_moved_counts_are_no_longer_decided_and_say_by_how_much(counted):
    fit, counts = counted
    moved = _corrected(counts, fit, tomo.CountCorrection(scale=0.125, most=8.0))
    assert moved.verdict == "undecidable"
    assert "1.0 atoms" in moved.reason
    assert moved.count.max() == 7  # 8 atoms less an eighth


def test_counts_that_the_user_fixed_stay(counted):
    fit, counts = counted
    given = replace(counts, verdict="given")
    assert _corrected(given, fit, tomo.CountCorrection(scale=0.2, most=8.0)) is given
