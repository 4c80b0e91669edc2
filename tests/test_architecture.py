"""DESIGN, section 2: who may import whom. The rules are stated once, in `reason_against`, and each is seen to bite."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("accel", "sim", "rtl", "reports", "espalier")
MOST_LINES, MOST_LINES_OF_TESTS = 400, 450

# Where a distribution is not called as what it brings.
IMPORTED_AS = {
    "pillow": "PIL",
    "zigzag-dse": "zigzag",
    "pyserial": "serial",
    "systemrdl-compiler": "systemrdl",
    "peakrdl-ipxact": "peakrdl_ipxact",
}

# The files directly in accel/: each may import those before it.
NOUNS = (
    "errors",
    "limits",
    "files",
    "records",
    "archive",
    "progress",
    "budget",
    "plugins",
    "fixedpoint",
    "window",
    "functions",
    "layers",
    "network",
    "preprocessing",
    "map_orders",
    "row_order",
    "digest",
    "pattern",
    "kernel_patterns",
    "sparsity",
    "lanes",
    "encoding",
    "grouped_convolution",
    "signal",
    "scales",
    "memory_words",
    "array",
    "pruned",
    "program_layers",
    "program",
    "words",
    "split",
    "fusion",
    "lines",
    "segments",
    "combined",
    "walk",
    "places",
    "runs",
    "demand",
)
# Every dependency and where it may be imported: there, and in everything below it.
HOMES = {
    "numpy": HOUSE,
    "numba": ("sim",),
    "llvmlite": ("sim.kernels",),
    "msgspec": ("accel.records",),
    "amaranth": ("rtl",),
    "serial": ("rtl.fpga",),
    # the study and the bench play somebody who has a loop of his own
    "torch": ("accel.train", "reports.maintain.question", "reports.bench.plain_training", "reports.bench.training"),
    "tensorboard": ("accel.train",),
    "pooch": ("accel.interchange",),
    "PIL": ("accel.interchange", "reports.maintain.question"),
    "onnx": ("accel.interchange",),
    "sklearn": ("accel.interchange.data.make_digits",),
    "matplotlib": ("reports",),
    "click": ("reports",),
    "rich": ("reports",),
    "jinja2": ("reports",),
    "joblib": ("reports",),
    "platformdirs": ("reports",),
    "plotly": ("reports",),  # its file alone, which pages have inside; nothing of its Python
    "threadpoolctl": ("reports",),
    "distributed": ("reports",),
    "pandas": ("reports",),
    "scalesim": ("reports.studies.referees",),
    "zigzag": ("reports.studies.referees",),
    "h5py": ("reports.studies.mlperf_tiny.sample",),
    "scipy": ("reports.studies.predictor",),
    "systemrdl": ("rtl.bus.ipxact",),
    "peakrdl_ipxact": ("rtl.bus.ipxact",),
}
# The floors of reports, from the top: a room imports itself and the floors below it, nobody beside it.
FLOORS = (
    ("shell",),
    ("cli",),
    ("commands",),
    ("compare", "together"),
    ("studies",),
    ("report", "explore", "optimize", "bench", "maintain"),
    ("workflow",),
    ("shared",),
)


def below(module: str, home: str) -> bool:
    """Return whether the dotted `module` is `home` or in it."""
    return module == home or module.startswith(f"{home}.")


def is_noun(module: str) -> bool:
    """Return whether the dotted `module` is a file directly in accel/, or a name in one."""
    return module.startswith("accel.") and module.split(".")[1] in NOUNS


def reason_against(importer: str, imported: str) -> str | None:
    """Return why the module `importer` must not import `imported`, or None; both are dotted names."""
    package, top = importer.split(".")[0], imported.split(".")[0]
    if top in sys.stdlib_module_names:
        return None
    if top not in HOUSE:
        homes = HOMES.get(top)
        if homes is None:
            return f"{top} is no dependency of ours"
        if below(importer, "sim.kernels") and top not in ("numpy", "numba", "llvmlite"):
            return "kernels import numpy, numba and llvmlite only"
        return None if any(below(importer, home) for home in homes) else f"{top} belongs to {', '.join(homes)}"
    if top == "espalier":
        return None if package == "espalier" else "nobody imports the facade"
    if package == "espalier":
        return None
    if package == "reports":
        return reason_within_reports(importer, imported) if top == "reports" else None
    if importer == "accel" or is_noun(importer):
        if not is_noun(imported):
            return "a noun imports nouns only"
        order = NOUNS if importer == "accel" else NOUNS[: NOUNS.index(importer.split(".")[1])]
        return None if imported.split(".")[1] in order else "a noun imports the nouns above it only"
    if below(importer, "sim.kernels"):
        known = below(imported, "accel.fixedpoint") or below(imported, "sim.kernels")
        return None if known else "kernels know no objects: of ours they import accel.fixedpoint only"
    if is_noun(imported):
        return None
    if package == "accel":
        verb = ".".join(importer.split(".")[:2])
        return None if below(imported, verb) else "a verb imports nouns and its own package only"
    return None if top == package else f"{package} imports nouns and itself only"


def floor_of(module: str) -> int | None:
    """Return how many floors of reports are above the dotted `module`, or None if it is in no room."""
    room = [*module.split("."), ""][1]
    return next((floor for floor, rooms in enumerate(FLOORS) if room in rooms), None)


def reason_within_reports(importer: str, imported: str) -> str | None:
    """Return why a module of reports must not import another one, or None; both are dotted names."""
    here, there = floor_of(importer), floor_of(imported)
    if there is None or (here is None and importer != "reports"):
        return "everything in reports is in one of its rooms"
    if here is None or here < there or importer.split(".")[1] == imported.split(".")[1]:
        return None
    return "a room of reports imports itself and the floors below it"


def imports(source: str, importer: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything that `source` imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                parts = importer.split(".")
                base = parts[: len(parts) - node.level + is_package] + base
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def module_name(path: Path) -> str:
    """Return the dotted name of a file of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def violations(source: str, importer: str, is_package: bool = False) -> list[str]:
    """Return a line for each import of `source` that the design forbids."""
    if importer.startswith("accel.") and importer.count(".") == 1 and not is_package and not is_noun(importer):
        return [f"{importer}: is not in the list of nouns"]
    found = ((line, name, reason_against(importer, name)) for line, name in imports(source, importer, is_package))
    return [f"{importer}:{line} imports {name}: {reason}" for line, name, reason in found if reason]


def more_than_reexports(source: str) -> list[str]:
    """Return the lines of an ``__init__.py`` that are neither its docstring, nor imports, nor ``__all__``.

    Imports may stand in a ``try`` that ends in nothing but an error of ours: what to install.
    """
    return [f"line {node.lineno}" for node in ast.parse(source).body if not reexports(node)]


def reexports(node: ast.stmt) -> bool:
    """Return whether a statement of an ``__init__.py`` computes nothing."""
    if isinstance(node, ast.Try) and not node.orelse and not node.finalbody:
        handlers = [line for handler in node.handlers for line in handler.body]
        return all(map(reexports, node.body)) and all(isinstance(line, ast.Raise) for line in handlers)
    if isinstance(node, ast.Assign):
        return [getattr(target, "id", "") for target in node.targets] == ["__all__"]
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or isinstance(node, ast.Import | ast.ImportFrom)


FILES = sorted(path for package in HOUSE for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_every_import_follows_the_design(path: Path) -> None:
    """No file of the four packages has an arrow that section 2 does not draw."""
    assert violations(path.read_text(), module_name(path), path.name == "__init__.py") == []


def test_every_dependency_has_its_home() -> None:
    """What pyproject.toml declares is what may be imported: no dependency is undeclared, none is of no use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    ours = ("train", "tensorboard", "onnx", "cluster", "dataframe", "referees", "predictor", "board", "ipxact")
    used = [*project["dependencies"], *(text for extra in ours for text in extras[extra])]
    declared = {re.match(r"[\w-]+", text)[0] for text in used}  # type: ignore[index]
    others = {"six"}  # which one of them needs and does not say
    assert {IMPORTED_AS.get(name, name) for name in declared - others} == HOMES.keys() - {"sklearn"}
    assert any(text.startswith("scikit-learn") for text in extras["dev"])


def test_the_walk_sees_the_files() -> None:
    """Negative control of the walk: it meets files of which we know."""
    assert {"accel", "accel.errors", "accel.program", "sim.golden"} <= set(map(module_name, FILES))


FORBIDDEN = [
    # importer, what it says, the reason that must be named
    ("accel.network", "from accel.sparsity import Mask", "the nouns above it"),
    ("accel.network", "from accel import program", "the nouns above it"),
    ("accel.program", "from accel.prune import magnitude", "nouns only"),
    ("accel.program", "from sim import golden", "nouns only"),
    ("accel.program", "import reports.cli", "nouns only"),
    ("accel.network", "from . import sparsity", "the nouns above it"),
    ("accel.network", "import numba", "numba belongs to sim"),
    ("accel.colors", "", "not in the list of nouns"),
    ("accel", "from accel.prune import magnitude", "nouns only"),
    ("accel.prune.magnitude", "from accel.quantize import lower", "its own package"),
    ("accel.prune.magnitude", "from ..quantize import lower", "its own package"),
    ("accel.prune.magnitude", "from sim.engine import compile", "its own package"),
    ("accel.prune.magnitude", "import accel", "its own package"),
    ("accel.prune.magnitude", "from accel.pruning import x", "its own package"),  # no package whose name begins alike
    ("accel.prune.magnitude", "import torch", "torch belongs to accel.train"),
    ("accel.train.fit", "import pooch", "pooch belongs to accel.interchange"),
    ("accel.interchange.data.idx", "import sklearn.datasets", "sklearn belongs to"),
    ("sim.engine", "from accel.cost import memory", "sim imports nouns and itself"),
    ("sim.engine", "from rtl import core", "sim imports nouns and itself"),
    ("sim.engine", "import amaranth", "amaranth belongs to rtl"),
    ("sim.engine", "from accel import cost", "sim imports nouns and itself"),
    ("sim.kernels.conv", "from accel.program import Program", "kernels know no objects"),
    ("sim.kernels.conv", "from sim.engine import Engine", "kernels know no objects"),
    ("sim.kernels.conv", "import torch", "kernels import numpy, numba and llvmlite only"),
    ("rtl.core", "from sim import golden", "rtl imports nouns and itself"),
    ("rtl.core", "from accel.quantize import lower", "rtl imports nouns and itself"),
    ("rtl.core", "import numba", "numba belongs to sim"),
    ("rtl.core", "from reports import tables", "rtl imports nouns and itself"),
    ("accel.cost.memory", "import matplotlib.pyplot", "matplotlib belongs to reports"),
    ("accel.cost.memory", "import click", "click belongs to reports"),
    ("sim.engine", "from rich.progress import track", "rich belongs to reports"),
    ("rtl.core", "import jinja2", "jinja2 belongs to reports"),
    ("accel.program", "import espalier", "nobody imports the facade"),
    ("reports.cli", "from espalier.conformance import check_pattern", "nobody imports the facade"),
    ("espalier.conformance.check", "import click", "click belongs to reports"),
    ("reports.cli", "import torch", "torch belongs to accel.train"),
    ("reports.cli", "import polars", "no dependency of ours"),
    ("accel.program", "import pandas", "pandas belongs to reports"),
    ("accel.program", "import espalier", "nobody imports the facade"),
    ("sim.engine", "import espalier", "nobody imports the facade"),
    ("reports.cli", "from espalier import load", "nobody imports the facade"),
    ("reports.commands.size", "from reports.cli import main", "the floors below"),
    ("reports.report.page", "from reports.commands.options import option", "the floors below"),
    ("reports.explore.run", "from reports.report.measure import measure", "the floors below"),
    ("reports.explore.run", "from reports.compare.library import compare", "the floors below"),
    ("reports.bench.page", "from reports.studies import files", "the floors below"),
    ("reports.workflow.prune", "from reports.maintain import zoo", "the floors below"),
    ("reports.shared.output", "from reports.workflow.load import version_of", "the floors below"),
    ("reports.shared.output", "from reports import tables", "one of its rooms"),
    ("reports.tables", "from reports.shared import output", "one of its rooms"),
    ("accel.program", "def late():\n    import torch", "torch belongs to accel.train"),
    ("accel.program", "import importlib\nimportlib.import_module('sim.golden')", "nouns only"),
    ("accel.program", "if TYPE_CHECKING:\n    from sim import golden", "nouns only"),
]


@pytest.mark.parametrize(("importer", "source", "reason"), FORBIDDEN)
def test_a_forbidden_import_is_named(importer: str, source: str, reason: str) -> None:
    """Negative control of each rule: the checker names the file, the import and the reason, once."""
    (line,) = violations(source, importer)
    assert line.startswith(importer)
    assert reason in line


ALLOWED = [
    ("accel.program", "import json\nimport numpy as np\nfrom accel import archive, encoding\nfrom . import errors"),
    ("accel.prune.magnitude", "from accel.network import Network\nfrom accel.prune import rank\nfrom .rank import by"),
    ("accel.train.run", "import torch.nn.functional as F"),
    ("accel.interchange.fetch", "import pooch"),
    ("sim.engine", "from accel.program import Program\nfrom sim.kernels import conv\nimport numba"),
    (
        "sim.kernels.conv",
        "import numba\nimport numpy\nfrom accel.fixedpoint import round_shift\nfrom sim.kernels import x",
    ),
    ("espalier.conformance.check", "from accel.cost import cost_of\nfrom rtl.simulate import simulate"),
    ("rtl.core", "from amaranth.lib import wiring\nfrom accel.sparsity import LoopNest\nfrom rtl.memory import Bank"),
    ("reports.commands.size", "from reports.report.page import page\nfrom reports.shared import output"),
    ("reports.compare.page", "from reports.explore.results import Results"),
    ("reports.workflow.load", "from reports.workflow.prune import prune\nfrom reports.shared.progress import bar"),
    ("espalier", "from accel.program import Program\nfrom reports.cli import main\nimport sim.engine"),
    (
        "reports.cli",
        "import click\nfrom accel.cost import memory\nimport sim.engine\nfrom rtl import core\nimport rich",
    ),
]


@pytest.mark.parametrize(("importer", "source"), ALLOWED)
def test_an_allowed_import_passes(importer: str, source: str) -> None:
    """The arrows that the design draws are not taken for others."""
    assert violations(source, importer) == []


def test_relative_imports_of_a_package() -> None:
    """In ``__init__.py`` one dot is the package itself, in a file of it the package it is in."""
    assert list(imports("from . import a", "accel.prune", is_package=True)) == [(1, "accel.prune.a")]
    assert list(imports("from . import a", "accel.prune.b")) == [(1, "accel.prune.a")]
    assert list(imports("from ..errors import E", "accel.prune.b")) == [(1, "accel.errors.E")]


def too_long(source: str, most: int) -> bool:
    """Return whether a file of this text has more than `most` lines."""
    return len(source.splitlines()) > most


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_file_is_long(path: Path) -> None:
    """A file that grows past 400 lines wants to be two."""
    assert not too_long(path.read_text(), MOST_LINES)


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=module_name)
def test_no_test_is_long(path: Path) -> None:
    """A file of tests may have 50 lines more, of examples."""
    assert not too_long(path.read_text(), MOST_LINES_OF_TESTS)


def test_a_long_file_is_seen() -> None:
    """Negative control: the first line too many is one too many, with a line end or without."""
    assert [too_long("x\n" * lines, MOST_LINES) for lines in (MOST_LINES, MOST_LINES + 1)] == [False, True]
    assert too_long("x\n" * MOST_LINES + "x", MOST_LINES)


# The facade alone computes something: what a name stands for, when it is first used.
FACADE = ROOT / "espalier" / "__init__.py"
INITS = [path for path in FILES if path.name == "__init__.py" and path != FACADE]


@pytest.mark.parametrize("path", INITS, ids=module_name)
def test_init_only_reexports(path: Path) -> None:
    """An ``__init__.py`` says what a package offers and computes nothing."""
    assert more_than_reexports(path.read_text()) == []


GUARD_THAT_SAYS = (
    "try:\n    import torch\nexcept ImportError as error:\n    raise EspalierError('install it') from error\n"
)
GUARD_THAT_HIDES = "try:\n    import torch\nexcept ImportError:\n    torch = None"


@pytest.mark.parametrize(
    "line", ["x = 1", "def f(): ...", "class A: ...", "print()", "if x:\n    import a", "x += 1", GUARD_THAT_HIDES]
)
def test_more_than_reexports_is_seen(line: str) -> None:
    """Negative control: anything but imports and ``__all__`` is named with its line."""
    assert more_than_reexports(f'"""What it is."""\n\nfrom a import b\n\n__all__ = ["b"]\n{line}') == ["line 6"]
    assert more_than_reexports('"""What it is."""\n\nfrom a import b\n\n__all__ = ["b"]\n') == []


def test_an_optional_dependency_may_say_what_to_install() -> None:
    """The package of an optional dependency may turn a failed import into an error of ours."""
    assert more_than_reexports(GUARD_THAT_SAYS) == []
