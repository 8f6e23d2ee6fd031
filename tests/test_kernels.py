"""What compiled functions must keep to: the same bits in every process, and little to compile."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap

import pytest
from numba.core.caching import CompileResultCacheImpl
from numba.core.dispatcher import Dispatcher

import stemcount
import stemcount.kernels
import tomo
import tomo.kernels


def kernels() -> dict[str, Dispatcher]:
    """All compiled functions of the packages, by their module and name."""
    found = {}
    for package in (stemcount, tomo):
        for entry in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            for value in vars(importlib.import_module(entry.name)).values():
                if isinstance(value, Dispatcher):
                    found[f"{value.py_func.__module__}.{value.py_func.__name__}"] = value
    return found


def test_sums_are_taken_as_they_are_written():
    """With fastmath their order depends on which process compiled what, or found it on disk."""
    known = kernels()
    assert len(known) > 20
    for name, kernel in known.items():
        assert not kernel.targetoptions.get("fastmath"), name


def test_no_kernel_assigns_an_array_to_a_slice():
    """Numba would compile a message about unequal shapes, with numbers as text: seconds for each kernel."""
    for name, kernel in kernels().items():
        tree = ast.parse(textwrap.dedent(inspect.getsource(kernel.py_func)))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign | ast.AugAssign) or isinstance(node.value, ast.Constant):
                continue
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                slices = [part for part in ast.walk(target) if isinstance(part, ast.Slice)]
                assert not slices, f"{name}: {ast.unparse(node)}"


@pytest.mark.parametrize("kernels", [stemcount.kernels, tomo.kernels])
def test_code_of_an_older_program_is_deleted(kernels, tmp_path):
    """Also that of kernels whose own file is the same: they may have taken in one that is not."""
    kernel, other = tmp_path / "kernel.py", tmp_path / "other.py"
    code = tmp_path / "inner" / "__pycache__" / "caller.nbi"
    code.parent.mkdir(parents=True)
    for text, plain, stays in (("@jit", "1", False), ("@jit", "2", True), ("@jit 2", "2", False)):
        kernel.write_text(text)
        other.write_text(plain)
        code.touch()
        kernels.forget_stale(tmp_path)
        assert code.exists() == stays


@pytest.mark.parametrize("kernels", [stemcount.kernels, tomo.kernels])
def test_where_no_folder_can_be_written_to_code_is_compiled_and_not_kept(kernels, monkeypatch):
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    assert kernels.jit(lambda x: x + 1)(1) == 2
