"""The [crystal] section of a project file: which species on which sublattices, and what cannot be."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from .project_mistakes import PHASE_EXAMPLE

if TYPE_CHECKING:
    import tomo


class Section(BaseModel):
    """A table of the project file: unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true, false and numbers in quotes where a number is due: pydantic would read them as one."""
        kind = cls.model_fields[info.field_name or ""].annotation
        entries = value if isinstance(value, list | tuple) else [value]
        if _holds(kind, int, float) and any(isinstance(entry, bool) for entry in entries):
            raise ValueError("expected a number, not true or false")
        if _holds(kind, int, float) and not _holds(kind, str) and any(map(_in_quotes, entries)):
            raise ValueError("expected a number without quotes and unit")
        return value


class PhaseSection(Section):
    """core or shell of a core-shell crystal: its structure and species."""

    structure: Literal["fcc", "rock_salt", "zinc_blende"]
    species: list[str] = Field(min_length=1, max_length=2)

    @model_validator(mode="after")
    def _one_species_a_sublattice(self) -> PhaseSection:
        _check_species(self.structure, self.species)
        return self


class CrystalSection(Section):
    """[crystal]: structure, species and cubic lattice parameter a [A].

    A core-shell crystal has core, shell and target, the species that is reconstructed first, in place of
    species; both phases have the lattice parameter a.
    """

    structure: Literal["fcc", "rock_salt", "zinc_blende", "core_shell"]
    species: list[str] | None = Field(default=None, min_length=1, max_length=2)
    a: Annotated[float, Field(gt=2, lt=20)]
    core: PhaseSection | None = None
    shell: PhaseSection | None = None
    target: str | None = None

    @model_validator(mode="after")
    def _one_phase_or_two(self) -> CrystalSection:
        if self.structure == "core_shell":
            _check_core_shell(self.core, self.shell, self.target, self.species, self.a)
            return self
        for key in ("core", "shell", "target"):
            if getattr(self, key) is not None:
                raise ValueError(
                    f"{key} belongs to structure 'core_shell', but structure is {self.structure!r}"
                )
        if self.species is None:
            raise ValueError("species is missing")
        _check_species(self.structure, self.species)
        return self

    @property
    def name(self) -> str:
        """The crystal in words: "Au", "PbSe", "PbSe/CdSe"."""
        if self.core is not None and self.shell is not None:
            return "/".join("".join(phase.species) for phase in (self.core, self.shell))
        return "".join(self.species or ())

    def crystal(self) -> tomo.Crystal:
        """The crystal, with the sublattice that is reconstructed first."""
        from .crystals import core_shell_crystal, phase_crystal

        if self.core is not None and self.shell is not None:
            target = self.target or _own_species(self.core, self.shell)[0]
            return core_shell_crystal(self.core, self.shell, target, self.a)
        return phase_crystal(self.structure, self.species or (), self.a)


def _holds(annotation: Any, *kinds: type) -> bool:
    """Whether a field may hold one of some kinds, by itself or in a list."""
    return annotation in kinds or any(_holds(part, *kinds) for part in get_args(annotation))


def _in_quotes(value: Any) -> bool:
    """Whether it is the text of a number."""
    try:
        return isinstance(value, str) and isfinite(float(value))
    except ValueError:
        return False


def _check_species(structure: str, species: list[str]) -> None:
    """As many different elements as the structure has sublattices."""
    from stemcount.simulation.elements import SYMBOLS

    expected = 1 if structure == "fcc" else 2
    if len(species) != expected:
        raise ValueError(f"species must name {expected} element(s) for structure {structure!r}")
    for symbol in species:
        if symbol not in SYMBOLS:
            raise ValueError(f"species {symbol!r} is not a chemical symbol such as 'Au'")
    if len(set(species)) < expected:
        raise ValueError(f"species names {species[0]!r} twice; expected two different elements")


def _own_species(core: PhaseSection, shell: PhaseSection) -> list[str]:
    """The core's species that the shell does not have."""
    return [symbol for symbol in core.species if symbol not in shell.species]


def _check_core_shell(
    core: PhaseSection | None,
    shell: PhaseSection | None,
    target: str | None,
    species: list[str] | None,
    a: float,
) -> None:
    """Two different phases with a sublattice in common, and a target that only the core holds."""
    for key, phase in (("core", core), ("shell", shell)):
        if phase is None:
            raise ValueError(f"{key} is missing; expected {key} = {PHASE_EXAMPLE} or the like")
    assert core is not None
    assert shell is not None
    if species is not None:
        raise ValueError("species is given; a core-shell crystal names them in core and shell")
    if core == shell:
        raise ValueError(f"core and shell are both {core.structure} {'-'.join(core.species)}")
    names = ", ".join(core.species)
    if target is not None and target not in core.species:
        where = "only in the shell" if target in shell.species else "in neither core nor shell"
        raise ValueError(f"target {target!r} is {where}; expected one of the core's species ({names})")
    only = _own_species(core, shell)
    if not only or target in shell.species:
        expected = f"expected {' or '.join(map(repr, only))}" if only else "expected another shell"
        raise ValueError(
            f"target {target or core.species[0]!r} is in core and shell alike and cannot show where the core"
            f" is; {expected}"
        )
    from .crystals import core_shell_crystal

    crystal = core_shell_crystal(core, shell, target or only[0], a)
    if not set(crystal.phases[0]) & set(crystal.phases[1]):
        raise ValueError(
            f"core {''.join(core.species)} and shell {''.join(shell.species)} have no species in common, so"
            " that no column tells how thick the crystal is whatever it is made of; expected one that goes on"
            " through both, as Se in PbSe and CdSe"
        )
