"""One HTML file with the figures and numbers of a run: readable offline, by a referee, in any browser."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from stemcount import InputError

from .options import check_path, written
from .said_once import said_once

STYLE = """
:root { --ink: #1b1f24; --soft: #5b6470; --line: #dfe3e8; --paper: #ffffff; --accent: #00204d; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f4f6; color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; background: var(--paper); padding: 2.2rem 2.8rem 3rem; }
header { border-bottom: 3px solid var(--accent); padding-bottom: .6rem; margin-bottom: 1.4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; }
header p { color: var(--soft); margin: .3rem 0 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin-bottom: 1rem; }
nav a { color: var(--accent); text-decoration: none; border-bottom: 1px dotted; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .8rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.note { color: var(--soft); font-size: .88rem; margin: .6rem 0 0; }
.card span { color: var(--soft); font-size: .85rem; }
.warnings { border-left: 5px solid #c8502d; background: #fdf1ec; border-radius: 4px;
  padding: .7rem 1.1rem; margin: 1rem 0; }
.warnings ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.fine { border-left: 5px solid #2b6ca3; background: #eef5fb; border-radius: 4px;
  padding: .6rem 1.1rem; margin: 1rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; margin: .3rem 0 1rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .28rem .9rem .28rem 0;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--ink); }
tbody th { font-weight: 500; color: var(--soft); white-space: nowrap; }
figure { margin: 1.2rem 0 1.8rem; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .5rem; }
figcaption b { color: var(--ink); }
footer { color: var(--soft); font-size: .82rem; margin-top: 2.5rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }
@media (max-width: 700px) { main { padding: 1.2rem 1rem 2rem; }
  figure { overflow-x: auto; } figure img { max-width: none; width: 700px; }
  figcaption { position: sticky; left: 0; } }
@page { size: A4; margin: 15mm; }
@media print { body { background: white; print-color-adjust: exact; } main { padding: 0; max-width: none; }
  figure { break-inside: avoid; } figure img { width: auto; max-width: 100%; max-height: 22cm; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; } .wide { overflow: visible; }
  td { overflow-wrap: anywhere; } td table { font-size: .78rem; } nav { display: none; } }
"""

LARGE = 200_000
"""Figures of more bytes than this are packed, so that a report of many images can be sent by mail."""
QUALITY = 88
"""Of packed figures, as WebP counts it; their labels stay sharp."""
NAMES = {
    "a": "a (Å)",
    "dose_per_A2": "dose (electrons per Å²)",
    "angle": "angle (°)",
    "direction": "direction (°)",
}
"""Keys whose names do not end in their unit."""
UNITS = {"A": "Å", "deg": "°", "A2": "Å²", "s": "s", "rad": "rad", "mrad": "mrad", "percent": "%"}
CARDS = (
    ("atoms", "atoms"),
    ("expected_wrong_atoms", "expected wrong"),
    ("doubtful_sites", "doubtful sites"),
    ("certain_sites", "certain sites"),
)
AGREEMENT_WORDS = {"doubtful_sites": "sites runs differ on", "certain_sites": "sites runs agree on"}
"""What these numbers are where a certainty is a share of runs: warnings count doubts of another kind."""


AGREEMENT_NOTE = (
    "Certainty is here the share of repeated annealing runs that agree on an atom. Runs that make the same"
    " mistake agree too, so it is too sure of itself; the method “sample” gives calibrated probabilities."
)
OTHERS_NOTE = (
    "Certainty is here the mean over the reconstructed crystal and others that may be the right one: the"
    " warnings above say why."
)


def write_report(
    path: str | Path,
    title: str,
    summary: Mapping[str, Any],
    figures: Iterable[tuple[str, str | Path | bytes]],
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> None:
    """Write figures and numbers into one self-contained HTML file.

    Warnings come first, then the atoms and how sure they are, the figures, and every number of the
    summary as a table. Nothing is loaded from elsewhere.

    Parameters
    ----------
    path : str or Path
        File to write; its folder is made where there is none.
    title : str
        Heading of the page.
    summary : mapping
        What a run found, as written to ``summary.json``: nested mappings of plain values. A list under
        ``"warnings"`` is shown on top; the mapping under ``"atoms"`` in large type; a mapping of mappings
        with the same keys becomes one table with a column for each of them.
    figures : iterable of (str, str or Path or bytes)
        Caption and PNG file, or its bytes.
    tables : mapping of str to sequence of mapping, optional
        Further tables: title, and rows that map column names to values.

    Raises
    ------
    InputError
        If a figure cannot be read, the report cannot be written, or figures or tables are something else.

    Examples
    --------
    >>> write_report("report.html", "Gold particle", {"atoms": {"atoms": 669}}, [])
    """
    path = check_path(path)
    if not isinstance(title, str):
        raise InputError(f"title: expected text, got {title!r}.")
    if not isinstance(summary, Mapping):
        raise InputError(f"summary: expected a mapping as in summary.json, got {type(summary).__name__}.")
    content = {key: value for key, value in summary.items() if key != "warnings"}
    pictures = [
        _figure(number, caption, png) for number, (caption, png) in enumerate(_pairs(figures), start=1)
    ]
    reconstruction = summary.get("reconstruction")
    how = reconstruction if isinstance(reconstruction, Mapping) else {}
    parts = [_warnings(summary.get("warnings", ())), _cards(summary.get("atoms"), how)]
    if pictures:
        parts += ['<h2 id="figures">Figures</h2>', *pictures]
    for name, rows in _named_rows(tables).items():
        parts += [f"<h2>{escape(name)}</h2>", _rows_table(rows)]
    if content:
        parts += ['<h2 id="numbers">All numbers</h2>', _sections(content)]
    versions = summary.get("versions", {})
    made = f"stemcount {versions['stemcount']}" if "stemcount" in versions else "stemcount"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<header><h1>{escape(title)}</h1>"
        "<p>Atoms of one nanocrystal from its zone-axis HAADF-STEM images</p></header>"
        f"<nav>{_links(pictures, content)}</nav>{''.join(parts)}"
        f"<footer>Made with {escape(made)}. Lengths in Å."
        " Certainty: probability that a site holds an atom.</footer>"
        "</main></body></html>\n"
    )
    with written(path, "report") as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def _links(pictures: list[str], content: Mapping[str, Any]) -> str:
    links = [("figures", "Figures")] if pictures else []
    links += [("numbers", "All numbers")] if content else []
    links += [(f"numbers-{key}", _words(key)) for key, value in content.items() if isinstance(value, Mapping)]
    return "".join(f'<a href="#{escape(target, quote=True)}">{escape(text)}</a>' for target, text in links)


def _pairs(figures: object) -> list[tuple[str, Path | bytes]]:
    """Captions and figures, or an `InputError` where they are something else."""
    expected = "figures: expected pairs of a caption and a PNG file or its bytes"
    if not isinstance(figures, Iterable) or isinstance(figures, str | bytes):
        raise InputError(f"{expected}, got {type(figures).__name__}.")
    pairs: list[tuple[str, Path | bytes]] = []
    for number, pair in enumerate(figures):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{expected}; the one at {number} is none.")
        caption, png = pair
        if not isinstance(caption, str) or not isinstance(png, str | bytes | os.PathLike):
            raise InputError(f"{expected}; the one at {number} is none.")
        pairs.append((caption, png if isinstance(png, bytes) else Path(png)))
    return pairs


def _named_rows(tables: object) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Titles and rows of tables, or an `InputError` where they are something else."""
    if tables is None:
        return {}
    if not isinstance(tables, Mapping):
        raise InputError(f"tables: expected a mapping of titles to rows, got {type(tables).__name__}.")
    for name, rows in tables.items():
        listed = isinstance(rows, Sequence) and not isinstance(rows, str)
        if not isinstance(name, str) or not listed or not all(isinstance(row, Mapping) for row in rows):
            raise InputError(f"tables: expected a list of mappings under every title, not under {name!r}.")
    return tables


def _figure(number: int, caption: str, png: Path | bytes) -> str:
    if isinstance(png, bytes):
        content = png
    else:
        try:
            content = png.read_bytes()
        except OSError as error:
            raise InputError(f"{png}: the figure cannot be read ({error.strerror or error}).") from error
    kind, content = _packed(content)
    source = f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")
    text = escape(caption, quote=True)
    return (
        f'<figure id="figure-{number}"><img alt="{text}" src="{source}">'
        f"<figcaption><b>Figure {number}.</b> {text}</figcaption></figure>"
    )


def _packed(png: bytes) -> tuple[str, bytes]:
    """Format and bytes of a figure as the page holds it: a large one as WebP; its file stays as it is."""
    if len(png) <= LARGE or not features.check("webp"):
        return "png", png
    packed = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(packed, "WEBP", quality=QUALITY, method=4)
    return "webp", packed.getvalue()


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return '<div class="fine">The program found nothing to warn of.</div>'
    items = "".join(f"<li>{escape(str(text))}</li>" for text in said_once(warnings))
    return f'<div class="warnings"><b>Before you trust this result</b><ul>{items}</ul></div>'


def _cards(atoms: Any, how: Mapping[str, Any]) -> str:
    """The main numbers in large type; what agreement of runs cannot tell is left out and said so."""
    if not isinstance(atoms, Mapping):
        return ""
    other_crystals = "other_crystals" in (how.get("diagnostics") or {})
    agreement_only = how.get("method") == "anneal" and not other_crystals
    words = dict(CARDS) | (AGREEMENT_WORDS if agreement_only else {})
    shown = [
        (atoms[key], words[key])
        for key, _ in CARDS
        if key in atoms and not (agreement_only and key == "expected_wrong_atoms")
    ]
    species = atoms.get("species")
    if isinstance(species, Mapping):  # the numbers above are of the counted species, the first, alone
        numbers = [(found.get("atoms"), f"{name} atoms") for name, found in species.items()]
        counted = next(iter(species), "")
        shown = numbers + [(value, f"{counted} {text}") for value, text in shown if text != "atoms"]
    cards = [
        f'<div class="card"><b>{_value(value)}</b><span>{escape(text)}</span></div>' for value, text in shown
    ]
    said = AGREEMENT_NOTE if agreement_only else OTHERS_NOTE if other_crystals else ""
    note = f'<p class="note">{said}</p>' if said else ""
    return f'<div class="cards">{"".join(cards)}</div>{note}' if cards else ""


def _words(key: Any) -> str:
    """A key of the summary as words with its unit: ``pixel_size_A`` -> ``pixel size (Å)``."""
    if key in NAMES:
        return NAMES[key]
    words = str(key).split("_")
    if len(words) > 1 and words[-1] in UNITS:
        return f"{' '.join(words[:-1])} ({UNITS[words[-1]]})"
    return " ".join(words)


def _value(value: Any) -> str:
    """A plain value as text, numbers with four significant digits; a list of mappings as a table."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return {math.inf: "∞", -math.inf: "−∞"}.get(value, "–")
        if value == int(value) and abs(value) < 1e15:
            return f"{int(value)}"
        return f"{value:.1f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    if isinstance(value, Mapping):
        return "<br>".join(f"{escape(_words(k))}: {_value(v)}" for k, v in value.items()) or "–"
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, Mapping) for item in value):
        return _rows_table(value)
    if isinstance(value, (list, tuple)):
        items = [_value(item) for item in value]
        if len(items) > 3 and len(set(items)) == 1:
            return f"{items[0]} ({len(items)} times)"
        nested = any(isinstance(item, (list, tuple)) for item in value)
        shown = (" | " if nested else ", ").join(items[:24])
        return f"{shown}, … ({len(items)} values)" if len(items) > 24 else shown or "–"
    return escape(str(value))


def _sections(content: Mapping[str, Any]) -> str:
    """Every entry of the summary as a table of its own; single values share one."""
    single = {key: value for key, value in content.items() if not isinstance(value, Mapping)}
    html = [_pairs_table(single)] if single else []
    for key, value in content.items():
        if isinstance(value, Mapping):
            html.append(f'<h3 id="numbers-{escape(str(key), quote=True)}">{escape(_words(key))}</h3>')
            inner = list(value.values())
            alike = len(inner) > 1 and all(isinstance(v, Mapping) for v in inner)
            alike = alike and len({tuple(v) for v in inner}) == 1
            html.append(_compare_table(value) if alike else _pairs_table(value))
    return "".join(html)


def _pairs_table(pairs: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{escape(_words(k))}</th><td>{_value(v)}</td></tr>" for k, v in pairs.items())
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _compare_table(things: Mapping[str, Mapping[str, Any]]) -> str:
    """Things with the same properties: a column for each of a few, a row for each of many."""
    if len(things) > 5:
        return _rows_table([{"": name, **properties} for name, properties in things.items()])
    head = "".join(f"<th>{escape(str(name))}</th>" for name in things)
    rows = "".join(
        f"<tr><th>{escape(_words(key))}</th>"
        + "".join(f"<td>{_value(thing[key])}</td>" for thing in things.values())
        + "</tr>"
        for key in next(iter(things.values()))
    )
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(_words(name))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_value(row.get(name))}</td>" for name in names) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
