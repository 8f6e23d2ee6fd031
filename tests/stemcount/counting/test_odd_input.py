"""What a script may hand to counting: what is odd is read as meant, or gets one sentence."""

import numpy as np
import pytest

import stemcount
from stemcount import InputError

ATOMS = np.repeat(np.arange(1, 5), 20)
VALUES = 0.3 * ATOMS + 0.02 * np.random.default_rng(1).standard_normal(80)
MASKED = np.ma.array(VALUES, mask=np.arange(80) == 7)
LIBRARY = 0.3 * np.arange(1, 7)


@pytest.mark.parametrize(
    "atoms",
    [np.repeat([1, 2, 3], 30), np.repeat(np.arange(1, 9), 20), np.random.default_rng(3).integers(1, 9, 100)],
    ids=["three", "eight", "random"],
)
@pytest.mark.parametrize("rounding", [0.0, 1e-9])
def test_cross_sections_without_noise_are_counted(atoms, rounding):
    values = 0.3 * atoms**0.95 * (1 + rounding * np.random.default_rng(0).random(len(atoms)))
    counts = stemcount.count_atoms(values, max_components=12)
    assert counts.verdict == "decided"
    assert np.array_equal(counts.count, atoms)


@pytest.mark.parametrize("most", [1, 3, 4])
def test_no_count_is_above_the_largest_to_be_considered(most):
    counts = stemcount.count_atoms(VALUES, max_components=most)
    assert max(len(reading.mean) - 1 for reading in counts.alternatives) <= most
    assert counts.probability.shape[1] <= most + 1
    if most == 4:
        assert np.array_equal(counts.count, ATOMS)


def test_a_reading_is_one():
    counts = stemcount.count_atoms(VALUES, max_components=4)
    with pytest.raises(InputError, match=r"reading: expected a Hypothesis.* got AtomCounts"):
        stemcount.counts_from_hypothesis(VALUES, counts)


def test_an_offset_is_that_of_the_counts():
    assert stemcount.count_atoms(VALUES, offset=1).count.min() == 2
    with pytest.raises(InputError, match=r"offset: no reading .* has 41 atoms in its thinnest class"):
        stemcount.count_atoms(VALUES, offset=40)


def test_a_library_reads_a_single_column():
    counts = stemcount.count_atoms([0.91], library=LIBRARY, cross_section_std=[0.02])
    assert counts.count.tolist() == [3]
    assert counts.probability.shape == (1, 7)
    assert (counts.mixtures, counts.icl.shape, counts.verdict) == ((), (0,), "given")


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([0.9], {}, "at least 2 columns, got 1"),
        ([0.9], {"library": LIBRARY, "library_scale": "free"}, "at least 2 columns, got 1"),
        ([], {"library": LIBRARY}, "at least one column, got 0"),
        (MASKED, {}, "cross_sections: 1 are NaN, masked or infinite, the first at column 7"),
        (["a", "b"], {}, "cross_sections: expected an array of numbers"),
        ([[1, 2], [3]], {}, "cross_sections: expected an array of numbers"),
        (VALUES + 0j, {}, "complex"),
        (VALUES * 1e-310, {}, "between 1e-60 and 1e"),
        (VALUES * 1e300, {}, "between 1e-60 and 1e"),
        (VALUES, {"n_components": 4.0}, "n_components: expected an integer of at least 1, got 4.0"),
        (VALUES, {"n_components": True}, "n_components: expected an integer"),
        (VALUES, {"n_components": 81}, "n_components: expected 1 to 80"),
        (VALUES, {"n_components": 4, "library": LIBRARY}, "give either n_components or library"),
        (VALUES, {"max_components": 5.5}, "max_components: expected an integer"),
        (VALUES, {"offset": 1.5}, "offset: expected an integer"),
        (VALUES, {"dose": "1e4"}, "dose: expected a positive number"),
        (VALUES, {"cross_section_std": np.ma.array(VALUES, mask=MASKED.mask)}, "cross_section_std"),
        (VALUES, {"library": "library.csv"}, "library: expected an array of numbers"),
        (VALUES, {"positions": "here"}, "positions: expected an array of numbers"),
    ],
)
def test_one_sentence_for(values, options, message):
    with pytest.raises(InputError, match=message):
        stemcount.count_atoms(values, **options)


def test_masked_frames_of_a_series_are_not_seen():
    frames = np.tile(VALUES, (3, 1))
    frames[0, :10] = 9.9
    hidden = np.ma.array(frames, mask=frames == 9.9)
    series = stemcount.count_time_series(hidden, n_components=4)
    nan = stemcount.count_time_series(np.where(frames == 9.9, np.nan, frames), n_components=4)
    assert np.array_equal(series.probability, nan.probability)
    assert np.array_equal(series.count, np.tile(ATOMS, (3, 1)))


def test_columns_without_a_known_number_of_atoms_teach_nothing():
    counts = stemcount.count_atoms(VALUES, n_components=4)
    std = np.full(80, 0.01)
    known = np.where(np.arange(80) % 2, ATOMS, 0)
    expected = stemcount.recount(counts, VALUES, std, known).chosen.mean
    for atoms in (np.where(known, known, np.nan), np.ma.array(ATOMS, mask=known == 0)):
        assert np.array_equal(stemcount.recount(counts, VALUES, std, atoms).chosen.mean, expected)


def test_one_sentence_for_the_others():
    counts = stemcount.count_atoms(VALUES, n_components=4)
    for call, message in (
        (lambda: stemcount.recount(counts, VALUES, 0.01, ATOMS), "cross_section_std: expected shape"),
        (lambda: stemcount.thick_readings(VALUES, 5.5, 8), "expected an integer"),
        (lambda: stemcount.library_reading(VALUES, LIBRARY, cross_section_std=[0.1]), "cross_section_std"),
        (lambda: stemcount.count_time_series("abc"), "cross_sections: expected an array of numbers"),
        (lambda: stemcount.count_time_series([VALUES], change_probability="a"), "change_probability"),
        (lambda: stemcount.fit_mixtures(VALUES, 2.5), "max_components: expected an integer"),
    ):
        with pytest.raises(InputError, match=message):
            call()
