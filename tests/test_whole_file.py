"""Whatever is written appears whole or not at all."""

import os
from pathlib import Path

import pytest

import stemcount.whole_file
import tomo.whole_file

both = pytest.mark.parametrize("whole_file", [stemcount.whole_file.whole_file, tomo.whole_file.whole_file])


@both
def test_what_was_written_replaces_the_older_file(tmp_path: Path, whole_file) -> None:
    path = tmp_path / "table.csv"
    path.write_text("older")
    with whole_file(path) as unfinished:
        unfinished.write_text("newer")
        assert path.read_text() == "older"
        assert unfinished.suffix == ".csv"
    assert path.read_text() == "newer"
    assert os.listdir(tmp_path) == ["table.csv"]


@both
@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt, OSError, ValueError])
def test_a_stopped_writer_leaves_the_older_file(tmp_path: Path, whole_file, stopped_by) -> None:
    path = tmp_path / "table.csv"
    path.write_text("older")

    def write() -> None:
        with whole_file(path) as unfinished:
            unfinished.write_text("half of the new")
            raise stopped_by

    with pytest.raises(stopped_by):
        write()
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["table.csv"]


@both
def test_folders_are_made(tmp_path: Path, whole_file) -> None:
    path = tmp_path / "this" / "year" / "table.csv"
    with whole_file(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"
    with pytest.raises(NotADirectoryError), whole_file(path / "table.csv"):
        pytest.fail("went on to write")


@both
def test_a_folder_is_refused_before_anything_is_written(tmp_path: Path, whole_file) -> None:
    with pytest.raises(IsADirectoryError), whole_file(tmp_path):
        pytest.fail("went on to write")


@both
@pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")
def test_links_and_devices_stay_what_they_are(tmp_path: Path, whole_file) -> None:
    path, link = tmp_path / "there.csv", tmp_path / "link.csv"
    path.write_text("older")
    link.symlink_to(path)
    with whole_file(link) as unfinished:
        unfinished.write_text("newer")
    assert link.is_symlink()
    assert path.read_text() == "newer"
    with whole_file("/dev/null") as unfinished:
        assert unfinished == Path("/dev/null")


@both
@pytest.mark.skipif(os.name == "nt", reason="links and pipes as POSIX has them")
def test_a_pipe_that_goes_by_another_name_is_written_to(whole_file) -> None:
    """As /dev/stdout is called where a command's output is piped on."""
    read, write = os.pipe()
    with whole_file(f"/dev/fd/{write}") as unfinished:
        unfinished.write_text("a,b")
    os.close(write)
    with os.fdopen(read) as end:
        assert end.read() == "a,b"
