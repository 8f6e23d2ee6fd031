"""The experimental Pt/Ir particle through every stage, against the published StatSTEM result."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

import stemcount


@pytest.fixture(scope="module")
def published(shared_data):
    with np.load(shared_data / "ptir.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def image(published, tmp_path_factory):
    """The image as a file of the microscope's, loaded again."""
    path = tmp_path_factory.mktemp("ptir") / "ptir.hspy"
    data = published["image"].astype(float)
    stemcount.save_image(stemcount.ZoneAxisImage(data, float(published["pixel_size"]), name="ptir"), path)
    return stemcount.load_image(path)


def test_published_fit_and_counts_from_given_positions(image, published):
    fit = stemcount.fit_columns(
        image, published["start_xy"], widths="common", background=0.0, likelihood="least_squares"
    )
    assert fit.width[0] == pytest.approx(0.6576, abs=0.001)
    assert fit.residual_sum_of_squares <= 3.2286
    counts = stemcount.count_atoms(fit.cross_section, n_components=10)
    assert np.mean(counts.count == published["ref_counts"]) >= 0.97
    assert abs(int(counts.count.sum()) - 798) <= 5


def test_from_the_image_alone(image, published):
    """Own column finding, the published peak shape (one width): nearly the same columns and counts."""
    fit = stemcount.fit_columns(image, stemcount.find_columns(image), widths="common", background=0.0)
    distance, nearest = cKDTree(np.column_stack([fit.x, fit.y])).query(published["ref_coords"])
    found = distance < 0.7
    weak = published["ref_counts"] <= 2
    assert np.mean(found[~weak]) >= 0.95
    assert np.mean(found) >= 0.85
    assert len(fit) <= 145
    counts = stemcount.count_atoms(fit.cross_section, n_components=10)
    difference = counts.count[nearest[found]] - published["ref_counts"][found].astype(int)
    assert abs(np.median(difference)) <= 1
    assert np.mean(np.abs(difference - np.median(difference)) <= 1) >= 0.9


def test_no_columns_beside_the_particle(shared_data):
    """Part of an experimental nanorod and of the haze around it, whose noise is not white."""
    rod = np.load(shared_data / "aurod_100.npz")
    rows, cols, pixel = slice(300, 420), slice(300, 430), float(rod["pixel_size"])
    image = stemcount.ZoneAxisImage(rod["image"][rows, cols].astype(float), pixel)
    true = rod["xy_px"] - [cols.start, rows.start]
    true = true[((true > 0) & (true < [130, 120])).all(axis=1)] * pixel
    found = stemcount.find_columns(image)
    assert np.mean(cKDTree(true).query(found)[0] > 0.8) < 0.08
    assert np.mean(cKDTree(found).query(true)[0] > 0.6) < 0.06


@pytest.mark.slow
def test_columns_of_the_whole_nanorod(shared_data):
    """Its haze is a halo of the columns, and asks for no others around it."""
    rod = np.load(shared_data / "aurod_100.npz")
    pixel, true = float(rod["pixel_size"]), rod["xy_px"] * float(rod["pixel_size"])
    found = stemcount.find_columns(stemcount.ZoneAxisImage(rod["image"].astype(float), pixel))
    assert np.mean(cKDTree(true).query(found)[0] > 1.0) < 0.012
    assert np.mean(cKDTree(found).query(true)[0] > 0.6) < 0.012
