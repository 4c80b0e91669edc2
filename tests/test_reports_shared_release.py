"""The release is that which is installed; a clone that is not installed says its own, in every command."""

import tomllib
from importlib import metadata

import pytest
from support.commandline import ROOT, espalier

from accel.interchange import zoo
from accel.quantize import Widths, lower_shapes
from reports.shared.release import DISTRIBUTION, release
from reports.workflow.delivery import SCRIPT, Making, delivered
from reports.workflow.sources import source_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
known = metadata.version


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from a clone alone: its dependencies are installed, and it is not."""

    def version(name: str) -> str:
        if name == DISTRIBUTION:
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)


def script() -> str:
    """Return the script that a recommendation of a version of the zoo leaves."""
    pruned = zoo.load("digits")
    made = lower_shapes(pruned, Widths(4, 4)), (4, 4, "")
    source = source_of("digits", pruned, None, None)
    return (
        delivered(Making("digits", "dense"), pruned, *made, (2, 2), source, None, "a command").files()[SCRIPT].decode()
    )


def test_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed release goes before what the files of a clone say."""
    assert PROJECT["name"] == DISTRIBUTION
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.9")
    assert release() == "0.0.9" != PROJECT["version"]
    assert "# Of Espalier 0.0.9, by: a command\n" in script()
    assert espalier("--version").out == "espalier, version 0.0.9\n"


@pytest.mark.usefixtures("uninstalled")
def test_a_clone_alone() -> None:
    """Nothing ends in an error where only the folder of the clone is on Python's path."""
    assert release() == PROJECT["version"]
    assert f"# Of Espalier {PROJECT['version']}, by: a command\n" in script()
    assert espalier("--version").out == f"espalier, version {PROJECT['version']}\n"
    done = espalier("info")
    assert (done.status, done.err) == (0, "")
    assert f"espalier-hw {PROJECT['version']}" in done.out.splitlines()
