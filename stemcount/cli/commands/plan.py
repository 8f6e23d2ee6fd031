"""`stemcount plan`: will these views do?"""

from __future__ import annotations

import tomo

from ..progress import progress_bar
from .parsing import parse_zone_axis


def print_plan(
    zone_axes: list[str],
    atoms: int,
    count_error: float | None,
    class_width: float | None,
    kind: str,
    particles: int,
    method: str,
    seed: int,
    workers: int | None,
) -> tomo.Plan:
    """Reconstruct random particles from such views and print the share of wrong atoms.

    Zone axes are as the user wrote them, all else is as for `tomo.plan_experiment`.
    """
    with progress_bar("particles") as show:
        plan = tomo.plan_experiment(
            atoms,
            [parse_zone_axis(text) for text in zone_axes],
            count_error=count_error,
            class_width=class_width,
            kind=kind,
            particles=particles,
            method=method,
            seed=seed,
            workers=workers,
            progress=show,
        )
    for number, (true, missed, false) in enumerate(zip(plan.atoms, plan.missed, plan.false, strict=True), 1):
        wrong = 100 * (missed + false) / true
        print(f"particle {number}: {true} atoms, {missed} missed, {false} false: {wrong:.2f} % wrong")
    print(
        f"expect {100 * plan.mean:.2f} % wrong atoms (from particle to particle +- {100 * plan.spread:.2f} %)"
    )
    foretold = float(plan.expected_wrong.sum() / plan.atoms.sum())
    print(f"the reconstructions themselves foretell {100 * foretold:.2f} %")
    return plan
