"""What a public function of images, fits and counts does not take is named in one sentence."""

import numpy as np
import pytest

import stemcount
from stemcount import InputError, ZoneAxisImage

VALUES = np.repeat([1.0, 2.0, 3.0], 30)


def test_it_is_named():
    even = np.ones((20, 20))
    image = ZoneAxisImage(even, 0.2)
    noise = ZoneAxisImage(np.random.default_rng(0).random((20, 20)), 0.2)
    unknown = np.where(np.arange(400).reshape(20, 20) == 7, np.nan, 1.0)
    columns = [[1.0, 1.0], [3.0, 1.0]]
    counts = stemcount.count_atoms(VALUES, n_components=3)
    for name, call in (
        ("image: expected a 2D image", lambda: ZoneAxisImage(np.ones(20), 0.2)),
        ("image: valid has shape", lambda: ZoneAxisImage(even, 0.2, valid=np.ones((2, 2), bool))),
        ("image: 1 pixels are NaN", lambda: ZoneAxisImage(unknown, 0.2)),
        ("detector: the map is empty", lambda: stemcount.normalise(image, 0.0, unknown)),
        ("edges of a region must be finite", lambda: stemcount.region_of_interest(image, 0, np.inf, 0, 1)),
        ("background: expected a number", lambda: stemcount.integrate_cells(image, columns, background="no")),
        ("frames: expected a list", lambda: stemcount.average_series(3)),
        ("active: expected a number of at least 0", lambda: stemcount.normalise(image, 0.0, 2.0, active=-1)),
        ("cross_section_std is needed", lambda: stemcount.recount(counts, VALUES, None, VALUES)),
        ("library_scale: expected", lambda: stemcount.count_atoms(VALUES, library_scale=VALUES)),
        ("peak must be one of", lambda: stemcount.fit_columns(noise, columns, peak=VALUES)),
        ("the shape of the image", lambda: stemcount.fit_columns(noise, columns, background=VALUES)),
        ("and finite values", lambda: stemcount.fit_columns(noise, columns, background=unknown)),
        ("and finite values", lambda: stemcount.fit_columns(noise, columns, background=even.astype(str))),
        ("vacuum: expected an array of numbers", lambda: stemcount.normalise(image, [[1], [1, 2]], 2.0)),
        ("pull must be a distance in A", lambda: stemcount.fit_columns(noise, columns, pull=even)),
        ("column_type must be 2", lambda: stemcount.fit_columns(noise, columns, column_type=[[1], [1, 2]])),
        ("valid: expected an array", lambda: ZoneAxisImage(even, 0.2, valid=[[True], [True, False]])),
        ("background must be a finite", lambda: stemcount.fit_columns(noise, columns, background=10**30)),
        ("pull must be a distance in A", lambda: stemcount.fit_columns(noise, columns, pull=1e300)),
        ("register: expected True", lambda: stemcount.average_series([noise, noise], register=even)),
        ("pixel_size", lambda: ZoneAxisImage(even, 1e300)),
        ("most: expected an integer of at most", lambda: stemcount.thick_readings(VALUES, 5, 10**30)),
        ("values above 0", lambda: stemcount.thick_readings(-VALUES, 4, 6)),
        (
            "region of interest: expected",
            lambda: stemcount.region_of_interest(image, np.array([0.0, 1.0]), 1, 0, 1),
        ),
        (
            "snapshots: expected an integer of at most",
            lambda: stemcount.simulate_library(
                "Au", 4.08, (1, 0, 0), 2, semi_convergence=20, detector=(60, 100), snapshots=2**70
            ),
        ),
        ("two independent vectors", lambda: stemcount.fourier_lattice(noise, [[1.0, 2.0], [2.0, 4.0]])),
    ):
        with pytest.raises(InputError, match=name) as error:
            call()
        assert str(error.value).endswith(".")
        assert "\n" not in str(error.value)
