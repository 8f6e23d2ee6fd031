"""Every public function has an example, and all examples of the library half run as they stand.

Those of the viewers run in tests/viewers/test_examples.py, on a small particle's result.
"""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import stemcount
import tomo
import viewers

PUBLIC = (stemcount, tomo, viewers, tomo.observables, tomo.phantoms)
MODULES = [
    module.name
    for package in (stemcount, tomo)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")  # would run the program
]


def public_functions():
    for package in PUBLIC:
        for name in sorted(package.__all__):
            thing = getattr(package, name)
            if inspect.isfunction(thing):
                yield pytest.param(thing, id=f"{package.__name__}.{name}")


@pytest.mark.parametrize("function", public_functions())
def test_every_public_function_has_an_example_that_runs(function):
    parts = inspect.getdoc(function).split("\nExamples\n--------\n")
    assert len(parts) == 2, "its docstring has no section Examples"
    assert doctest.DocTestParser().get_examples(parts[1]), "its section Examples runs nothing"


@pytest.mark.parametrize("function", public_functions())
def test_every_public_function_says_what_it_takes_and_gives(function):
    """All its parameters, by their names, and what comes back."""
    text = inspect.getdoc(function)
    signature = inspect.signature(function)
    section = text.partition("\nParameters\n----------\n")[2].partition("\n\n")[0]
    headings = [line.partition(" : ")[0] for line in section.splitlines() if not line.startswith(" ")]
    named = {name.strip().lstrip("*") for heading in headings for name in heading.split(",")} - {""}
    assert named == set(signature.parameters)
    if signature.return_annotation not in (None, "None"):
        assert "\nReturns\n-------\n" in text


def test_the_public_functions_were_looked_at():
    found = {function.id for function in public_functions()}
    assert {"stemcount.fit_columns", "tomo.reconstruct", "viewers.view_atoms"} <= found
    assert {"tomo.observables.surface_atoms", "tomo.phantoms.random_particle"} <= found


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name)).failed == 0
