"""The facade: what it offers is what it says, and importing it imports nothing else."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import espalier

SOURCE = Path(espalier.__file__)
ROOT = SOURCE.parents[1]


@pytest.mark.parametrize("name", espalier.__all__)
def test_every_name_is_the_object_of_its_home(name: str) -> None:
    """What the facade gives is what a direct import gives, and what type checkers are told."""
    told = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    module, there = told[name]
    assert getattr(espalier, name) is getattr(import_module(module), there)


def test_nothing_else_is_offered() -> None:
    """A name that is not in ``__all__`` is no attribute; ``dir`` shows those that are."""
    assert set(espalier.__all__) <= set(dir(espalier))
    assert espalier.__all__ == sorted(espalier.__all__)
    with pytest.raises(AttributeError, match="no attribute 'compile'"):
        _ = espalier.compile  # type: ignore[attr-defined]


@pytest.mark.parametrize(("use", "loaded"), [("", False), ("esp.load", True)])
def test_importing_the_facade_is_cheap(use: str, loaded: bool) -> None:
    """Neither numpy nor any package of ours comes with it; the first use of a name brings what that name needs."""
    script = f"import sys, espalier as esp\n{use}\nprint(not sys.modules.keys().isdisjoint(['numpy', 'accel']))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded)


def test_the_facade_is_typed() -> None:
    """``py.typed`` lies beside it, so that type checkers believe its annotations."""
    assert SOURCE.with_name("py.typed").is_file()
