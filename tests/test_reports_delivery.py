"""What is recommended lies in the folder, whole, and its script makes the same bytes again."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import espalier
from support.delivering import commands, redone
from support.own_images import drawn, network

from accel.cost import total_cycles
from accel.demand import array_for
from accel.interchange import zoo
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower_shapes, ordered_for
from reports.commands import explore as explore_command
from reports.commands import report as report_command
from reports.explore.results import Results
from reports.report.results import Results as ReportResults
from reports.workflow.delivery import FILES, NETWORK, PROGRAM, SCRIPT, Making, delivered
from reports.workflow.sources import source_of

IMAGES, LABELS = drawn(40)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes seconds and is no matter here."""
    for command in (explore_command, report_command):
        monkeypatch.setattr(command.figures, "render", lambda results: {})
        monkeypatch.setattr(command, "page", lambda results, drawn: b"")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a float network and images; nobody may change it."""
    folder = tmp_path_factory.mktemp("work")
    np.savez(folder / "bars.npz", images=IMAGES, labels=LABELS)
    assert espalier("import", network().save(folder / "bars.onnx"), "-o", folder / "net.espalier").status == 0
    return folder


def made(work: Path, command: str, out: Path, *more: object) -> Any:
    """Run `report` or `explore`, which find something, on a pruned version alone."""
    words = ("--patterns", "kernel", "--max-error", "60%", "--data", work / "bars.npz", "-o", out)
    if command == "explore":
        words = (*words, "--ratios", 0.5, "--retrain", 0, "--weight-bits", 4, "--signal-bits", 5, "--jobs", 1)
        words = (*words, "--arrays", "2x2")
    else:
        words = (*words, "--bits", 4, "--array", "2x2")
    return espalier(command, work / "net.espalier", *words, *more)


def again(work: Path, script: str, out: Path) -> dict[str, bytes]:
    """Do what a script says, and return what comes of it."""
    return redone(script, out, NETWORK=work / "net.espalier", DATA=work / "bars.npz")


@pytest.mark.parametrize("command", ["report", "explore"])
def test_the_same_bytes_again(work: Path, tmp_path: Path, command: str) -> None:
    """The script's commands give the very files beside it, whose digests it knows; what runs is what was recommended.

    Negative control: with one bit less there comes something else.
    """
    out = tmp_path / "out"
    done = made(work, command, out)
    assert done.status == 0, done.err
    assert all((out / name).exists() for name in FILES)
    script = (out / SCRIPT).read_text()
    found = again(work, script, tmp_path / "again")
    for name, content in found.items():
        assert content == (out / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() in script
    assert str(work) not in script.replace(str(work / "net.espalier"), "").replace(str(work / "bars.npz"), "")
    other = again(work, script.replace("--weight-bits 4", "--weight-bits 3"), tmp_path / "other")
    assert other[PROGRAM] != found[PROGRAM]
    assert f"Next: espalier verify {out}/program.espalier --array 2x2 --data {work / 'bars.npz'}" in done.out
    program, text = Program.load(out / PROGRAM), (out / "results.json").read_text()
    array = array_for(program, 2, 2)
    if command == "explore":
        chosen = Results.from_json(text).recommended
        assert chosen is not None
        assert (chosen.cycles, chosen.lanes) == (total_cycles(program, array), (2, 2))
        assert chosen.version == f"{PrunedNetwork.load(out / NETWORK).pattern} 0.5".replace("dense 0.5", "dense")
    else:
        best = ReportResults.from_json(text).recommended
        assert best is not None
        assert (best.cycles, best.pattern) == (total_cycles(program, array), program.pattern)


def test_nothing_of_an_earlier_answer_stays(work: Path, tmp_path: Path) -> None:
    """Where nothing fits any more there is nothing to build in the folder; what else is there stays."""
    out = tmp_path / "out"
    assert made(work, "explore", out).status == 0
    (out / "notes.txt").write_text("mine")
    assert made(work, "explore", out, "--lanes", 1).status == 1
    assert not any((out / name).exists() for name in FILES)
    assert (out / "notes.txt").exists()


@pytest.mark.slow
def test_the_hardware(work: Path, tmp_path: Path) -> None:
    """`--rtl` writes what `espalier rtl` writes of that Program on that array."""
    out = tmp_path / "out"
    assert made(work, "explore", out, "--rtl").status == 0
    script = (out / SCRIPT).read_text().replace("# espalier rtl", "espalier rtl")
    again(work, script, tmp_path / "again")
    built = {path.name: path.read_bytes() for path in (out / "rtl").iterdir()}
    assert built == {path.name: path.read_bytes() for path in (tmp_path / "again" / "rtl").iterdir()}
    assert "espalier.v" in built
    assert "is of an earlier run" in made(work, "explore", out).err


def test_a_version_of_the_zoo(tmp_path: Path) -> None:
    """The script takes a version of the zoo by its name, with no data to name."""
    words = ("--patterns", "kernel", "--bits", 4, "--max-error", "90%", "--images", 20, "-o", tmp_path)
    assert espalier("report", "digits", *words).status == 0
    script = (tmp_path / SCRIPT).read_text()
    pattern = Program.load(tmp_path / PROGRAM).pattern
    assert f"esp.load('digits', '{pattern}')" in script
    (quantize,) = commands(script, tmp_path)
    before = (tmp_path / PROGRAM).read_bytes()
    assert espalier(*quantize[1:]).status == 0
    assert (tmp_path / PROGRAM).read_bytes() == before


def test_the_order_is_that_of_the_array() -> None:
    """What is delivered takes the cycles that were costed: maps in the order for its lanes, of which sums may be split.

    Negative control: the order for one pixel lane takes more on eight of them, and the other way round.
    """
    pruned = zoo.load("lenet-300-100", "irregular")
    program, source = lower_shapes(pruned, Widths(4, 5)), source_of("digits", zoo.load("digits"), None, None)
    making = Making("lenet-300-100", "irregular")
    for lanes, other in (((8, 8), (8, 1)), ((4, 1), (4, 4))):
        taken = []
        for asked in (lanes, other):
            made = delivered(making, pruned, program, (4, 5, ""), asked, source, None, "a command")
            taken.append(total_cycles(made.program, array_for(made.program, *lanes)))
            assert f"--lanes {asked[0]}x{asked[1]} " in made.files()[SCRIPT].decode()
        ordered = ordered_for(program, lanes[0], split=lanes[1] > 1)
        assert taken[0] == total_cycles(ordered, array_for(ordered, *lanes)) < taken[1]
