"""Figures of a core in its shell: the species in 3D, facets layer by layer, profiles, interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stemcount import InputError
from tomo.errors import check_kinds
from tomo.observables import CompositionProfile, Facet, Interface

from .atom_figures import (
    PANEL_PIXELS,
    atom_positions,
    atom_scale_bar,
    certainty_colours,
    middle_of,
    oblique_view,
    sphere_radius,
)
from .geometry import direction_name, oblique_direction
from .options import check_number, check_result
from .species import SHELL_SIZE, SPECIES_COLOURS, shell_positions, species_colours
from .spheres import frame_scale, render_spheres
from .style import (
    ACCENT,
    BLUE,
    CERTAINTY_COLORMAP,
    GREY,
    INK,
    colour_bar,
    new_figure,
    short_name,
    styled,
)

if TYPE_CHECKING:
    from tomo.observables import CompositionProfile, Facet, Interface
    from tomo.result import Reconstruction

FACET_COLOURS = {"111": "#5b8fc7", "100": "#7aa974", "110": "#e6c34a"}
ISLAND_COLOUR = "#c8502d"
PLAIN_COLOUR = "#c3c7cd"
MOST_PROFILES = 6


def _plain_normal(normal: Sequence[int]) -> str:
    return f"({direction_name(normal)[1:-1]})"


@styled
def figure_species(result: Reconstruction, threshold: float = 0.5) -> Figure:
    """A crystal of several species: whole, cut open, and its core by certainty.

    Parameters
    ----------
    result : tomo.Reconstruction
        With companions.
    threshold : float
        Sites of at least this certainty are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the result holds one species only.

    Examples
    --------
    >>> figure_species(core_shell_result).savefig("species.png")
    """
    check_result(result)
    if result.crystal is None or not result.companions:
        raise InputError("figure_species: the result holds no other species than the counted one.")
    symbols, xyz, _ = result.atoms(threshold)
    names = np.array(symbols)
    colours_of = species_colours(result)
    colours = np.array([colours_of[name] for name in symbols]).reshape(-1, 3)
    radius = sphere_radius(result)
    first = names == result.crystal.species
    radii = np.where(first, 0.8 * radius, SHELL_SIZE * radius)
    middle = middle_of(xyz)
    direction = oblique_view(result)
    scale = frame_scale(xyz - middle, radius, PANEL_PIXELS, margin=0.02)
    core = xyz[first]
    behind = (xyz - core.mean(axis=0)) @ direction > -1e-6 if len(core) else np.ones(len(xyz), dtype=bool)
    figure = new_figure(9.6, 3.5, equal_aspect=True)
    axes = list(figure.subplots(1, 3))
    for ax, shown, title in ((axes[0], np.ones(len(xyz), bool), "all atoms"), (axes[1], behind, "cut open")):
        frame: dict[str, Any] = {"size": PANEL_PIXELS, "scale": scale, "centre": (0, 0, 0)}
        scene = render_spheres(xyz[shown] - middle, colours[shown], radii[shown], direction, **frame)
        ax.imshow(scene.rgba, extent=scene.extent, interpolation="antialiased")
        ax.set_title(title)
    _draw_core(axes[2], result, threshold, middle, direction, scale)
    for ax in axes:
        ax.set_axis_off()
    atom_scale_bar(axes[0], result, PANEL_PIXELS[0] / scale)
    ball: dict[str, Any] = {"ls": "", "marker": "o", "ms": 7, "mec": INK, "mew": 0.4}
    handles = [
        Line2D([], [], mfc=colour, label=f"{name} {(names == name).sum()}", **ball)
        for name, colour in colours_of.items()
    ]
    below: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, -0.12), "handletextpad": 0.2}
    axes[1].legend(handles=handles, ncols=len(handles), **below)
    colour_bar(figure, axes[2], Normalize(0, 1), CERTAINTY_COLORMAP, "certainty")
    return figure


def _draw_core(
    ax: Axes,
    result: Reconstruction,
    threshold: float,
    middle: NDArray,
    direction: NDArray,
    scale: float,
) -> None:
    """The counted species by certainty in a faint shell."""
    shown = np.asarray(result.certainty) >= threshold
    core = atom_positions(result)[shown] - middle
    around = shell_positions(result, threshold) - middle
    radius = sphere_radius(result)
    faint = np.tile(to_rgb("#dfe2e6"), (len(around), 1))
    colours = certainty_colours(np.asarray(result.certainty)[shown])
    for xyz, rgb, radii, opacity in (
        (around, faint, np.full(len(around), SHELL_SIZE * radius), 0.6),
        (core, colours, np.full(len(core), radius), 1.0),
    ):
        scene = render_spheres(xyz, rgb, radii, direction, size=PANEL_PIXELS, scale=scale, centre=(0, 0, 0))
        ax.imshow(scene.rgba, extent=scene.extent, interpolation="antialiased", alpha=opacity)
    ax.set_title(f"{len(core)} {result.crystal.species if result.crystal else 'atoms'} by certainty")


@styled
def figure_facets(result: Reconstruction, facets: Sequence[Facet], threshold: float = 0.5) -> Figure:
    """Facets of the counted species' crystal: where they are, and how complete the layers on them.

    Parameters
    ----------
    result : tomo.Reconstruction
    facets : sequence of tomo.observables.Facet
        Of its sites.
    threshold : float
        Sites of at least this certainty are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `result` is no reconstruction, `facets` are no facets, or the threshold is not between 0 and 1.

    Examples
    --------
    >>> from tomo.observables import facets
    >>> figure_facets(result, facets(result.sites, result.certainty)).savefig("facets.png")
    """
    check_result(result)
    check_number("threshold", threshold, 0, 1)
    check_kinds("facets", facets, Facet)
    figure = new_figure(9.6, max(3.4, 0.9 + 0.19 * len(facets)))
    left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.25])
    _draw_facets(left, result, facets, threshold)
    names: list[str] = []
    for row, facet in enumerate(facets):
        names.append(_plain_normal(facet.normal))
        colour = FACET_COLOURS[facet.family]
        right.barh(row, facet.layers[0].completeness, color=colour, height=0.72, alpha=0.35, lw=0)
        for layer in facet.layers[1:2]:  # further layers stand in the summary
            right.barh(row, layer.completeness, color=ISLAND_COLOUR, height=0.43, lw=0)
            right.errorbar(layer.completeness, row, xerr=layer.completeness_std, color=INK, lw=0.9)
            right.text(1.04, row, f"{layer.atoms:.1f} of {layer.room}", va="center", fontsize=7)
    right.text(1.04, -0.85, "atoms of places", fontsize=7)
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.set_xlim(0, 1.25)
    right.set_xticks(np.linspace(0, 1, 6))
    right.set_xlabel("share of its places that a layer fills")
    right.set_title("floor (pale) and first layer above it")
    families = [family for family in FACET_COLOURS if any(f.family == family for f in facets)]
    handles = [Line2D([], [], ls="", marker="s", color=FACET_COLOURS[f], label=f"{{{f}}}") for f in families]
    handles.append(Line2D([], [], ls="", marker="s", color=ISLAND_COLOUR, label="above the floor"))
    left.legend(
        handles=handles, loc="lower center", ncols=len(handles), bbox_to_anchor=(0.5, -0.1), handletextpad=0.1
    )
    return figure


def _draw_facets(ax: Axes, result: Reconstruction, facets: Sequence[Facet], threshold: float) -> None:
    """Atoms of the floors and of the islands in the colours of their facets."""
    from tomo.observables import FACET_NORMALS, facet_atoms, facet_family

    sites = np.asarray(result.occupied(threshold))
    colours = np.tile(to_rgb(PLAIN_COLOUR), (len(sites), 1))
    listed = {facet.normal for facet in facets}
    number = facet_atoms(sites)
    family = facet_family(number)
    for row in range(len(sites)):
        if family[row] and tuple(FACET_NORMALS[number[row]].tolist()) in listed:
            colours[row] = to_rgb(FACET_COLOURS[family[row]])
    at = {tuple(site): row for row, site in enumerate(sites.tolist())}
    for facet in facets:
        for island in facet.islands:
            for site in island.sites.tolist():
                if tuple(site) in at:
                    colours[at[tuple(site)]] = to_rgb(ISLAND_COLOUR)
    xyz = atom_positions(result, sites)
    around, side = xyz - middle_of(xyz), _island_side(result, facets)
    scene = render_spheres(around, colours, sphere_radius(result), side, size=PANEL_PIXELS)
    ax.imshow(scene.rgba, extent=scene.extent, interpolation="antialiased")
    ax.set_axis_off()
    islands = sum(len(facet.islands) for facet in facets)
    ax.set_title(f"{len(facets)} facets, {islands} islands")
    atom_scale_bar(ax, result, scene.extent[1] - scene.extent[0])


def _island_side(result: Reconstruction, facets: Sequence[Facet]) -> NDArray[np.float64]:
    """A direction in which one sees the islands: against the sum of their normals."""
    total = np.sum(
        [np.array(f.normal) / np.linalg.norm(f.normal) * len(i.sites) for f in facets for i in f.islands]
        or [np.zeros(3)],
        axis=0,
    )
    if np.linalg.norm(total) < 1e-6:
        return oblique_view(result)
    return oblique_direction(-total, 18, 12)


@styled
def figure_profiles(profiles: Sequence[CompositionProfile], a: float) -> Figure:
    """Atoms of each species layer by layer across facets of the core.

    Parameters
    ----------
    profiles : sequence of tomo.observables.CompositionProfile
        The first six are drawn.
    a : float
        Lattice parameter [A].

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no profile.

    Examples
    --------
    >>> from tomo.observables import composition_profile
    >>> lead, selenium = [(0, 0, 0), (0, 0, -2)], [(0, 0, -1), (0, 0, 1)]
    >>> profile = composition_profile({"Pb": lead, "Se": selenium}, [(0, 0, 0)], (0, 0, 1))
    >>> figure_profiles([profile], a=6.1).savefig("profiles.png")
    """
    check_kinds("profiles", profiles, CompositionProfile)
    check_number("a", a, 0, 100)
    shown = list(profiles)[:MOST_PROFILES]
    if not shown:
        raise InputError("figure_profiles: expected at least one profile.")
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(3.2 * columns, 2.5 * rows + 0.2)
    grid = figure.subplots(rows, columns, squeeze=False)
    for ax in grid.ravel()[len(shown) :]:
        ax.set_visible(False)
    for ax, profile in zip(grid.ravel(), shown, strict=False):
        height = profile.height * a / 2
        for k, name in enumerate(profile.species):
            ax.errorbar(
                height,
                profile.atoms[k],
                profile.atoms_std[k],
                color=SPECIES_COLOURS[k % len(SPECIES_COLOURS)],
                marker="o",
                ms=3.5,
                lw=1.3,
                elinewidth=0.8,
                label=name,
            )
        half = float(np.min(np.diff(height), initial=a)) / 2
        ax.axvline(half, color=GREY, lw=0.9, ls="--")
        ax.set_title(f"across {_plain_normal(profile.normal)}")
        ax.set_ylim(0, None)
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for ax in grid[-1]:
        ax.set_xlabel("distance from the facet (Å)")
    for ax in grid[:, 0]:
        ax.set_ylabel("atoms in a layer")
    grid[0, 0].legend(loc="best")
    return figure


@styled
def figure_interfaces(interfaces: Sequence[Interface]) -> Figure:
    """Lateral shift of each sublattice at the core's interfaces, from the columns' positions.

    Parameters
    ----------
    interfaces : sequence of tomo.observables.Interface

    Returns
    -------
    matplotlib.figure.Figure
        It says so when no interface stands edge-on in an image.

    Raises
    ------
    InputError
        If `interfaces` do not come from `tomo.observables.interfaces`.

    Examples
    --------
    >>> figure_interfaces([]).savefig("interfaces.png")
    """
    check_kinds("interfaces", interfaces, Interface)
    if not interfaces:
        figure = new_figure(4.6, 1.0)
        figure.text(0.5, 0.5, "No interface stands edge-on in an image.", ha="center", va="center")
        return figure
    names = list(dict.fromkeys(name for item in interfaces for name in item.shifts))
    figure = new_figure(6.4, 1.3 + 0.42 * len(interfaces))
    ax = figure.subplots()
    colours = (BLUE, ACCENT, GREY, INK)
    ax.axvline(0, color=GREY, lw=0.8)
    for k, name in enumerate(names):
        rows = [row for row, item in enumerate(interfaces) if name in item.shifts]
        shifts = [interfaces[row].shifts[name] for row in rows]
        ax.errorbar(
            [shift.lateral for shift in shifts],
            np.array(rows) + 0.16 * (k - (len(names) - 1) / 2),
            xerr=[shift.lateral_std for shift in shifts],
            ls="",
            marker="os^D"[k % 4],
            ms=5,
            color=colours[k % 4],
            label=name.replace("->", "→"),
        )
    labels = [f"{_plain_normal(item.normal)} in {short_name(item.view)}" for item in interfaces]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel("lateral shift along the interface (Å)")
    ax.set_title("Sublattices across the interfaces")
    ax.legend(loc="best")
    return figure
