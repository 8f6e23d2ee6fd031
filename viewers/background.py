"""Work in a thread whose mistakes come back as values: an exception raised there would end the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker


def in_background(
    work: Callable[..., Any],
    *arguments: Any,
    done: Callable[[Any], None],
    failed: Callable[[Exception], None],
) -> Any:
    """Run ``work(*arguments)`` in a thread and hand its result to `done`, or its exception to `failed`.

    These are called in the window's thread. Returns napari's worker, already started: keep it until it is
    done.
    """

    def guarded() -> tuple[Any, Exception | None]:
        try:
            return work(*arguments), None
        except Exception as error:
            return None, error

    def returned(outcome: tuple[Any, Exception | None]) -> None:
        result, error = outcome
        if error is None:
            done(result)
        else:
            failed(error)

    worker = create_worker(guarded)
    worker.returned.connect(returned)
    worker.start()
    return worker
