"""The commands under a design on a page: they are commands, with its own words."""

import shlex

import click
import pytest
from support.commandline import complaint, espalier
from support.explorations import results

from reports.cli import app
from reports.explore.page import browsing
from reports.workflow.building import building

OWN = {"weight_bits": 4, "signal_bits": 5, "output_lanes": 8, "pixel_lanes": 4}


def test_of_the_zoo() -> None:
    """A version that is shipped is quantised for its array and verified on it."""
    quantize, verify = building("digits", "kernel", None).format(**OWN).splitlines()
    assert quantize == (
        "espalier quantize digits --pattern kernel --weight-bits 4 --signal-bits 5 --lanes 8x4 -o design.espalier"
    )
    assert verify == "espalier verify design.espalier --array 8x4"
    mixed, _ = building("digits", "kernel", None, layers="conv1=3/4,fc=4").format(**OWN).splitlines()
    assert mixed == quantize.replace(" --lanes", " --layer-bits conv1=3/4,fc=4 --lanes")


def test_of_a_version_that_is_made() -> None:
    """It is pruned first, with what was asked for; a path of blanks is one word; images are told each time."""
    prune, quantize, verify = building("my net", "ikss", "my data", made=True, ratio=0.5, rounds=None).splitlines()
    assert shlex.split(prune) == [
        *("espalier", "prune", "my net", "--pattern", "ikss", "--ratio", "0.5", "--data", "my data", "-o"),
        "pruned.espalier",
    ]
    assert shlex.split(quantize)[:3] == ["espalier", "quantize", "pruned.espalier"]
    assert all(line.count("'my data'") == 1 for line in (prune, quantize, verify))


def test_options_exist() -> None:
    """Every option of the commands is one of theirs; negative control: another is not."""
    lines = building("digits", "kernel", "x", made=True, ratio=0.5, rounds=2, retrain=3).format(**OWN).splitlines()
    for line in lines:
        _, name, *words = shlex.split(line)
        command = app.get_command(click.Context(app), name)  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line
        assert "--nothing" not in known


def test_a_page_names_the_versions() -> None:
    """Each version of an exploration has commands of its own."""
    record = browsing(results()).record()
    assert set(record["commands"]) == {"dense", "kernel"}
    assert record["columns"][record["color"]]["name"] == "version"
    assert record["rows"][record["best"]][record["color"]] == results().recommended.version  # type: ignore[union-attr]


@pytest.mark.slow
def test_they_run(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand, one after another, they end with hardware that agrees; without the first the second complains."""
    monkeypatch.chdir(str(tmp_path))
    lines = building("digits", "kernel", None, made=True, ratio=0.5).format(**OWN).splitlines()
    assert complaint(*shlex.split(lines[1])[1:]).startswith("pruned.espalier: No such file")
    for line in lines:
        images = ["--images", "2"] if " verify " in line else []
        done = espalier(*shlex.split(line)[1:], *images)
        assert (done.status, done.err) == (0, "")
