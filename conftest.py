"""What pytest collects here, and how CI runs the rest of the tests after README's command."""

import importlib.util
from pathlib import Path

import pytest

NEED_TORCH = ["accel/train", "reports/maintain/zoo.py", "reports/workflow/recipes.py"]
collect_ignore = [] if importlib.util.find_spec("torch") else NEED_TORCH
collect_ignore += [] if importlib.util.find_spec("scalesim") else ["reports/studies/referees"]
collect_ignore += ["accel/interchange/data/make_digits.py"]  # needs scikit-learn, once, to repack the embedded images
collect_ignore_glob = ["docs/*.py"]  # they need MkDocs, and building the pages runs them
collect_ignore_glob += ["tests/support/*.py"]  # tests import these; one is of a package that is installed by its test


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options for a suite that is run in two environments."""
    parser.addoption("--passed", metavar="FILE", type=Path, help="write the names of all tests that passed to FILE")
    parser.addoption("--rest-of", metavar="FILE", type=Path, help="leave out the tests that FILE names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what passed before."""
    if file := config.getoption("--rest-of"):
        passed = set(file.read_text().splitlines())
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]


class _Passed:
    """Takes note of every test that passes, in the process that the others report to."""

    def __init__(self, file: Path) -> None:
        self.file, self.names = file, list[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.names.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.file.write_text("".join(f"{name}\n" for name in self.names))


def pytest_configure(config: pytest.Config) -> None:
    """Start taking note, but not in the processes that the tests are shared out to."""
    if (file := config.getoption("--passed")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Passed(file))
