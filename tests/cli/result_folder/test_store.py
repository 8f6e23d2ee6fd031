"""Stages are computed once, and again when anything they depend on changes."""

import numpy as np
import pytest

from stemcount import ZoneAxisImage
from stemcount.cli.one_image.columns import counting_settings
from stemcount.cli.project_file.project import load_project
from stemcount.cli.result_folder.store import remember, stage_key
from stemcount.results import Mixture
from tomo.checkpoint import program_digest


def mixture(mean=1.0):
    return Mixture(np.array([mean]), np.array([0.1]), np.array([1.0]), -3.5, 0.0, 1.0, 2.0, 3.0)


def test_a_kept_stage_is_not_computed_again(tmp_path):
    path, calls = tmp_path / "stage.npz", []

    def compute():
        calls.append(1)
        return (mixture(), None, "text", {"a": [1, 2.5]}, np.arange(3))

    first = remember(path, "key", compute)
    second = remember(path, "key", compute)
    assert len(calls) == 1
    assert second[0].negative_log_likelihood == first[0].negative_log_likelihood
    np.testing.assert_array_equal(second[0].mean, first[0].mean)
    assert second[1:4] == first[1:4]
    np.testing.assert_array_equal(second[4], first[4])


def test_another_key_or_a_broken_file_is_computed_again(tmp_path):
    path = tmp_path / "stage.npz"
    remember(path, "a", lambda: 1)
    assert remember(path, "b", lambda: 2) == 2
    path.write_bytes(b"not a zip file")
    assert remember(path, "b", lambda: 3) == 3
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert remember(path, "b", lambda: 4) == 4


@pytest.mark.parametrize("start", [200, 1000, 2000, 3000])
def test_damaged_bytes_are_computed_again(tmp_path, start):
    path = tmp_path / "stage.npz"
    numbers = np.random.default_rng(0).normal(size=500)
    remember(path, "a", lambda: numbers)
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + bytes(range(100)) + whole[start + 100 :])
    np.testing.assert_array_equal(remember(path, "a", lambda: numbers), numbers)


def test_a_failed_stage_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        remember(tmp_path / "s.npz", "a", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert list(tmp_path.iterdir()) == []


def test_key_follows_every_ingredient():
    image = ZoneAxisImage(np.ones((4, 4)), 0.2)
    other = ZoneAxisImage(np.ones((4, 4)), 0.25)
    keys = {
        stage_key(image),
        stage_key(other),
        stage_key(image, 1),
        stage_key(image, "1"),
        stage_key(image, None),
    }
    assert len(keys) == 5
    assert stage_key(image, {"a": 1}) == stage_key(ZoneAxisImage(np.ones((4, 4)), 0.2), {"a": 1})


def test_an_edited_library_is_another_question(tmp_path, project_file, gold):
    """The counts depend on the numbers in the library's file, not on its name."""
    project = load_project(project_file(gold + '[counting]\nlibrary = "library.csv"\n'))
    keys = []
    for scale in (1.0, 1.1):
        (tmp_path / "library.csv").write_text(f"cross_section\n{scale}\n{2 * scale}\n")
        keys.append(stage_key(counting_settings(project, 0)))
    assert keys[0] != keys[1]


def test_another_program_asks_another_question(tmp_path):
    digests = []
    for text in ("one = 1", "one = 2"):
        (folder := tmp_path / text).mkdir()
        (folder / "module.py").write_text(text)
        digests.append(program_digest(folder))
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "module.py").write_text("one = 1")
    assert digests[0] != digests[1]
    assert program_digest(tmp_path / "same") == digests[0]
