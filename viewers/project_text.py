"""The project file that does what is set in the run widget."""

from __future__ import annotations

import json

Phase = tuple[str, list[str]]
"""Structure and species of a core or a shell."""
GivenFile = tuple[str, tuple[int, int, int], float | None]
"""File, zone axis, and pixel size [A] where that of the file is not to be taken."""


def project_text(
    structure: str,
    species: list[str],
    a: float,
    images: list[GivenFile],
    runs: int,
    method: str,
    phases: tuple[Phase, Phase] | None = None,
) -> str:
    """A project file (TOML) that does what the widget does.

    The lattice parameter a is in A, `method` "anneal" or "sample". `phases` are core and shell of a
    core-shell crystal, in place of `species`. No target is named: a run finds the species that only the
    core holds.

    Examples
    --------
    >>> print(project_text("fcc", ["Au"], 4.08, [("au.hspy", (1, 1, 0), None)], 10, "anneal").splitlines()[1])
    structure = "fcc"
    """
    lines = ["[crystal]", f'structure = "{structure}"', f"a = {a:g}  # A"]
    if phases is None:
        lines.insert(2, f"species = {json.dumps(species)}")
    else:
        for name, (kind, elements) in zip(("core", "shell"), phases, strict=True):
            lines.append(f'{name} = {{ structure = "{kind}", species = {json.dumps(elements)} }}')
    for file, zone_axis, pixel_size in images:
        quoted = json.dumps(file, ensure_ascii=False)  # TOML has other escapes for rare characters
        lines += ["", "[[image]]", f"file = {quoted}", f"zone_axis = {list(zone_axis)}"]
        if pixel_size is not None:
            lines.append(f"pixel_size = {pixel_size:g}  # A")
    lines += ["", "[reconstruction]", f"runs = {runs}", f'method = "{method}"']
    return "\n".join(lines) + "\n"
