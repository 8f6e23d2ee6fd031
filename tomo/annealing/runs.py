"""Independent annealing runs on threads or on a cluster, each saved as soon as it is finished."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..checkpoint import RunFolder, ensemble_key
from ..energy.layout import Layout
from ..problem import Problem
from .calibrate import Calibration
from .schedule import AnnealedRun, anneal_once


@dataclass(frozen=True, eq=False)
class Task:
    """What every run of an ensemble does; run r has the random numbers of (seed, r)."""

    problem: Problem
    layout: Layout
    calibration: Calibration
    seed: int
    connected: bool
    vacancies: bool | None

    @property
    def key(self) -> str:
        """Digest of everything that the runs depend on but their number."""
        return ensemble_key(
            self.problem,
            self.calibration.prior,
            self.calibration.table.tobytes(),
            self.calibration.state.tobytes(),
            self.calibration.cold,
            self.seed,
            self.connected,
            self.vacancies,
        )


def single_run(task: Task, number: int, tick: Callable[[float], bool] = lambda _: False) -> AnnealedRun:
    """Run ``number`` of an ensemble; it depends on nothing but task and number."""
    return anneal_once(
        task.problem,
        task.layout,
        task.calibration,
        np.random.SeedSequence(task.seed, spawn_key=(0, number)),
        connected=task.connected,
        vacancies=task.vacancies,
        tick=tick,
    )


def all_runs(
    task: Task,
    runs: int,
    *,
    workers: int | None = None,
    progress: bool | Callable[[float], None] = False,
    checkpoint: str | Path | None = None,
    client: Any = None,
) -> list[AnnealedRun]:
    """The runs 0 ... runs - 1 of an ensemble: those found in the checkpoint, and the rest.

    For the other settings see `tomo.reconstruct`.
    """
    folder = None if checkpoint is None else RunFolder(checkpoint, task.key)
    done: dict[int, AnnealedRun] = {}
    if folder is not None:
        done = {r: run for r in range(runs) if (run := folder.load(r)) is not None}
    report = Progress(progress, runs, list(done))

    def keep(number: int, run: AnnealedRun) -> None:
        done[number] = run
        if folder is not None:
            folder.save(number, run)
        report.finished(number)

    missing = [r for r in range(runs) if r not in done]
    try:
        if missing and client is not None:
            _on_cluster(client, task, missing, keep)
        elif missing:
            _on_threads(task, missing, workers, keep, report)
    finally:
        report.close()
    return [done[r] for r in range(runs)]


def _on_threads(
    task: Task,
    numbers: list[int],
    workers: int | None,
    keep: Callable[[int, AnnealedRun], None],
    report: Progress,
) -> None:
    stop = threading.Event()

    def work(number: int) -> AnnealedRun:
        def tick(share: float) -> bool:
            report.running(number, share)
            return stop.is_set()

        return single_run(task, number, tick)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        jobs: dict[Future[AnnealedRun], int] = {pool.submit(work, r): r for r in numbers}
        try:
            for job in as_completed(jobs):
                keep(jobs[job], job.result())
        except BaseException:
            # Ctrl-C or a failed run: the others stop at their next temperature.
            stop.set()
            for job in jobs:
                job.cancel()
            raise


def _on_cluster(
    client: Any, task: Task, numbers: list[int], keep: Callable[[int, AnnealedRun], None]
) -> None:
    from distributed import as_completed as completed

    shared = client.scatter(task, broadcast=True)
    jobs = {client.submit(single_run, shared, r, pure=False): r for r in numbers}
    try:
        for job in completed(list(jobs)):
            keep(jobs[job], job.result())
    except BaseException:
        client.cancel(list(jobs))
        raise


class Progress:
    """A bar, or calls with the share that is done; threads may report at the same time.

    Those of the `runs` that are in `done` need not be done again.
    """

    def __init__(self, progress: bool | Callable[[float], None], runs: int, done: list[int]) -> None:
        self._call = progress if callable(progress) else None
        self._share = np.zeros(runs)
        self._share[done] = 1.0
        self._lock = threading.Lock()
        self._bar = tqdm(
            total=runs, initial=len(done), desc="reconstruction", unit="run", disable=progress is not True
        )

    def running(self, number: int, share: float) -> None:
        """A run has done this share of its work."""
        with self._lock:
            self._share[number] = share
            if self._call is not None:
                self._call(float(self._share.mean()))

    def finished(self, number: int) -> None:
        """A run is done."""
        self.running(number, 1.0)
        self._bar.update()

    def close(self) -> None:
        """No more reports."""
        self._bar.close()
