"""Waveforms of a simulation: every port of the array over the whole run, as VCD or FST, of a failure too."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.commandline import espalier
from support.programs import PIXEL, mac_layer, program
from support.rtl_builds import Build, write
from support.rtl_layers import probe
from test_rtl_lint import SMALL

from accel.network import INPUT
from accel.window import Window
from rtl import simulators

PERIOD = 10_000  # of the clock, in units of the files: 10 ns in ps
FST_HEADER, FST_BYTES = 0, 329  # the type of an FST's first block, and how long it is by the format


@dataclass(frozen=True)
class Vcd:
    """What a file has of one scope: bits of each signal and how often it changes; and the last moment of the file."""

    bits: dict[str, int]
    changes: dict[str, int]
    end: int


def read_vcd(path: Path, scope: str) -> Vcd:
    """Read the signals that lie directly in a scope of that name."""
    scopes: list[str] = []
    marks: dict[str, list[str]] = {}
    bits: dict[str, int] = {}
    counts: dict[str, int] = {}
    end = 0
    for line in path.read_text().splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "$scope":
            scopes.append(words[2])
        elif words[0] == "$upscope":
            scopes.pop()
        elif words[0] == "$var" and scopes and scopes[-1] == scope:
            marks.setdefault(words[3], []).append(words[4])
            bits[words[4]] = int(words[2])
        elif line[0] == "#":
            end = int(line[1:])
        elif line[0] in "01xzb":
            mark = words[1] if line[0] == "b" else line[1:].strip()
            counts[mark] = counts.get(mark, 0) + 1
    return Vcd(bits, {name: counts.get(mark, 0) for mark, names in marks.items() for name in names}, end)


def fst_end(path: Path) -> int:
    """Return the last moment of an FST file, whose header is type, length, both moments, Euler's number."""
    kind, length, first, last = struct.unpack(">BQQQ", path.read_bytes()[:25])
    assert (kind, length, first) == (FST_HEADER, FST_BYTES, 0)
    assert struct.unpack("<d", path.read_bytes()[25:33]) == (np.e,)
    return int(last)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Build, Path]]:
    """Return what compiles a build of one Program for waveforms, once each."""
    made: dict[tuple[str, str], tuple[Build, Path]] = {}

    def build(simulator: str, suffix: str) -> tuple[Build, Path]:
        if shutil.which(simulator) is None:
            pytest.skip(f"needs Debian's package {simulator}")
        if (simulator, suffix) not in made:
            folder = tmp_path_factory.mktemp(simulator)
            waves = folder / f"some waves{suffix}"
            built = write(folder, [probe()], SMALL, None)
            simulators.build(folder, simulator, waves)
            made[simulator, suffix] = built, waves
        return made[simulator, suffix]

    return build


SIMULATORS = ["iverilog", pytest.param("verilator", marks=pytest.mark.slow)]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_vcd(simulator: str, traced: Callable[[str, str], tuple[Build, Path]]) -> None:
    """All ports are there with their bits; `busy` rises and falls with each image; the file covers all cycles."""
    build, waves = traced(simulator, ".vcd")
    assert simulators.run(build.folder, simulator, waves=waves) == build.expected
    ports = json.loads((build.folder / "manifest.json").read_text())["ports"]
    found = read_vcd(waves, "dut")
    assert {name: found.bits[name] for name in ports} == {name: port["bits"] for name, port in ports.items()}
    assert found.changes["busy"] == 1 + 2 * build.expected.images
    assert found.changes["clk"] >= 2 * build.expected.cycles
    assert found.end >= build.expected.cycles * PERIOD
    assert "busy" not in read_vcd(waves, "nothing").bits  # the control


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_fst(simulator: str, traced: Callable[[str, str], tuple[Build, Path]]) -> None:
    """The file's header is that of an FST, and covers all cycles."""
    build, waves = traced(simulator, ".fst")
    assert simulators.run(build.folder, simulator, waves=waves) == build.expected
    assert fst_end(waves) >= build.expected.cycles * PERIOD


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_of_a_failure(simulator: str, traced: Callable[[str, str], tuple[Build, Path]], tmp_path: Path) -> None:
    """Where a comparison fails the file is whole too; without the option there is none."""
    build, _ = traced(simulator, ".vcd")
    build.edit(tmp_path, "expected.hex", build.line_of_row(0, 1, 2), lambda row: row ^ 1)
    waves = tmp_path / "wrong.vcd"
    assert simulators.run(tmp_path, simulator).errors == 1
    assert not waves.exists()
    assert simulators.run(tmp_path, simulator, waves=waves).errors == 1
    assert read_vcd(waves, "dut").changes["busy"] == 1 + 2 * build.expected.images


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a Program of one layer."""
    weights = np.random.default_rng(0).integers(-7, 8, (2, 4, 1))
    path = tmp_path_factory.mktemp("saved") / "tiny.espalier"
    program([mac_layer("conv", INPUT, weights, PIXEL, window=Window.square(1))], (4, 1, 1)).save(path)
    return path


class TestCommand:
    @pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
    def test_a_file(self, saved: Path, tmp_path: Path) -> None:
        """The file is where it was asked for, and nothing else."""
        words = ("--array", "1x1", "--images", 1, "--simulator", "iverilog")
        done = espalier("verify", saved, *words, "--waves", tmp_path / "tiny.fst")
        assert done.status == 0
        assert [path.name for path in tmp_path.iterdir()] == ["tiny.fst"]
        assert fst_end(tmp_path / "tiny.fst") > 0

    @pytest.mark.parametrize(
        ("name", "simulator", "line"),
        [
            ("waves.txt", "iverilog", r"--waves .*waves\.txt: expected a file that ends in \.vcd or \.fst"),
            ("waves", "verilator", r"--waves .*waves: expected a file that ends in \.vcd or \.fst"),
            ("waves.vcd", "amaranth", r"--waves: needs --simulator verilator or iverilog"),
            ("missing/waves.vcd", "iverilog", r"cannot write to .*waves\.vcd: No such file or directory"),
        ],
    )
    def test_refused(self, name: str, simulator: str, line: str, saved: Path, tmp_path: Path) -> None:
        """One line, exit status 2, before anything is made."""
        words = ("--array", "1x1", "--images", 1, "--simulator", simulator, "--waves", tmp_path / name)
        done = espalier("verify", saved, *words)
        assert (done.status, done.out) == (2, "")
        assert re.fullmatch(rf"espalier: {line}\n", done.err)
        assert [*tmp_path.iterdir()] == []
