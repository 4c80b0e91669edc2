"""Every public name of the packages with the first line of its docstring, to be read as a whole.

    python -m reports.maintain.names [PACKAGE ...]

A line has to stand alone: it says what the name is or gives without the code beside it.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = ("espalier", "accel", "sim", "rtl", "reports")
ROOT = Path(__file__).parents[2]
Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public_names(source: str) -> Iterator[tuple[str, str]]:
    r"""Yield every public function, class and method of a module with its line; what overrides another has none.

    >>> list(public_names('class A:\n    "One."\n    def b(self): ...\n    def _c(self): ...'))
    [('A', 'One.'), ('A.b', '')]
    """
    yield from _within(ast.parse(source).body, "")


def _within(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, Named) and not node.name.startswith("_"):
            yield prefix + node.name, first_line(node)
            if isinstance(node, ast.ClassDef):
                yield from _within(node.body, f"{prefix}{node.name}.")


def first_line(node: Named | ast.Module) -> str:
    """Return the first line of a docstring, empty where there is none."""
    return (ast.get_docstring(node) or "").partition("\n")[0]


def lines_of(package: str) -> Iterator[str]:
    """Yield a line for each module of a package, and below it one for each of its names."""
    for path in sorted((ROOT / package).rglob("*.py")):
        source = path.read_text()
        yield f"{path.relative_to(ROOT)}: {first_line(ast.parse(source))}"
        yield from (f"    {name}: {said}" for name, said in public_names(source) if said)


def main(packages: Sequence[str]) -> None:
    """Print the names of these packages, of all by default."""
    for package in packages or PACKAGES:
        print(*lines_of(package), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
