"""What the terminal shows of commands that take a while."""

import numpy as np
from numba import njit

from stemcount.cli import progress


def test_the_user_is_told_once_of_compiling(capsys, monkeypatch):
    monkeypatch.setattr(progress._Notice, "said", False)
    with progress.compiling_told():
        njit(lambda x: x + 1)(1)
        njit(lambda x: x + 2)(np.zeros(1))
    assert capsys.readouterr().err.count("ompiling") == 1


def test_nobody_is_told_of_code_that_is_there(capsys, monkeypatch):
    monkeypatch.setattr(progress._Notice, "said", False)
    compiled = njit(lambda x: x + 1)
    compiled(1)
    with progress.compiling_told():
        compiled(2)
    assert capsys.readouterr().err == ""


def test_the_clock_of_a_bar_runs_on_a_terminal(monkeypatch):
    """A stage that does not report is drawn again all the same."""
    monkeypatch.setattr(progress, "TICK", 0.01)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    seen = progress.Event()

    class Bar:
        disable = False

        def refresh(self):
            seen.set()

    with progress.ticking(Bar()):
        assert seen.wait(5)


def test_a_log_gets_a_line_for_each_stage_and_no_bars(capsys):
    assert not progress.bars_wanted()
    with progress.progress_bar("multislice") as show:
        show(0.5)
    assert capsys.readouterr().err == ""
    tell = progress.stage_log()
    tell("au_110: columns")
    assert capsys.readouterr().err == "     0 s  au_110: columns\n"
