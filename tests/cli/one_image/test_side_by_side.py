"""Measurements done ahead in threads reach the run as if it did them one after the other."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import stemcount
from stemcount.cli import interrupt
from stemcount.cli.one_image import side_by_side
from stemcount.cli.run import Run

MINUTE = 60.0


def stages(number, log=None, wait=None):
    """A measurement of three stages that notes where each is done; it may wait before the first."""
    if wait is not None:
        assert wait.wait(MINUTE)
    for stage in range(3):
        if log is not None:
            log.append((number, stage, threading.current_thread()))
        yield number, stage


def found_by(works, threads):
    with side_by_side.side_by_side(works, threads) as measured:
        return [[found for found, _ in steps] for steps in measured]


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_stages_come_in_the_images_order(threads):
    expected = [[(number, stage) for stage in range(3)] for number in range(4)]
    assert found_by([stages(number) for number in range(4)], threads) == expected


def test_one_thread_does_each_stage_when_it_is_asked_for():
    log = []
    with side_by_side.side_by_side([stages(0, log), stages(1, log)], 1) as (first, second):
        assert log == []
        next(first)
        next(second)
    assert log == [(k, 0, threading.current_thread()) for k in range(2)]


def test_a_later_image_does_not_wait_for_an_earlier_one():
    """The first ends only once the second is done, which one thread alone could not do."""
    done = threading.Event()

    def second():
        yield from stages(1)
        done.set()

    assert found_by([stages(0, wait=done), second()], 2)[0] == [(0, stage) for stage in range(3)]


def test_every_stage_is_told_wherever_it_is_done():
    told = []
    run = Run(None, None, say=told.append)
    with side_by_side.side_by_side([stages(0)], 2) as (measured,):
        assert run.take("columns", measured) == (0, 0)
    with run.stage("reconstruction"):
        pass
    assert told == list(run.seconds) == ["columns", "reconstruction"]


def test_seconds_are_those_of_the_stage():
    def work():
        start = time.thread_time()
        while time.thread_time() - start < 0.05:
            pass
        yield "worked"
        time.sleep(0.05)
        yield "slept"

    with side_by_side.side_by_side([work(), work()], 2) as measured:
        for steps in measured:
            (_, worked), (_, slept) = steps
            assert worked["cpu"] >= 0.05
            assert slept["wall"] >= 0.05 > slept["cpu"]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_mistake_in_the_images_order_is_told(threads):
    """Whichever comes first on the clock; what was found before it is handed on."""
    failed = threading.Event()

    def wrong(name, wait=None):
        yield name
        if wait is not None and threads > 1:
            assert wait.wait(MINUTE)
        failed.set()
        raise stemcount.InputError(name)

    handed_on = []
    works = [stages(0), wrong("second", failed), wrong("third")]

    def take_all():
        with side_by_side.side_by_side(works, threads) as measured:
            for steps in measured:
                handed_on.extend(found for found, _ in steps)

    with pytest.raises(stemcount.InputError, match="second"):
        take_all()
    assert handed_on == [*((0, stage) for stage in range(3)), "second"]


def test_what_is_not_finished_is_stopped_with_its_files_closed():
    """Also work that swallows the first word to stop."""
    closed, stopped = threading.Event(), []

    def endless(stubborn):
        try:
            while True:
                try:
                    time.sleep(0.01)
                except BaseException:
                    if not stubborn:
                        raise
                    stubborn = False
        finally:
            stopped.append(threading.current_thread())
            closed.set()
        yield

    def interrupted():
        with side_by_side.side_by_side([endless(True), endless(False), stages(2)], 2):
            time.sleep(0.1)
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed.is_set()
    assert len(stopped) == 2
    assert not any(thread.is_alive() for thread in stopped)
    assert time.monotonic() - started < 10


def test_a_ctrl_c_that_got_lost_ends_the_waiting(monkeypatch):
    monkeypatch.setattr(side_by_side, "LISTEN", 0.01)
    never = threading.Event()
    asked = iter([False, True])
    monkeypatch.setattr(interrupt, "asked_to_stop", lambda: next(asked, True))

    def waiting():
        while not never.is_set():
            time.sleep(0.01)
        yield

    with pytest.raises(KeyboardInterrupt):
        found_by([waiting(), waiting()], 2)


def test_threads_are_those_allowed_and_few_for_large_images():
    small, large, huge = (
        SimpleNamespace(data=np.broadcast_to(1.0, (pixels, pixels))) for pixels in (8, 4096, 8192)
    )
    assert [side_by_side.threads_for([small] * 3, workers) for workers in (1, 2, 3, 8)] == [1, 2, 3, 3]
    assert side_by_side.threads_for([small, large, large], 8) == 2
    assert side_by_side.threads_for([small, huge], 8) == 1


def test_a_thread_that_waits_for_a_lost_lock_is_left_behind(monkeypatch):
    """As one does whose fellow was stopped just as it got the lock of Numba's compiler."""
    monkeypatch.setattr(side_by_side, "PATIENCE", 0.3)
    lost = threading.Lock()
    lost.acquire()

    def waiting():
        with lost:
            yield 0

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), side_by_side.side_by_side([waiting(), stages(1)], 2):
        raise KeyboardInterrupt
    assert time.monotonic() - start < MINUTE / 4
    lost.release()


def test_a_thread_that_compiles_is_told_afterwards():
    """Stopped within Numba, it would keep the lock of its compiler."""
    compiling, go_on, log = threading.Event(), threading.Event(), []

    def work():
        scope = {"__name__": "numba.made_up", "compiling": compiling, "go_on": go_on, "log": log}
        exec("def compiled():\n compiling.set(); go_on.wait(); log.append(1)", scope)
        scope["compiled"]()
        yield 0

    def interrupted():
        with side_by_side.side_by_side([work(), stages(1)], 2):
            assert compiling.wait(MINUTE)
            threading.Timer(1.0, go_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert log == [1]


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_has_one_thread_while_images_are_measured(threads):
    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    def measurement():
        yield blas_threads()

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        (stages,) = found_by([measurement()], threads)
        assert blas_threads() == before
    assert set(before) == {2}
    assert set(stages[0]) == {1}
