"""Runs that are saved, stopped and resumed, on threads or on a cluster: always the same bits."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import tomo
from tomo.phantoms import random_particle, views_of

SCRIPT = """
import sys, tomo
from tomo.phantoms import random_particle, views_of
views = views_of(random_particle(1500, "rough", 3), [(1, 0, 0), (1, 1, 0)], 0.3, seed=1)
tomo.reconstruct(views, runs=40, seed=4, workers=1, checkpoint=sys.argv[1])
"""


@pytest.fixture(scope="module")
def views():
    return views_of(random_particle(300, "rough", 3), [(1, 0, 0), (0, 1, 0), (1, 1, 0)], 0.3, seed=1)


@pytest.fixture(scope="module")
def unbroken(views):
    return tomo.reconstruct(views, runs=4, seed=4)


def assert_same(one, two):
    for name in ("sites", "certainty", "runs", "energy"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.diagnostics == two.diagnostics


def test_resumed_from_some_runs(views, unbroken, tmp_path):
    tomo.reconstruct(views, runs=2, seed=4, checkpoint=tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    stamps = [f.stat().st_mtime_ns for f in files]
    assert_same(tomo.reconstruct(views, runs=4, seed=4, checkpoint=tmp_path), unbroken)
    assert [f.stat().st_mtime_ns for f in files] == stamps


def test_damaged_and_foreign_files_are_done_again(views, unbroken, tmp_path):
    tomo.reconstruct(views, runs=4, seed=4, checkpoint=tmp_path)
    first, second, *_ = sorted(tmp_path.iterdir())
    first.write_bytes(first.read_bytes()[:100])
    second.write_text("nothing")
    tomo.reconstruct(views, runs=1, seed=5, checkpoint=tmp_path)
    assert_same(tomo.reconstruct(views, runs=4, seed=4, checkpoint=tmp_path), unbroken)


def test_stopped_ensemble_keeps_what_it_has(views, unbroken, tmp_path):
    def stop_late(share: float) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tomo.reconstruct(views, runs=4, seed=4, workers=1, checkpoint=tmp_path, progress=stop_late)
    assert 0 < len(list(tmp_path.glob("*.npz"))) < 4
    assert_same(tomo.reconstruct(views, runs=4, seed=4, checkpoint=tmp_path), unbroken)


def test_sampling_goes_on_from_any_segment(views, tmp_path):
    """Whatever segments are lost or damaged, they are done again to the same bits."""
    unbroken = tomo.reconstruct(views, runs=2, method="sample", seed=4)
    assert_same(tomo.reconstruct(views, runs=2, method="sample", seed=4, checkpoint=tmp_path), unbroken)
    files = sorted(tmp_path.glob("*_sample_*.npz"))
    assert len(files) == 10
    for first in (3, 8):
        for file in files[first + 1 :]:
            file.unlink()
        files[first].write_bytes(files[first].read_bytes()[:200])
        again = tomo.reconstruct(views, runs=2, method="sample", seed=4, checkpoint=tmp_path, workers=1)
        assert_same(again, unbroken)
    stamps = [f.stat().st_mtime_ns for f in files]
    other = tomo.reconstruct(views, runs=2, method="sample", seed=5, checkpoint=tmp_path)
    assert not np.array_equal(other.certainty, unbroken.certainty)
    assert [f.stat().st_mtime_ns for f in files] == stamps


def test_progress_grows_to_one(views):
    shares: list[float] = []
    tomo.reconstruct(views, runs=2, workers=1, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_and_resumed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)])
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(list(tmp_path.glob("*.npz")))
    assert 2 <= finished < 40
    large = views_of(random_particle(1500, "rough", 3), [(1, 0, 0), (1, 1, 0)], 0.3, seed=1)
    runs = finished + 1
    assert_same(
        tomo.reconstruct(large, runs=runs, seed=4, checkpoint=tmp_path),
        tomo.reconstruct(large, runs=runs, seed=4),
    )


def test_dask_gives_the_same_bits(views, unbroken):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as c,
        distributed.Client(c) as client,
    ):
        assert_same(tomo.reconstruct(views, runs=4, seed=4, client=client), unbroken)


def test_folder_that_cannot_be_made(views, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(tomo.InputError, match="checkpoint"):
        tomo.reconstruct(views, runs=1, checkpoint=tmp_path / "file" / "runs")
