"""The web page: opened in a headless browser without network, looked at, and driven."""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

import viewers
from viewers.geometry import view_rotation

spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
browser = importlib.util.module_from_spec(spec)
spec.loader.exec_module(browser)

WEBGL = ("--enable-unsafe-swiftshader", "--use-angle=swiftshader")


def drive(page: Path, script: str) -> dict:
    """Run a script in the page; what it returns, as an object."""
    text = page.read_text(encoding="utf-8")
    text = text.replace(
        "paint();\n</script>",
        f"paint();\nconst answer = (() => {{ {script} }})();\n"
        "document.title = 'ANSWER' + JSON.stringify(answer) + 'END';\n</script>",
    )
    copy = page.with_name("driven.html")
    copy.write_text(text, encoding="utf-8")
    found = re.search(r"ANSWER(.*)END", browser.run_browser(copy, "--dump-dom", *WEBGL))
    assert found, "the page's script stopped with an error"
    return json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    return viewers.write_page(result, tmp_path_factory.mktemp("page") / "atoms.html")


def test_nothing_is_loaded_from_elsewhere(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://", text)
    assert not re.search(r"(?:src|href)=", text)


def test_the_browser_draws_golden_spheres(page):
    picture = browser.picture_of(page, 1000, 700, *WEBGL)[:, 300:]
    golden = (picture[..., 0] > 110) & (picture[..., 2] < 0.6 * picture[..., 0])
    assert 0.15 < golden.mean() < 0.8
    rows, cols = np.nonzero(golden)
    assert abs(rows.mean() - 350) < 40
    assert abs(cols.mean() - 350) < 60


def test_a_telephone_shows_the_particle_beside_the_folded_panel(page):
    picture = browser.picture_of(page, 500, 800, *WEBGL)
    golden = (picture[..., 0] > 110) & (picture[..., 2] < 0.6 * picture[..., 0])
    assert golden.mean() > 0.15
    assert abs(np.nonzero(golden)[1].mean() - 250) < 40


def test_threshold_planes_and_picking(page, result):
    answer = drive(
        page,
        """
        $("threshold").value = 0.9; select(); const sure = atoms;
        $("threshold").value = 0.01; $("normal").value = "1,1,1"; resetPlanes();
        $("first").value = 0; $("last").value = 0; select(); const plane = drawn.length;
        resetPlanes(); const all = drawn.length;
        rotation = data.directions[0].rotation.map(r => r.slice());
        const [x, y] = centre($("view").clientWidth, $("view").clientHeight);
        pick(x, y);
        return { sure, plane, all, text: $("atom").textContent };
        """,
    )
    assert answer["sure"] == np.sum(result.certainty >= 0.9 - 1e-6)
    assert answer["plane"] == np.sum((result.sites.sum(axis=1) == 0) & (result.certainty >= 0.01))
    assert answer["all"] < np.sum(result.certainty >= 0.01)
    site = np.array([int(i) for i in re.search(r"site \((.*?)\)", answer["text"])[1].split()])
    along = view_rotation(result.views[0].zone_axis)[2]
    on_line = np.linalg.norm(np.cross(result.sites, along), axis=1) < 0.8
    nearest = result.sites[on_line] @ along
    assert site @ along == pytest.approx(nearest.min(), abs=1.01)


def test_frame_is_right_handed(page):
    answer = drive(page, "turn(0.4, 0.3); turn(-1, 2); return { rotation };")
    rotation = np.array(answer["rotation"])
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)


def test_title_is_escaped_and_data_cannot_end_the_script(result, tmp_path):
    odd = dataclasses.replace(result)
    path = viewers.write_page(odd, tmp_path / "odd.html", title="<b>Au & Pd</script>")
    text = path.read_text(encoding="utf-8")
    assert "&lt;b&gt;Au &amp; Pd&lt;/script&gt;" in text
    assert text.count("</script>") == 2


@pytest.fixture(scope="module")
def species_page(core_shell_result, tmp_path_factory):
    return viewers.write_page(core_shell_result, tmp_path_factory.mktemp("species") / "atoms.html")


def test_species_are_drawn_in_their_colours(species_page, core_shell_result):
    from viewers.species import species_colours

    picture = browser.picture_of(species_page, 1000, 700, *WEBGL)[:, 300:]
    for name, colour in species_colours(core_shell_result).items():
        hue = picture / np.maximum(picture.max(axis=2, keepdims=True), 1)
        near = np.abs(hue - colour / colour.max()).max(axis=2) < 0.12
        assert near[picture.max(axis=2) > 60].mean() > 0.004, name


def test_species_can_be_hidden_and_picked(species_page, core_shell_result):
    answer = drive(
        species_page,
        """
        $("threshold").value = 0.5; select(); const all = atoms;
        const boxes = [...document.querySelectorAll("#species input")];
        boxes[1].click(); boxes[2].click(); const core = atoms;
        boxes[3].click(); const certain = !bySpecies;
        resetPlanes();
        const [x, y] = centre($("view").clientWidth, $("view").clientHeight);
        rotation = data.directions[0].rotation.map(r => r.slice());
        for (let d = 0; d < 40 && !$("atom").textContent.includes("site"); d++) pick(x + 2 * d, y + d);
        return { all, core, certain, text: $("atom").textContent,
                 names: boxes.map(b => b.parentNode.textContent.trim()) };
        """,
    )
    assert answer["all"] == len(core_shell_result.atoms(0.5 - 1e-6)[0])
    assert answer["core"] == len(core_shell_result.occupied(0.5 - 1e-6))
    assert answer["names"] == ["Pb", "Se", "Cd", "colour by certainty"]
    assert answer["certain"]
    h, k, l = (int(i) for i in re.search(r"Pb at site \((.*?)\)", answer["text"])[1].split())  # noqa: E741
    assert (h, k, l) in set(map(tuple, core_shell_result.sites.tolist()))
