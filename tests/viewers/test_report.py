"""The report: one file, everything in it, nothing from elsewhere."""

import base64
import importlib.util
import io
import re
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

import viewers
from stemcount import InputError

spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
browser = importlib.util.module_from_spec(spec)
spec.loader.exec_module(browser)

SUMMARY = {
    "project": "gold.toml",
    "crystal": {"structure": "fcc", "species": ["Au"], "a": 4.08},
    "atoms": {"atoms": 669, "expected_atoms": 668.25, "doubtful_sites": 12},
    "images": {
        "au_001": {"zone_axis": [0, 0, 1], "pixel_size_A": 0.2, "lattice": {"rotation_deg": 0.5}},
        "au_110": {"zone_axis": [1, 1, 0], "pixel_size_A": 0.2, "lattice": {"rotation_deg": None}},
    },
    "warnings": ["au_110: 3 columns <off> the lattice & left out"],
    "versions": {"stemcount": "0.1.0"},
}


def magenta_png() -> bytes:
    buffer = io.BytesIO()
    imageio.imwrite(buffer, np.full((300, 600, 3), (255, 0, 255), np.uint8), extension=".png")
    return buffer.getvalue()


@pytest.fixture
def report(tmp_path):
    png = tmp_path / "figure.png"
    png.write_bytes(magenta_png())
    path = tmp_path / "report.html"
    figures = [("A file & its caption", png), ("Bytes", magenta_png())]
    viewers.write_report(
        path, "Gold <particle>", SUMMARY, figures, tables={"Columns": [{"x_A": 1.5, "count": 3}]}
    )
    return path


def test_every_number_is_there_with_its_unit(report):
    text = report.read_text(encoding="utf-8")
    for part in (
        "Gold &lt;particle&gt;",
        "&lt;off&gt; the lattice &amp; left out",
        "pixel size (Å)",
        ">669<",
        "668.2",
        "rotation (°): 0.5",
        "rotation (°): –",
        "Figure 2.",
        "x (Å)",
        "A file &amp; its caption",
    ):
        assert part in text, part
    assert text.index("Before you trust") < text.index("Figure 1.")


def test_figures_can_be_read_in_a_narrow_window(report):
    """They keep their size there and scroll; scaled to a phone their labels are a millimetre high."""
    picture = browser.picture_of(report, 500, 1600)
    magenta = (picture[..., 0] > 240) & (picture[..., 1] < 20) & (picture[..., 2] > 240)
    rows = np.flatnonzero(magenta.any(axis=1))
    assert np.sum(np.diff(rows) > 1) == 1  # two figures
    assert len(rows) == pytest.approx(2 * 350, abs=4)  # 600 x 300 pixels, drawn 700 wide


def test_lists_of_mappings_become_tables_and_numpy_becomes_numbers(tmp_path):
    summary = {
        "agreement": {"planes": [{"normal": [0, 0, 1], "atoms": np.int64(7)}], "best": np.float64(0.25)}
    }
    viewers.write_report(tmp_path / "r.html", "T", summary, [])
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<th>normal</th><th>atoms</th>" in text
    assert "<td>0, 0, 1</td><td>7</td>" in text
    assert ">0.25<" in text


def test_long_and_endless_values_stay_readable(tmp_path):
    numbers = {"misfit": [40.6] * 10, "totals": [[672.0, 14.7], [670.4, 14.6]], "margin": float("inf")}
    viewers.write_report(tmp_path / "r.html", "T", numbers, [])
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    for shown in ("40.6 (10 times)", "672, 14.7 | 670.4, 14.6", "∞"):
        assert f"<td>{shown}</td>" in text


def test_images_are_compared_side_by_side(report):
    assert "<th>au_001</th><th>au_110</th>" in report.read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(report):
    text = report.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", text)
    assert "url(" not in text
    assert "<script" not in text


def test_report_without_figures_or_numbers(tmp_path):
    viewers.write_report(tmp_path / "empty.html", "Nothing", {}, [])
    assert "nothing to warn of" in (tmp_path / "empty.html").read_text(encoding="utf-8")


def test_agreement_of_runs_is_not_sold_as_probability(tmp_path):
    atoms = {"atoms": 669, "expected_wrong_atoms": 0.0, "doubtful_sites": 3}
    for method, claimed in (("anneal", False), ("sample", True)):
        path = tmp_path / f"{method}.html"
        viewers.write_report(path, "T", {"atoms": atoms, "reconstruction": {"method": method}}, [])
        text = path.read_text(encoding="utf-8")
        assert ("<span>expected wrong</span>" in text) == claimed
        assert ("too sure of itself" in text) != claimed
        assert ("<span>doubtful sites</span>" in text) == claimed
        assert ("<span>sites runs differ on</span>" in text) != claimed


def test_certainties_that_hold_other_crystals_are_no_agreement_of_runs(tmp_path):
    atoms = {"atoms": 669, "expected_wrong_atoms": 60.2, "doubtful_sites": 130}
    how = {"method": "anneal", "diagnostics": {"other_crystals": 0.9}}
    viewers.write_report(tmp_path / "r.html", "T", {"atoms": atoms, "reconstruction": how}, [])
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<b>60.2</b><span>expected wrong</span>" in text
    assert "<span>doubtful sites</span>" in text
    assert "mean over the reconstructed crystal and others" in text


def test_what_several_images_share_is_warned_of_once(tmp_path):
    said = ["im0: a halo of 25 %.", "im1: a halo of 17 %."]
    viewers.write_report(tmp_path / "r.html", "T", {"warnings": said}, [])
    assert "<li>im0: a halo of 25 %. Likewise im1 (17 %).</li>" in (tmp_path / "r.html").read_text()


def test_unreadable_figure_and_unwritable_report(tmp_path):
    with pytest.raises(InputError, match=r"missing\.png"):
        viewers.write_report(tmp_path / "r.html", "T", {}, [("gone", tmp_path / "missing.png")])
    (tmp_path / "nowhere").touch()
    with pytest.raises(InputError, match="nowhere"):
        viewers.write_report(tmp_path / "nowhere" / "r.html", "T", {}, [])


@pytest.mark.parametrize("given", [0, "words", [(1, 2, 3)], [("a", 1)], object(), [b"png"]])
def test_what_are_no_figures_or_tables_is_named(given, tmp_path):
    with pytest.raises(InputError, match="figures: expected pairs of a caption and a PNG file"):
        viewers.write_report(tmp_path / "report.html", "t", {}, given)
    with pytest.raises(InputError, match="tables: expected"):
        viewers.write_report(tmp_path / "report.html", "t", {}, [], {"a": given})
    assert not list(tmp_path.iterdir())


def test_a_browser_shows_the_figures(report):
    picture = browser.picture_of(report, 1200, 1400)
    magenta = (picture[..., 0] > 240) & (picture[..., 1] < 20) & (picture[..., 2] > 240)
    assert magenta.mean() > 0.1
    warning = (np.abs(picture - (0xC8, 0x50, 0x2D)) < 12).all(axis=2)
    assert warning.any()


def test_a_large_figure_is_packed_and_still_shows_the_same(tmp_path):
    noise = np.random.default_rng(0).normal(128, 40, (400, 600, 1)).clip(0, 255).astype(np.uint8)
    noise = np.repeat(noise, 3, axis=2)
    noise[:, 300:] = (255, 0, 255)
    buffer = io.BytesIO()
    imageio.imwrite(buffer, noise, extension=".png")
    viewers.write_report(tmp_path / "report.html", "Noise", {}, [("noise", buffer.getvalue())])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = re.search(r"data:image/webp;base64,([^\"]+)", page)
    packed = base64.b64decode(found[1])
    assert len(packed) < 0.8 * len(buffer.getvalue())
    shown = imageio.imread(packed).astype(float)
    assert np.abs(shown - noise).mean() < 8
    viewers.write_report(tmp_path / "small.html", "Small", {}, [("magenta", magenta_png())])
    assert "image/png" in (tmp_path / "small.html").read_text(encoding="utf-8")


def test_units_of_numbers_that_do_not_end_in_them(tmp_path):
    summary = {
        "crystal": {"a": 4.08},
        "tilt": {"angle": 0.1},
        "image": {"dose_per_A2": 1e5, "sum": 1.09e10 + 0.5},
    }
    viewers.write_report(tmp_path / "r.html", "Units", summary, [])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("a (Å)", "angle (°)", "dose (electrons per Å²)", "1.09e+10"):
        assert words in page, words


def test_every_species_of_a_core_shell_particle_is_in_large_type(tmp_path):
    species = {"Pb": {"atoms": 281}, "Se": {"atoms": 873}, "Cd": {"atoms": 347}}
    summary = {"atoms": {"atoms": 281, "doubtful_sites": 3, "species": species}}
    viewers.write_report(tmp_path / "report.html", "Core and shell", summary, [])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    cards = re.findall(r'class="card"><b>(.*?)</b><span>(.*?)</span>', text)
    assert cards == [
        ("281", "Pb atoms"),
        ("873", "Se atoms"),
        ("347", "Cd atoms"),
        ("3", "Pb doubtful sites"),
    ]
