"""A run of a project: where its results go, whom it tells of its stages, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .interrupt import stop_if_asked
from .one_image.side_by_side import Step
from .project_file.project import Project
from .result_folder.outputs import Drawn, save_figure

if TYPE_CHECKING:
    from tqdm import tqdm


@dataclass
class Run:
    """What all stages of a run share.

    Attributes
    ----------
    project : Project
    out : Path
        Result folder.
    figures : bool
        Whether figures are drawn and the report is written.
    progress : bool or callable
        As `tomo.reconstruct` takes it.
    on_stage : callable, optional
        Called as on_stage(name, result) with what a stage has found.
    say : callable, optional
        Called with the name of each stage as it begins.
    bar : tqdm, optional
        Goes on by one with each stage.
    seconds : dict
        Wall and CPU time of each stage.
    drawn : dict
        Files of the figures that were drawn, by name.
    """

    project: Project
    out: Path
    figures: bool = False
    progress: bool | Callable[[float], None] = False
    on_stage: Callable[[str, Any], None] | None = None
    say: Callable[[str], None] | None = None
    bar: tqdm | None = None
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    drawn: dict[str, Path] = field(default_factory=dict)

    @property
    def kept(self) -> Path:
        """Folder of the finished stages."""
        return self.out / "stages"

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage, from when it is told of until its time is known."""
        self._begin(name)
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._done(name, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu})

    def take(self, name: str, steps: Iterator[Step]) -> Any:
        """What the next stage of an image's measurement found, in whatever thread it is done."""
        self._begin(name)
        found, spent = next(steps)
        self._done(name, spent)
        return found

    def tell(self, name: str, found: Any) -> None:
        """Tell who watches the run what a stage has found."""
        if self.on_stage is not None:
            self.on_stage(name, found)

    def draw(self, figures: Iterable[Drawn]) -> list[tuple[str, Path]]:
        """Caption and file of each figure, drawn unless this run has drawn it; none in a run without."""
        if not self.figures:
            return []
        captions = []
        for name, caption, make in figures:
            if name not in self.drawn:
                self.drawn[name] = save_figure(self.out / "figures", name, make)
            captions.append((caption, self.drawn[name]))
        return captions

    def _begin(self, name: str) -> None:
        stop_if_asked()
        if self.say is not None:
            self.say(name)

    def _done(self, name: str, spent: dict[str, float]) -> None:
        self.seconds[name] = {kind: round(value, 3) for kind, value in spent.items()}
        if self.bar is not None:
            self.bar.update()
