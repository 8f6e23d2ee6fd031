"""A mistake in a project file, in one sentence that names the field and what was expected."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

# What pydantic adds to the name of a field that may be of several kinds.
KINDS = ("constrained-str", "constrained-int", "str", "int", "float", "path")
PHASE_EXAMPLE = '{ structure = "rock_salt", species = ["Pb", "Se"] }'

# What is to be there, where the name alone does not say it.
MISSING = {
    "image": "no image is given; expected a table [[image]] for each, with its file and zone_axis.",
    "crystal": "[crystal] is missing; expected it with structure, species and a.",
    "roi": "{} is missing; expected [left, right, top, bottom] in A.",
}


def not_toml(path: Path, error: TOMLDecodeError) -> str:
    """A sentence on a file that is no TOML, with the line that is wrong where the parser tells it."""
    told = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", str(error))
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    where = f", line {told[2]}: {lines[int(told[2]) - 1].strip()!r} is" if told else ":"
    return (
        f"{path}{where} not valid TOML ({told[1] if told else error}); expected key = value, with words in"
        ' straight quotes "...", a point in 4.08, and / in the names of files.'
    )


def first_mistake(error: ValidationError, content: dict[str, Any], project: type[BaseModel]) -> str:
    """Pydantic's first complaint as a sentence that names the field.

    `content` are the tables of the file, which were to become a `project`.
    """
    problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")  # a typing mistake first
    if isinstance(problem["input"], list):  # a number or a list of them: what is wrong is inside the list
        place = problem["loc"]
        inside = [p for p in error.errors() if p["loc"][:2] == place[:2] and len(p["loc"]) > len(place)]
        problem = next(iter(inside), problem)
    where = _field_name(problem["loc"], content)
    if problem["type"] == "extra_forbidden":
        known = [name for name in _section_of(problem["loc"], project).model_fields if name != "path"]
        close = get_close_matches(str(problem["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}."
        return f"unknown key {where}; {hint}"
    if problem["type"] == "missing":
        name = next((part for part in reversed(problem["loc"]) if isinstance(part, str)), "")
        return MISSING.get(name, "{} is missing.").format(where)
    if where == "image":
        return "image: expected a table for each image, under [[image]] with two brackets."
    if problem["type"] == "model_type" and where in ("crystal.core", "crystal.shell"):
        return f"{where}: expected a table such as {PHASE_EXAMPLE}; got {problem['input']!r}."
    if problem["type"] == "model_type":
        keys = ", ".join(_section_of((*problem["loc"], ""), project).model_fields)
        return f"{where}: expected a table with keys such as {keys}; got {problem['input']!r}."
    message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    many = re.fullmatch(r"List should have at (most|least) (\d+) items? after validation, not \d+", message)
    if many:
        message = f"expected at {many[1]} {many[2]} entries"
    for bound in ("greater", "less"):
        message = message.replace(f"expected {bound}", f"expected a number {bound}")
    message = message.replace(
        "a valid list", 'a list, such as ["Au"]' if where.endswith("species") else "a list"
    )
    if where.endswith("background"):
        message = message.replace(" or 'smooth'", ", 'smooth' or a number")
    if "than" in message and where.endswith((".a", ".pixel_size")):
        message += " A"
    if ", unable to parse string as a number" in message:
        message = "expected a number without quotes and unit"
    got = "" if isinstance(problem["input"], dict) else f"; got {problem['input']!r}"
    message = message.removesuffix(".") + got  # some sentences come whole
    return f"{where}: {message}." if where else f"{message}."


def _section_of(location: tuple[int | str, ...], project: type[BaseModel]) -> type[BaseModel]:
    """The table of the project file that a field belongs to."""
    section = project
    for part in location[:-1]:
        if part in section.model_fields:
            kind = section.model_fields[str(part)].annotation
            section = next(
                k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, BaseModel)
            )
    return section


def _field_name(location: tuple[int | str, ...], content: dict[str, Any]) -> str:
    """Dotted name of a field; images are numbered from 1 and called by their file."""
    name = ""
    for part in location:
        if isinstance(part, int):
            entries = content.get("image", [])
            is_image = name == "image" and part < len(entries) and isinstance(entries[part], dict)
            file = str(entries[part].get("file", "?")) if is_image else ""
            file = file if file.isprintable() else repr(file)[1:-1]  # such as a line's end, on one line
            name += f"[{part + 1}] ({file})" if file else f"[{part + 1}]"
        elif part not in KINDS and "[" not in str(part):
            name += f".{part}" if name else str(part)
    return name
