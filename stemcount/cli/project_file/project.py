"""The project file: what the user says about a particle and its images."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from stemcount.errors import InputError

from .crystal_section import CrystalSection, Section
from .project_mistakes import first_mistake, not_toml

if TYPE_CHECKING:
    import tomo

ZoneAxis = tuple[int, int, int]
Background = Literal["automatic", "constant", "plane", "smooth"] | float
Positive = Annotated[float, Field(gt=0)]
Angle = Annotated[float, Field(ge=1)]  # mrad; less is radian
AtLeastOne = Annotated[int, Field(ge=1)]
Offset = Annotated[int, Field(ge=0, le=500)]

OWN_NAMES = frozenset(
    "figures stages earlier reconstruction.h5 atoms.xyz summary.json report.html refused.txt"
    " comparison.csv".split()
)
"""What a result folder holds beside one folder for each image."""


def _of_any_system(value: Any) -> Any:
    """A file's name whose folders may be parted by backslashes, as on Windows, wherever it is read."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise ValueError("expected the name of a file, in quotes")
    if any(ord(letter) < ord(" ") for letter in value):
        raise ValueError("in double quotes a backslash begins a special letter; expected / in its place")
    return value.replace("\\", "/")


File = Annotated[Path, BeforeValidator(_of_any_system)]


def _number_or_file(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Path):
        raise ValueError("expected a number or the name of a file, in quotes")
    return value if isinstance(value, int | float) else _of_any_system(value)


def _of_length(value: Any, n: int, expected: str) -> Any:
    """The same value, if it is a list of n entries."""
    if not isinstance(value, list | tuple) or len(value) != n:
        raise ValueError(f"must be {expected}")
    return value


Level = Annotated[float | Path, BeforeValidator(_number_or_file)]


class DetectorSection(Section):
    """Levels that turn raw counts into fractions of the incident beam: numbers, or images of the detector."""

    vacuum: Level
    beam: Level


class FixedSection(Section):
    """What the user knows of a view's place: where a crystal direction points in the image, where a site is.

    direction = [u, v, w] with angle in degrees, from x (right) towards y (down); site = [h, k, l] with
    position = [x, y] in A. Both are of the image after `flip`.
    """

    direction: ZoneAxis | None = None
    angle: float | None = None
    site: ZoneAxis | None = None
    position: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> FixedSection:
        for first, second in (("direction", "angle"), ("site", "position")):
            if (getattr(self, first) is None) != (getattr(self, second) is None):
                raise ValueError(f"{first} and {second} must be given together")
        if self.direction is None and self.site is None:
            raise ValueError("expected direction and angle, or site and position")
        if self.site is not None and sum(self.site) % 2:
            raise ValueError(f"site {list(self.site)} is not on the fcc grid: h + k + l must be even")
        return self

    def view(self) -> tomo.FixedView:
        """The same as `tomo.register_views` takes it."""
        import tomo

        return tomo.FixedView(self.direction, self.angle or 0.0, self.site, self.position)


class ImageSection(Section):
    """[[image]]: one zone-axis image and, optionally, what its file does not say.

    pixel_size in A; roi = [left, right, top, bottom] in A; dose in electrons per A^2, of each frame where
    average makes one image of a series of frames; flip names the axes along which the scan ran backwards;
    signal is the title or the number, from 1, of an image in a file that holds several.
    """

    file: File
    zone_axis: ZoneAxis
    signal: Annotated[int, Field(ge=1, strict=True)] | str | None = None
    average: Annotated[bool, Field(strict=True)] = False
    pixel_size: Positive | None = None
    name: str | None = None
    columns: File | None = None
    roi: tuple[float, float, float, float] | None = None
    background: Background | None = None
    detector: DetectorSection | None = None
    dose: Positive | None = None
    flip: Literal["x", "y", "xy"] | None = None
    fixed: FixedSection | None = None

    @field_validator("zone_axis", mode="before")
    @classmethod
    def _three_numbers(cls, value: Any) -> Any:
        return _of_length(value, 3, "three integers [u, v, w]")

    @field_validator("zone_axis")
    @classmethod
    def _not_zero(cls, value: ZoneAxis) -> ZoneAxis:
        if value == (0, 0, 0):
            raise ValueError("must be three integers [u, v, w], not all zero")
        return value

    @field_validator("name")
    @classmethod
    def _can_be_a_folder(cls, value: str | None) -> str | None:
        if value is not None and value != folder_name(value):
            raise ValueError("expected a name of letters, digits, spaces, '_', '-', '+' and '.' inside")
        return value

    @model_validator(mode="after")
    def _is_no_file_of_the_result(self) -> ImageSection:
        if self.label.casefold() in OWN_NAMES:
            raise ValueError(
                f"the result folder has a file or folder {self.label.casefold()!r} of its own; expected"
                ' another name for the image, such as name = "image 1"'
            )
        return self

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
    n_components: AtLeastOne | list[AtLeastOne] | None = None
    offset: Offset | list[Offset] | None = None
    library: File | list[File] | None = None
    library_scale: Literal["fixed", "free"] | None = None

    @model_validator(mode="after")
    def _one_word_on_the_classes(self) -> CountingSection:
        if self.library is None:
            if self.library_scale is not None:
                raise ValueError("library_scale says nothing without library")
        elif self.n_components is not None:
            raise ValueError("the classes of a library are counted; expected n_components or library")
        elif self.offset is not None and self.library_scale != "free":
            raise ValueError("a library of a fixed scale tells the offset; expected offset or library")
        return self


class MicroscopeSection(Section):
    """[microscope]: from what a library for each image is simulated, where the user gives none.

    voltage in kV; half the opening angle of the probe, and the inner and outer angle of the annular detector,
    in mrad.
    """

    voltage: Positive
    semi_convergence: Angle
    detector: tuple[Angle, Angle]

    @field_validator("detector", mode="before")
    @classmethod
    def _two_angles(cls, value: Any) -> Any:
        return _of_length(value, 2, "[inner, outer], its two angles in mrad")

    @model_validator(mode="after")
    def _is_a_microscope(self) -> MicroscopeSection:
        from stemcount.simulation.multislice import check_settings

        check_settings(self.voltage, self.semi_convergence, self.detector)
        return self


class ReconstructionSection(Section):
    """[reconstruction]: how the atoms are found from the counts.

    species = "target" counts the target's columns as if no other species stood in them, and reconstructs
    the target alone, as Bals et al. (2011) did; it matters only for crystals of several sublattices.
    vacancies says whether atoms inside the crystal may be missing: by default single ones, where the counts
    leave no other explanation.
    """

    runs: Annotated[int, Field(ge=1, le=10000)] = 10
    method: Literal["anneal", "sample"] = "anneal"
    counts: Literal["soft", "hard"] = "soft"
    species: Literal["joint", "target"] = "joint"
    seed: Annotated[int, Field(ge=0)] = 0
    edge_weight: Annotated[float, Field(ge=0)] | None = None
    vacancies: Annotated[bool, Field(strict=True)] | None = None
    workers: Annotated[int, Field(ge=1)] | None = None


class Project(Section):
    """A whole project file; `folder` is where its relative paths start."""

    crystal: CrystalSection
    image: list[ImageSection] = Field(min_length=1)
    fit: FitSection = FitSection()
    counting: CountingSection = CountingSection()
    microscope: MicroscopeSection | None = None
    reconstruction: ReconstructionSection = ReconstructionSection()
    path: Annotated[Path, Field(exclude=True)]

    @model_validator(mode="after")
    def _names_differ_and_lists_fit(self) -> Project:
        labels = [image.label for image in self.image]
        folded = [label.casefold() for label in labels]  # "A" and "a" are one folder on many computers
        twice = [label for label, name in zip(labels, folded, strict=True) if folded.count(name) > 1]
        if twice:
            sources = {(str(image.file), image.signal) for image in self.image if image.label in twice}
            if len(sources) == 1:
                raise ValueError(f"image: {sources.pop()[0]} is given twice; expected each image once")
            raise ValueError(f"two images are called {twice[0]!r}; give each a name of its own")
        for field in ("n_components", "offset", "library"):
            value = getattr(self.counting, field)
            if isinstance(value, list) and len(value) != len(labels):
                raise ValueError(f"counting.{field} lists {len(value)} values for {len(labels)} images")
        return self

    @model_validator(mode="after")
    def _every_view_from_elsewhere(self) -> Project:
        for number, image in enumerate(self.image):
            for other in self.image[:number]:
                (a, b, c), (u, v, w) = image.zone_axis, other.zone_axis
                if b * w == c * v and c * u == a * w and a * v == b * u:
                    raise ValueError(
                        f"images {other.label!r} and {image.label!r} are both along"
                        f" {list(other.zone_axis)}, and a second image of one zone axis tells nothing of"
                        " depth; expected another zone axis (name the better image, or average the two first)"
                    )
        return self

    @model_validator(mode="after")
    def _species_can_be_told_apart(self) -> Project:
        from .crystals import cannot_be_told_apart

        pair = cannot_be_told_apart(self.crystal.crystal(), [image.zone_axis for image in self.image])
        if pair is not None:
            raise ValueError(
                f"crystal: no image can tell {pair[0]} from {pair[1]}, whose atoms are about equally bright"
                " and stand in the same columns in every view"
            )
        return self

    @model_validator(mode="after")
    def _what_is_for_one_sublattice_is_used(self) -> Project:
        if len(self.crystal.crystal().sublattices) > 1:
            for key in self.counting.model_fields_set:
                raise ValueError(
                    f"counting.{key} is for crystals of one sublattice (fcc) only: with several species,"
                    " counts and compositions are settled together"
                )
            for image in self.image:
                if image.fixed is not None:
                    raise ValueError(
                        f"image {image.label!r}: fixed is for crystals of one sublattice (fcc) only"
                    )
        return self

    @model_validator(mode="after")
    def _a_library_can_be_simulated(self) -> Project:
        if self.microscope is None:
            return self
        for field in ("n_components", "library"):
            if getattr(self.counting, field) is not None:
                raise ValueError(
                    "the classes of the microscope's library are counted; expected microscope or"
                    f" counting.{field}"
                )
        if len(self.crystal.crystal().sublattices) > 1:
            raise ValueError("microscope is for crystals of one sublattice (fcc) only")
        from stemcount.simulation.metals import METALS

        if self.crystal.name not in METALS:
            raise ValueError(
                f"microscope: no library of {self.crystal.name} can be simulated, only of {', '.join(METALS)}"
            )
        return self

    def resolve(self, path: Path) -> Path:
        """Absolute path of a file that the project names."""
        return path if path.is_absolute() else self.path.parent / path

    def fit_of(self, section: ImageSection) -> dict[str, Any]:
        """Settings of an image's `fit_columns`: those of [fit], and its own background where it names one."""
        own = {} if section.background is None else {"background": section.background}
        return self.fit.model_dump(exclude_none=True) | own

    def per_image(self, field: str, index: int) -> Any:
        """Value of a [counting] field for one image: its own entry of a list, or the common value."""
        value = getattr(self.counting, field)
        return value[index] if isinstance(value, list) else value


def folder_name(name: str) -> str:
    """A name for an image's tables and folder: as it is called, without what a folder's name cannot hold.

    >>> folder_name("STEM HAADF 5.1 Mx/frame 1")
    'STEM HAADF 5.1 Mx_frame 1'
    """
    return re.sub(r"[^\w.+ -]", "_", name).strip(". ") or "image"


def load_project(path: Path | str) -> Project:
    """Read and check a project file: a TOML file as docs/tutorial.md describes it.

    InputError if the file is missing, is not TOML, or a key is missing, unknown or of the wrong kind.
    """
    path = Path(path)
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "no such project file"
        raise InputError(f"{path}: {wrong}; expected a TOML file with [crystal] and [[image]].")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors may mark UTF-8 at its start
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a text in UTF-8; expected a TOML file with [crystal] and [[image]]."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(not_toml(path, error)) from error
    return checked_project(content, path)


def checked_project(content: dict[str, Any], path: Path) -> Project:
    """The project that the tables of a project file describe, or an InputError that names the key.

    `content` has crystal, image, fit, counting and reconstruction, as in the file; `path` is what the project
    is called in messages, and its folder is where relative paths start.
    """
    try:
        return Project(**content, path=path.resolve())
    except ValidationError as error:
        raise InputError(f"{path}: {first_mistake(error, content, Project)}") from error
    except TypeError as error:  # the file defines a key called 'path'
        raise InputError(f"{path}: unknown key 'path'.") from error
