"""The pages tell the truth: their Python runs, their projects load, their commands and files exist."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import tomo
import viewers
from stemcount.cli.app import app
from stemcount.cli.project_file.project import Project

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if not {"_build", "generated"} & set(page.parts)]
COMMANDS = typer.main.get_command(app).commands


def blocks(page, language):
    """Fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def pages_with(language):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if blocks(page, language)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a reader of the pages stands: the sample images and the result of the demo."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "sample_images").symlink_to(ROOT / "sample_images", target_is_directory=True)
    (folder / "projects").mkdir()
    (folder / "projects" / "one.toml").write_text("")
    particle = tomo.phantoms.random_particle(150, seed=3)
    views = tomo.phantoms.soft_views_of(particle, [(0, 0, 1), (1, 0, 0), (1, 1, 0)], 0.35)
    tomo.reconstruct(views, runs=2, method="sample", crystal=tomo.fcc("Au", a=4.08)).save(
        folder / "demo_result"
    )
    return folder


class LocalClient:
    """A dask client without processes, whatever address it is given."""

    def __new__(cls, address):
        from distributed import Client

        assert address.startswith("tcp://")
        return Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None)


make_movie = viewers.save_movie


def short_movie(result, path, **options):
    """The same movie, of few and small frames."""
    return make_movie(result, path, **{**options, "size": (64, 64), "frames": 2})


def finished_project(project, out, *, seed=None, workers=None, progress=True):
    """In place of minutes of work; takes what `run_project` takes."""
    assert Path(project).is_file()
    assert Path(out).suffix == ""
    return tomo.load_reconstruction("demo_result")


def finished_images(images, crystal, *, reconstruction):
    """In place of the same minutes; takes what `run_images` takes."""
    assert all(image.zone_axis for image in images)
    assert not {"runs", "seed"} ^ reconstruction.keys()
    return tomo.load_reconstruction("demo_result")


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_python_of_a_page_runs_from_top_to_bottom(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("dask.distributed.Client", LocalClient)
    monkeypatch.setattr(viewers, "save_movie", short_movie)
    monkeypatch.setattr("stemcount.cli.pipeline.run_project", finished_project)
    monkeypatch.setattr("stemcount.cli.pipeline.run_images", finished_images)
    names = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", pages_with("toml"))
def test_the_projects_of_a_page_load(page):
    for block in blocks(page, "toml"):
        Project.model_validate({**tomllib.loads(block), "path": page})


def commands(page):
    """Every ``stemcount ...`` line of a page, as words."""
    text = page.read_text(encoding="utf-8")
    indented = re.findall(r"^ {4}(?:\.venv/bin/)?stemcount (\w.*)$", text, re.M)
    fenced = re.findall(r"^stemcount (\w.*)$", "\n".join(blocks(page, "bash")), re.M)
    yield from (shlex.split(line) for line in [*indented, *fenced])


def test_the_commands_of_the_pages_exist():
    seen = set()
    for page in PAGES:
        for name, *words in commands(page):
            assert name in COMMANDS, f"{page.name}: stemcount {name}"
            known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
            for word in words:
                assert not word.startswith("--") or word in known, f"{page.name}: stemcount {name} {word}"
            seen.add(name)
    assert {"run", "view", "plan", "simulate", "export"} <= seen


def test_the_files_that_pages_link_to_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def headings(page):
    """What links call the headings of a page: small letters, no signs, hyphens for blanks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_headings_that_pages_link_to_exist():
    for page in PAGES:
        for name, heading in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8")):
            target = page.parent / name if name else page
            if "://" not in name and target.suffix == ".md":
                assert heading in headings(target), f"{page.name} links to {name}#{heading}"


def test_the_benchmarks_are_those_that_the_index_names():
    index = (ROOT / "docs" / "benchmarks" / "index.md").read_text(encoding="utf-8")
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")} - {"common.py"}
    named = set(re.findall(r"\w+\.py", index.split("## Scripts")[1]))
    assert named == scripts
    for page in PAGES:
        for name in re.findall(r"python benchmarks/(\w+\.py)", page.read_text(encoding="utf-8")):
            assert name in scripts, f"{page.name} runs {name}"


def test_the_readme_says_what_a_newcomer_needs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [words for words in ("make demo", "make test", "CITATION.cff") if words not in text]
    (code,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    assert re.search(r"!\[[^]]+\]\(docs/figures/\w+\.png\)", text)


def test_the_citation_names_the_program_and_its_papers():
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["title"].split(":")[0], citation["version"]) == (project["name"], project["version"])
    assert {paper["year"] for paper in citation["references"]} == {2011}
    assert citation["license"] == project["license"]


@pytest.mark.parametrize("package", ["stemcount", "tomo", "viewers"])
def test_the_layout_names_every_module(package):
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / package).rglob("*.py") if not path.stem.startswith("__")}
    assert modules
    assert [name for name in sorted(modules) if not re.search(rf"[`./]{name}[`.]", page)] == []
