"""`espalier size` in memories too small for whole layers: tiles, curves, what is marked as no hardware's, refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import Outcome, complaint, contents, espalier
from support.mobile import quantized, resnet8

from accel.array import MacArray
from accel.cost import Estimate, Invariants, Limits, cost_of, estimate_of, load_technology
from accel.cost.residency import Residents
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from reports.workflow.memory_curve import TILED, WHOLE, MemoryCurve, capacity, curve_of, memory_short

KIB = 8192


@pytest.fixture(scope="module")
def program() -> Program:
    """Return ResNet-8 at 8 bits: 76 KiB of parameters, 48 KiB of signals."""
    return quantized(resnet8(np.random.default_rng(0)), np.random.default_rng(1))


@pytest.fixture(scope="module")
def path(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its file."""
    path = tmp_path_factory.mktemp("tiles") / "resnet8.espalier"
    program.save(path)
    return path


def sized(path: Path, out: Path, *arguments: object) -> tuple[Outcome, dict[str, Any]]:
    """Return what `size` printed and wrote, where it fits."""
    done = espalier("size", path, *arguments, "--json", out / "size.json")
    assert (done.status, done.err) == (0, "")
    return done, json.loads((out / "size.json").read_text())


def on_array(program: Program, rate: float | None) -> tuple[Invariants, Estimate]:
    """Return the whole of a Program on an array of 8 x 8 lanes."""
    invariants, limits = Invariants(program), Limits(dram_bytes_per_s=rate)
    array = array_for(program, 8, 8)
    return invariants, estimate_of(invariants, invariants.words, array, load_technology(), limits)


class TestCurve:
    def test_the_commands_numbers(self, path: Path, program: Program, tmp_path: Path) -> None:
        """The record is the plan of the library in each memory of the range; another memory gives other numbers."""
        done, record = sized(path, tmp_path, "--sram", "8KiB..128KiB")
        rooms = [8, 12, 16, 24, 32, 48, 64, 96, 128]
        residents, points = Residents.of(program, MacArray(), cost_of(program).layers), record["tiling"]["points"]
        assert [point["room_bits"] for point in points] == [room * KIB for room in rooms]
        plans = [residents.plan(room * KIB) for room in rooms[:-1]]
        assert [point["dram_bits"] for point in points[:-1]] == [plan.dram_bits for plan in plans]
        assert [row["name"] for row in points[0]["layers"]] == [layer.name for layer in plans[0].layers]
        assert points[0]["dram_bits"] > points[1]["dram_bits"]  # negative control
        for point, line in zip(points, table(done, "KiB"), strict=True):
            assert line[:3] == [
                f"{x / KIB:.2f}" if x else point["needs"] for x in (point["room_bits"], 0, point["dram_bits"])
            ]

    def test_what_our_hardware_does_not_run_is_marked(self, path: Path, program: Program, tmp_path: Path) -> None:
        """From the memory on in which whole layers fit, and only there, a point is our hardware's."""
        whole = cost_of(program).memory_bits
        done, record = sized(path, tmp_path, "--sram", "64KiB..256KiB")
        marks = [(x["needs"], x["on_our_hardware"]) for x in record["tiling"]["points"]]
        assert marks == [(WHOLE, True) if k * KIB >= whole else (TILED, False) for k in (64, 96, 128, 192, 256)]
        assert "an estimate: our hardware runs whole layers, and neither tiles nor groups" in done.out
        single = sized(path, tmp_path, "--sram", "64KiB")[0].out.splitlines()[-1]
        assert single.startswith("fits in tiles: 64.00 KiB, ")
        assert single.endswith("; an estimate: our hardware runs whole layers, and neither tiles nor groups")
        assert "fits in tiles" not in sized(path, tmp_path, "--sram", "256KiB")[0].out  # negative control

    def test_each_layer_has_a_row(self, path: Path, tmp_path: Path) -> None:
        """A single memory: the tile of each layer, what moves of it, and the sum of all."""
        done, record = sized(path, tmp_path, "--sram", "16KiB", "--array", "8x8", "--dram-bandwidth", "100MB/s")
        (point,) = record["tiling"]["points"]
        rows = {row[0]: row for row in table(done, "layer") if len(row) == 9}
        for layer in point["layers"]:
            tile, row = layer["tile"], rows[layer["name"]]
            told = f"{tile['rows']} x {tile['outputs']} x {tile['maps']}" if tile else f"group {layer['group']}"
            assert row[1] == told
            assert row[7:] == [f"{layer['dram_bits'] / KIB:.2f}", f"{layer['stall_cycles']:,}"]
            moved = sum(layer[f"{what}_bits"] for what in ("input", "weight", "sum", "output"))
            assert moved == layer["dram_bits"]
        assert {bool(layer["group"]) for layer in point["layers"]} == {True, False}  # some run at once, some alone
        assert point["dram_bits"] == point["image_bits"] + sum(layer["dram_bits"] for layer in point["layers"])
        assert rows["all"][7] == f"{point['dram_bits'] / KIB:.2f}"

    def test_the_smallest_memory(self, path: Path, program: Program, tmp_path: Path) -> None:
        """It is told whether a memory is given or not; there it works, and one bit below it is refused in a line."""
        least = Residents.of(program, MacArray(), cost_of(program).layers).least_bits
        done, record = sized(path, tmp_path)
        assert record["tiling"]["least_bits"] == least
        assert (record["tiling"]["points"], record["fits"]) == ([], None)
        assert f"the smallest memory that works: {least / KIB:.2f} KiB, in tiles" in done.out
        assert sized(path, tmp_path, "--sram", f"{least}b")[1]["fits"] is True
        line = complaint("size", path, "--sram", f"{least - 1}b")
        words = f"needs {least:,} bits ({least / KIB:.2f} KiB) in the smallest tiles, not {least - 1:,}"
        assert line == f"resnet8: {words}"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("4MiB..64KiB", "--sram 4MiB..64KiB: must ascend, such as 64KiB..4MiB"),
            ("64KiB..64KiB", "--sram 64KiB..64KiB: must ascend, such as 64KiB..4MiB"),
            ("0b..64KiB", "--sram 0b..64KiB: must ascend, such as 64KiB..4MiB"),
            ("x..y", "--sram x..y: expected a range of sizes such as 64KiB..4MiB"),
            ("64KiB..", "--sram 64KiB..: expected a range of sizes such as 64KiB..4MiB"),
            ("1KiB..2KiB..4KiB", "--sram 1KiB..2KiB..4KiB: expected a range of sizes such as 64KiB..4MiB"),
            ("1b..64KiB", "resnet8: needs "),
        ],
    )
    def test_refusals(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
        """One line, exit status 2, and nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert complaint("size", path, "--sram", text, "--json", "x.json").startswith(words)
        assert contents(tmp_path) == {}


class TestOnAnArray:
    def curve(self, program: Program, rate: float | None, *kib: int) -> MemoryCurve:
        """Return the curve on an array of 8 x 8 lanes."""
        invariants, whole = on_array(program, rate)
        return curve_of(program, cost_of(program), [x * KIB for x in kib], whole, invariants)

    def test_what_is_recommended(self, program: Program) -> None:
        """It is the smallest of the memories with the least energy times area; where nothing is known there is none."""
        curve = self.curve(program, 1e9, 16, 64, 512, 1024)
        merits = [point.on_array.area_mm2 * (point.joules or 0) for point in curve.points if point.on_array]  # type: ignore[operator]
        assert curve.best is curve.points[merits.index(min(merits))]
        assert merits[2] == merits[3] < merits[0]  # whole layers, whose memory is no larger than they need
        assert curve_of(program, cost_of(program), [64 * KIB]).best is None

    def test_blocks_that_are_short(self, path: Path, program: Program, tmp_path: Path) -> None:
        """A chip with too few blocks for whole layers has its memory for tiles; multipliers are not made by tiles."""
        (tmp_path / "small.toml").write_text(
            '[small]\nabout = "a small chip"\nmultipliers = 100\n'
            '[[small.macro]]\nname = "R"\nshapes = [[1024, 16]]\navailable = 20\nsource = "x"\n'
        )
        done, record = sized(path, tmp_path, "--technology", tmp_path / "small.toml")
        (point,) = record["tiling"]["points"]
        assert point["room_bits"] == 20 * 1024 * 16 == capacity(load_technology(tmp_path / "small.toml"))
        assert (record["fits"], record["estimate"]["fits"]) == (True, False)
        assert "whole layers: room binds: " in done.out
        wide = espalier("size", path, "--technology", tmp_path / "small.toml", "--array", "16x16")
        assert (wide.status, wide.out.splitlines()[-1][:14]) == (1, "does not fit: ")

    def test_what_is_short(self, program: Program) -> None:
        """Too little memory is what tiles are for; where nothing is short, or multipliers are, they are not."""
        _, whole = on_array(program, None)
        assert not memory_short(whole)
        assert memory_short(replace(whole, limits=Limits(sram_bits=1)))
        few = replace(whole.technology, multipliers=1)
        assert not memory_short(replace(whole, limits=Limits(sram_bits=1), technology=few))
        assert capacity(whole.technology) is None

    def test_streamed_weights_that_fit(self, path: Path, tmp_path: Path) -> None:
        """Asked to stream, it is that what fits, and no tiles are told; in less memory there are."""
        arguments = ("--array", "8x8", "--dram-bandwidth", "100MB/s", "--stream")
        bits = sized(path, tmp_path, *arguments)[1]["estimate"]["memory_bits"]
        done, record = sized(path, tmp_path, *arguments, "--sram", f"{bits}b")
        assert (record["estimate"]["weights"], record["tiling"]["points"]) == ("streamed", [])
        assert done.out.splitlines()[-1].startswith("fits: ")
        done, record = sized(path, tmp_path, *arguments, "--sram", f"{bits - 1}b")
        assert record["tiling"]["points"][0]["needs"] == TILED
        assert done.out.splitlines()[-1].startswith("fits in tiles: ")

    def test_too_small(self, program: Program) -> None:
        """Of several memories one that is too small is refused, too."""
        with pytest.raises(EspalierError, match=r"^resnet8: needs .* bits \(0\.30 KiB\) in the smallest tiles, not 8$"):
            curve_of(program, cost_of(program), [64 * KIB, 8])


def table(done: Outcome, head: str) -> list[list[str]]:
    """Return the cells of the last table whose first column is called `head`."""
    lines = done.out.splitlines()
    begin = max(index for index, line in enumerate(lines) if line.lstrip("┃ ").startswith(f"{head} "))
    rows = []
    for line in lines[begin + 1 :]:
        if line.startswith("└"):
            break
        if line.startswith("│"):
            rows.append([cell.strip() for cell in line.strip("│").split("│")])
    return rows
