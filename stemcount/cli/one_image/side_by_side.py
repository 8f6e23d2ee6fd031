"""Images of a run measured side by side in threads; what they give is handed on in the images' order.

An image's measurement is a generator that yields what each of its stages found. A thread works ahead of the
run, which takes the stages as if it did them itself: tables, figures, messages and the first mistake are
those of a run that measures one image after the other.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from types import FrameType
from typing import Any

from threadpoolctl import threadpool_limits

from stemcount.images.image import ZoneAxisImage

from ..interrupt import stop_if_asked

MOST_PIXELS = 2 * 4096**2  # of all images at a time; such a fit takes 100 bytes for each
LISTEN = 0.2  # seconds between two looks for Ctrl-C, which a waiting thread does not feel on Windows
AGAIN = 0.5  # seconds until a thread that compiled, or swallowed the word to stop, is told again
PATIENCE = 30.0  # seconds after which threads that have not ended are left to end with the program

Step = tuple[Any, dict[str, float]]  # what a stage found, and its seconds of wall and CPU time


def threads_for(images: Sequence[ZoneAxisImage], workers: int | None) -> int:
    """Images that are measured at a time: one for each worker, as far as their pixels are not too many."""
    largest = max(image.data.size for image in images)
    return min(workers or os.cpu_count() or 1, len(images), max(1, MOST_PIXELS // largest))


def timed(work: Iterator[Any]) -> Iterator[Step]:
    """The stages of a measurement with the time that each took in its thread."""
    while True:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            found = next(work)
        except StopIteration:
            return
        yield found, {"wall": time.perf_counter() - wall, "cpu": time.thread_time() - cpu}


@contextmanager
def side_by_side(works: Sequence[Iterator[Any]], threads: int) -> Generator[list[Iterator[Step]]]:
    """The stages of every measurement, done in so many threads before they are asked for.

    One thread means none beside the caller's: each stage is done when it is asked for. What a measurement
    raises is raised when the caller asks for its next stage. Leaving the block stops what is not finished.

    Until then BLAS has one thread: its own wait by spinning, for products of matrices too small to gain from
    them, which takes the cores from the other images and from other programs.
    """
    with threadpool_limits(1, user_api="blas"):
        yield from _side_by_side(works, threads)


def _side_by_side(works: Sequence[Iterator[Any]], threads: int) -> Generator[list[Iterator[Step]]]:
    if threads < 2:
        yield [timed(work) for work in works]
        return
    todo: SimpleQueue[tuple[Iterator[Step], SimpleQueue[Any]]] = SimpleQueue()
    found: list[SimpleQueue[Any]] = [SimpleQueue() for _ in works]
    for work, queue in zip(works, found, strict=True):
        todo.put((timed(work), queue))
    # of daemons a second Ctrl-C need not wait
    running = [Thread(target=_work_ahead, args=(todo,), daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield [_taken(queue) for queue in found]
    finally:
        _stop(running)


def _work_ahead(todo: SimpleQueue[tuple[Iterator[Step], SimpleQueue[Any]]]) -> None:
    """Do one measurement after the other, as long as there are any."""
    while True:
        try:
            steps, found = todo.get_nowait()
        except Empty:
            return
        try:
            for step in steps:
                found.put(step)
            found.put(None)
        except BaseException as error:
            found.put(error)


def _taken(found: SimpleQueue[Any]) -> Iterator[Step]:
    """The stages of one measurement as they come."""
    while True:
        try:
            step = found.get(timeout=LISTEN)
        except Empty:
            stop_if_asked()
            continue
        if step is None:
            return
        if isinstance(step, BaseException):
            raise step
        yield step


def _stop(running: Sequence[Thread]) -> None:
    """End threads as Ctrl-C ends a program: where compiled code returns, and with files closed.

    A thread that compiles is told afterwards: stopped within LLVM it takes the program with it, and stopped
    as it gets the lock of Numba's compiler it keeps that, and others wait for it for ever. As Ctrl-C itself
    may have come at such a moment, they are not waited for without end.
    """
    give_up = time.monotonic() + PATIENCE
    while (alive := [thread for thread in running if thread.is_alive()]) and time.monotonic() < give_up:
        for thread in alive:
            assert thread.ident is not None
            if not _compiles(sys._current_frames().get(thread.ident)):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
                )
        until = min(time.monotonic() + AGAIN, give_up)
        for thread in alive:
            thread.join(max(0.0, until - time.monotonic()))


def _compiles(frame: FrameType | None) -> bool:
    """Whether a thread is within Numba, to which compiled code that runs does not belong."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in ("numba", "llvmlite"):
            return True
        frame = frame.f_back
    return False
