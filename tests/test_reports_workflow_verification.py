"""Where `espalier verify` says that a build went wrong: in a line, in JSON, and what it refuses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.commandline import complaint, espalier
from test_reports_commands_several import NARROW, WIDE

from accel.cost import total_cycles
from accel.demand import array_for
from reports.commands.schemas import schemas
from reports.workflow.verification import KIND
from rtl import simulate
from rtl.layout import Layout, Target, fields_of

LANES = ("--array", "2x2")
ARRAY = array_for([NARROW, WIDE], 2, 2)
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the files of both Programs."""
    folder = tmp_path_factory.mktemp("saved")
    for one in (NARROW, WIDE):
        one.save(folder / f"{one.name}.espalier")
    return [folder / "narrow.espalier", folder / "wide.espalier"]


@pytest.fixture(scope="module")
def build(saved: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a build of both, each with two images."""
    out = tmp_path_factory.mktemp("built") / "build"
    assert espalier("rtl", *saved, *LANES, "--out", out).status == 0
    return out


def faulty(build: Path, folder: Path, program: int, target: Target, flips: int) -> Path:
    """Return a copy of the build in which bits of a Program's first word of a memory are flipped."""
    shutil.copytree(build, folder)
    lines = (folder / "load.hex").read_text().split()
    words = [int((folder / "jobs.hex").read_text().split()[0], 16), len(lines)]
    first, end = (0, words[0]) if program == 0 else tuple(words)
    place = next(x for x in range(first, end) if int(lines[x], 16) & 7 == target)
    word = fields_of(Layout(ARRAY).load)[2]["offset"]
    lines[place] = f"{int(lines[place], 16) ^ flips << int(str(word)):0{len(lines[place])}x}"
    (folder / "load.hex").write_text("\n".join(lines) + "\n")
    return folder


def record(path: Path) -> dict[str, Any]:
    """Return a file of results that fits its schema."""
    found: dict[str, Any] = json.loads(path.read_text())
    Draft202012Validator(schemas()[f"{KIND.name}-{KIND.version}.json"]).validate(found)
    return found


class TestCommand:
    @needs_icarus
    def test_a_build_as_it_lies(self, saved: list[Path], build: Path, tmp_path: Path) -> None:
        """A bias of the second Program is another: a line names it, image, layer and place; so does the JSON."""
        wrong = faulty(build, tmp_path / "wrong", 1, Target.CONSTANTS, 64)
        how = ("--simulator", "iverilog", "--build", wrong, "--json", tmp_path / "a.json")
        done = espalier("verify", *saved, *LANES, *how)
        assert done.status == 1
        (line,) = (x for x in done.out.splitlines() if "first wrong tensor" in x)
        assert re.fullmatch(
            r"wide, image 0: first wrong tensor pool: layer conv, map 0, row \d+, column \d+, cycle \d+: "
            r"got -?\d+, expected -?\d+; [\d,]+ of its [\d,]+ words differ",
            line,
        )
        found = record(tmp_path / "a.json")
        (fault,) = found["faults"]
        assert {name: fault[name] for name in ("program", "image", "layer", "tensor", "map")} == {
            "program": "wide",
            "image": 0,
            "layer": "conv",
            "tensor": "pool",  # which the drain of the layer writes
            "map": 0,
        }
        assert fault["seen"] != fault["expected"]
        assert f"cycle {fault['cycle']:,}: got {fault['seen']}, expected {fault['expected']};" in line
        narrow, wide = found["verdicts"]
        assert (narrow["differences"], wide["differences"] > 0) == (0, True)
        assert (found["stall"], found["accesses"]) == (0, [])
        assert "first wrong" not in (wrong / "manifest.json").read_text()

    @needs_icarus
    def test_a_build_without_a_fault(self, saved: list[Path], build: Path, tmp_path: Path) -> None:
        """Negative control: nothing is located, and the folder has what it had."""
        before = {path.name: path.read_bytes() for path in build.iterdir()}
        how = ("--simulator", "iverilog", "--stall", 0.3, "--build", build, "--json", tmp_path / "a.json")
        done = espalier("verify", *saved, *LANES, *how)
        assert (done.status, done.err) == (0, "")
        assert "first wrong" not in done.out
        found = record(tmp_path / "a.json")
        assert (found["faults"], found["stall"]) == ([], 0.3)
        cycles = [verdict["cycles"] - verdict["stalls"] for verdict in found["verdicts"]]
        assert cycles == [2 * total_cycles(one, ARRAY) for one in (NARROW, WIDE)]
        assert {path.name: path.read_bytes() for path in build.iterdir()} == before

    def test_in_amaranth(self, saved: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same of a simulation in Python: a memory that is assembled wrongly is located in its layer."""
        right = simulate.assemble

        def wrong(*arguments: Any) -> Any:
            image = right(*arguments)
            image.constants[-1]["bias"] ^= 1  # of the last score
            return image

        monkeypatch.setattr(simulate, "assemble", wrong)
        done = espalier("verify", saved[0], *LANES, "--images", 1, "--json", tmp_path / "a.json")
        assert done.status == 1
        (fault,) = record(tmp_path / "a.json")["faults"]
        last = NARROW.shapes["scores"][0] - 1
        assert (fault["layer"], fault["map"], fault["row"], fault["column"]) == ("scores", last, 0, 0)
        assert (fault["differing"], abs(fault["seen"] - fault["expected"]), fault["address"]) == (1, 1, None)
        assert f"layer scores, map {last}, row 0, column 0, cycle {fault['cycle']:,}: got " in done.out

    @pytest.mark.parametrize(
        ("how", "line"),
        [
            (("--simulator", "amaranth"), "--build: needs --simulator verilator or iverilog"),
            (("--simulator", "iverilog", "--counters"), "--build: has no counters, which --counters reads"),
            (
                ("--simulator", "iverilog", "--images", 3),
                r".*build: is no build of this array for these Programs and as many images: see manifest\.json",
            ),
        ],
    )
    def test_refused(self, how: tuple[object, ...], line: str, saved: list[Path], build: Path) -> None:
        """One line, and exit status 2."""
        assert re.fullmatch(line, complaint("verify", *saved, *LANES, *how, "--build", build))

    def test_no_build(self, saved: list[Path], tmp_path: Path) -> None:
        """A folder that lacks a file is told, with its name."""
        line = complaint("verify", *saved, *LANES, "--simulator", "iverilog", "--build", tmp_path)
        assert line == f"cannot read {tmp_path / 'espalier.v'}: No such file or directory"
