"""The project file: what the user says about a particle and its images."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stemcount.errors import InputError

ZoneAxis = tuple[int, int, int]
Background = Literal["constant", "plane", "smooth"] | float
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the project file: unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CrystalSection(Section):
    """[crystal]: structure, species and cubic lattice parameter a [A]."""

    structure: Literal["fcc", "rock_salt", "zinc_blende"]
    species: list[str] = Field(min_length=1, max_length=2)
    a: Annotated[float, Field(gt=2, lt=20)]

    @model_validator(mode="after")
    def _one_species_a_sublattice(self) -> CrystalSection:
        expected = 1 if self.structure == "fcc" else 2
        if len(self.species) != expected:
            raise ValueError(f"species must name {expected} element(s) for structure {self.structure!r}")
        from stemcount.cli.elements import SYMBOLS

        for symbol in self.species:
            if symbol not in SYMBOLS:
                raise ValueError(f"species {symbol!r} is not a chemical symbol such as 'Au'")
        return self


class DetectorSection(Section):
    """Levels that turn raw counts into fractions of the incident beam."""

    vacuum: float
    beam: float


class ImageSection(Section):
    """[[image]]: one zone-axis image and, optionally, what its file does not say.

    pixel_size in A; roi = [left, right, top, bottom] in A; dose in electrons per A^2; flip names the
    axes along which the scan ran backwards.
    """

    file: Path
    zone_axis: ZoneAxis
    pixel_size: Positive | None = None
    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")] | None = None
    columns: Path | None = None
    roi: tuple[float, float, float, float] | None = None
    background: Background | None = None
    detector: DetectorSection | None = None
    dose: Positive | None = None
    flip: Literal["x", "y", "xy"] | None = None

    @field_validator("zone_axis")
    @classmethod
    def _not_zero(cls, value: ZoneAxis) -> ZoneAxis:
        if value == (0, 0, 0):
            raise ValueError("must be three integers [u, v, w], not all zero")
        return value

    @property
    def label(self) -> str:
        """Name of the image in tables and folders."""
        return self.name or self.file.stem


class FitSection(Section):
    """[fit]: peak shape, widths, background and noise model; what is not given, `fit_columns` chooses."""

    peak: Literal["gaussian", "tailed"] | None = None
    widths: Literal["common", "per_column"] | None = None
    background: Background | None = None
    likelihood: Literal["least_squares", "poisson"] | None = None


class CountingSection(Section):
    """[counting]: order of the mixture, thinnest class and library, where the user knows them."""

    max_components: Annotated[int, Field(ge=1, le=500)] | None = None
    n_components: Annotated[int, Field(ge=1)] | list[int] | None = None
    offset: Annotated[int, Field(ge=0)] | list[int] | None = None
    library: Path | list[Path] | None = None


class ReconstructionSection(Section):
    """[reconstruction]: how the atoms are found from the counts."""

    runs: Annotated[int, Field(ge=1, le=10000)] = 10
    method: Literal["anneal", "sample"] = "anneal"
    counts: Literal["soft", "hard"] = "soft"
    seed: Annotated[int, Field(ge=0)] = 0
    edge_weight: Positive | None = None
    workers: Annotated[int, Field(ge=1)] | None = None


class Project(Section):
    """A whole project file; `folder` is where its relative paths start."""

    crystal: CrystalSection
    image: list[ImageSection] = Field(min_length=1)
    fit: FitSection = FitSection()
    counting: CountingSection = CountingSection()
    reconstruction: ReconstructionSection = ReconstructionSection()
    path: Annotated[Path, Field(exclude=True)]

    @model_validator(mode="after")
    def _names_differ_and_lists_fit(self) -> Project:
        labels = [image.label for image in self.image]
        twice = {label for label in labels if labels.count(label) > 1}
        if twice:
            raise ValueError(f"two images are called {twice.pop()!r}; give each a name of its own")
        for field in ("n_components", "offset", "library"):
            value = getattr(self.counting, field)
            if isinstance(value, list) and len(value) != len(labels):
                raise ValueError(f"counting.{field} lists {len(value)} values for {len(labels)} images")
        return self

    def resolve(self, path: Path) -> Path:
        """Absolute path of a file that the project names."""
        return path if path.is_absolute() else self.path.parent / path

    def per_image(self, field: str, index: int) -> Any:
        """Value of a [counting] field for one image: its own entry of a list, or the common value."""
        value = getattr(self.counting, field)
        return value[index] if isinstance(value, list) else value


def load_project(path: Path | str) -> Project:
    """Read and check a project file.

    Parameters
    ----------
    path : path
        A TOML file as the README describes it.

    Returns
    -------
    Project

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or a key is missing, unknown or of the wrong kind.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such project file; expected a TOML file with [crystal] and [[image]].")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a valid TOML file: {error}.") from error
    try:
        return Project(**content, path=path.resolve())
    except ValidationError as error:
        raise InputError(f"{path}: {_first_problem(error, content)}") from error
    except TypeError as error:  # the file defines a key called 'path'
        raise InputError(f"{path}: unknown key 'path'.") from error


def _first_problem(error: ValidationError, content: dict[str, Any]) -> str:
    """Turn pydantic's first complaint into a sentence that names the field."""
    problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")  # a typing mistake first
    where = _field_name(problem["loc"], content)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where}."
    if problem["type"] == "missing":
        return f"{where} is missing."
    message = problem["msg"].removeprefix("Value error, ")
    got = "" if isinstance(problem["input"], dict) else f"; got {problem['input']!r}"
    return f"{where}: {message}{got}." if where else f"{message}."


def _field_name(location: tuple[int | str, ...], content: dict[str, Any]) -> str:
    """Dotted name of a field; images are numbered from 1 and called by their file."""
    name = ""
    for part in location:
        if isinstance(part, int):
            entries = content.get("image", [])
            is_image = name == "image" and part < len(entries) and isinstance(entries[part], dict)
            file = entries[part].get("file", "?") if is_image else ""
            name += f"[{part + 1}] ({file})" if file else f"[{part + 1}]"
        elif part not in ("constrained-str", "int", "float", "path") and "[" not in str(part):
            name += f".{part}" if name else str(part)
    return name
