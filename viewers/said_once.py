"""Warnings that say the same of several images, said once."""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?(?: %)?")


def said_once(warnings: Sequence[str]) -> list[str]:
    """Warnings in their order, those that differ only in an image and in numbers as one.

    The first is said in full; of the others the names follow, with the numbers that differ. Warnings of an
    image begin with its name and a colon.

    Examples
    --------
    >>> said_once(["a: tilted by 3 degrees.", "b: tilted by 5 degrees.", "certainty: 9 atoms are doubtful."])
    ['a: tilted by 3 degrees. Likewise b (5).', 'certainty: 9 atoms are doubtful.']
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for warning in warnings:
        name, colon, text = str(warning).partition(": ")
        alike.setdefault(NUMBER.sub("#", text) if colon else name, []).append((name, text))
    return [_joined(group) for group in alike.values()]


def _joined(group: Sequence[tuple[str, str]]) -> str:
    """One sentence for all images of a group."""
    (name, text), *others = group
    first = f"{name}: {text}" if text else name
    also = [f"{other}{_differing(text, said)}" for other, said in others]
    return f"{first} Likewise {', '.join(also)}." if also else first


def _differing(first: str, other: str) -> str:
    """The numbers of another sentence that are not those of the first, in brackets."""
    pairs = zip(NUMBER.findall(first), NUMBER.findall(other), strict=True)
    numbers = [there for here, there in pairs if here != there]
    return f" ({', '.join(numbers)})" if numbers else ""
