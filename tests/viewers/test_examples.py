"""The examples of the docstrings run; their result, image, fit and counts are a small particle's."""

import doctest
import importlib
import pkgutil

import pytest

import tomo
import viewers

MODULES = [module.name for module in pkgutil.iter_modules(viewers.__path__, "viewers.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, columns, result, core_shell_result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    names = {"result": result, "image": columns.image, "fit": columns.fit, "counts": columns.counts}
    names["core_shell_result"] = core_shell_result
    names["indexing"] = tomo.index_columns(columns.fit.x, columns.fit.y, (1, 1, 0), result.crystal)
    failed, _ = doctest.testmod(module, extraglobs=names)
    assert failed == 0
