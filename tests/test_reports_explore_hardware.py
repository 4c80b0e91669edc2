"""`espalier explore --hardware-only`: designs without data or values, equal to what `size` says of each of them."""

import csv
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from jsonschema import Draft202012Validator
from support.commandline import complaint, espalier
from support.onnx_graphs import Drawing

from accel.cost import estimate, load_technology
from accel.demand import array_for
from accel.quantize import Widths, lower_shapes, ordered_for
from reports.commands.schemas import schemas
from reports.explore import hardware
from reports.explore.hardware import KIND, Design
from reports.workflow.load import sizeable

ARRAYS, BITS = "2x2,4x1,4x4", "4,8"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small residual network without values."""
    g = Drawing(1, 3, 8, 8)
    first = g.conv(4, 3, 3, pads=[1, 1, 1, 1])
    g.node("Relu")
    second = g.conv(4, 4, 3, pads=[1, 1, 1, 1])
    g.node("Add", first, second)
    g.node("Sigmoid")
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.gemm(5, 4)
    model = g.model()
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    path = tmp_path_factory.mktemp("hardware") / "bare.onnx"
    onnx.save(model, path)
    return path


def explored(network: object, out: Path, *more: object) -> tuple[int, dict[str, Any], str]:
    """Return exit status, what was written and what was told."""
    asked = ("--arrays", ARRAYS, "--weight-bits", BITS, "--signal-bits", "5", "--json", out / "found.json")
    done = espalier("explore", network, "--hardware-only", *asked, "--csv", out / "found.csv", *more)
    return done.status, json.loads((out / "found.json").read_text()), done.out


@pytest.mark.parametrize("network", ["bare", "digits"])
def test_designs_are_what_size_says(network: str, bare: Path, tmp_path: Path) -> None:
    """Each design is the estimate of the Program of shapes on the array that is just large enough for it."""
    status, record, _ = explored(bare if network == "bare" else network, tmp_path)
    assert status == 0
    assert len(record["designs"]) == 3 * 2
    pruned = sizeable(str(bare) if network == "bare" else network, None)
    for row in record["designs"]:
        program = lower_shapes(pruned, Widths(row["weight_bits"], row["signal_bits"]))  # type: ignore[arg-type]
        program = ordered_for(program, row["output_lanes"], split=row["pixel_lanes"] > 1)
        array = array_for(program, row["output_lanes"], row["pixel_lanes"])
        found = estimate(program, array, load_technology())
        assert (row["memory_bits"], row["cycles"]) == (found.memory_bits, found.cycles)
        assert row["interval_cycles"] == found.interval_cycles
        assert row["multipliers"] == found.multipliers
        assert row["energy_pj"] == round(1e12 * found.energy.total_joules)  # type: ignore[union-attr]
    narrow, wide = ([x["energy_pj"] for x in record["designs"] if x["weight_bits"] == bits] for bits in (4, 8))
    assert all(less < more for less, more in zip(narrow, wide, strict=True))  # negative control: words matter


def test_the_best_of_each_setting(tmp_path: Path) -> None:
    """One of each version and pair of word lengths, within all limits; no other has less of what the goal counts."""
    patterns = ("--pattern", "dense,kernel", "--goal", "fast", "--dsp", 12)
    status, record, told = explored("digits", tmp_path, *patterns)
    assert status == 0
    settings = {(x["version"], x["weight_bits"], x["signal_bits"]) for x in record["designs"]}
    assert settings == {(version, bits, 5) for version in ("dense", "kernel") for bits in (4, 8)}
    for best in record["best"]:
        others = [x for x in record["designs"] if Design(**x).setting == Design(**best).setting]
        assert best in others
        within = [x for x in others if x["multipliers"] <= 12]
        assert best["cycles"] == min(x["cycles"] for x in within)
        binds = min(x["cycles"] for x in others) < best["cycles"]
        assert binds == (best["weight_bits"] == 8)  # two narrow lanes share a multiplier
    assert len(record["best"]) == 4
    assert f"{record['best'][0]['cycles']:,}" in told
    assert record["command"] == (
        "espalier explore digits --dsp 12 --goal fast --pattern dense,kernel --weight-bits 4,8 --signal-bits 5 "
        f"--arrays {ARRAYS} --hardware-only"
    )
    rows = [*csv.DictReader((tmp_path / "found.csv").read_text().splitlines())]
    assert [row["cycles"] for row in rows] == [str(x["cycles"]) for x in record["designs"]]
    assert sum(row["best"] == "True" for row in rows) == 4


def test_workers_find_the_same(monkeypatch: pytest.MonkeyPatch, bare: Path, tmp_path: Path) -> None:
    """Many designs are made some arrays at a time, by whoever is free; they are the same in the same order."""
    _, alone, _ = explored(bare, tmp_path)
    calls: list[int] = []
    again = hardware._found_again
    monkeypatch.setattr(hardware, "FEW", 1)
    monkeypatch.setattr(hardware, "AT_ONCE", 2)
    monkeypatch.setattr(hardware, "_found_again", lambda *call: calls.append(1) or again(*call))
    _, shared, _ = explored(bare, tmp_path, "--jobs", 1)
    assert len(calls) == 2  # of three arrays
    assert shared == alone


def test_weights_may_come_from_dram(tmp_path: Path) -> None:
    """With a bandwidth every design stands there twice; streamed weights need less memory and more time."""
    _, record, _ = explored("digits", tmp_path, "--dram-bandwidth", "100MB/s")
    resident, streamed = ([x for x in record["designs"] if x["streamed"] == way] for way in (False, True))
    assert len(resident) == len(streamed) == 6
    for here, there in zip(resident, streamed, strict=True):
        assert there["memory_bits"] < here["memory_bits"]
        assert there["cycles"] > here["cycles"]


def test_nothing_fits(tmp_path: Path) -> None:
    """The exit status is 1 and the table says so."""
    status, record, told = explored("digits", tmp_path, "--sram", "1KiB")
    assert (status, record["best"]) == (1, [])
    assert told.count("nothing fits") == 2


def test_the_record_is_as_its_schema_says(bare: Path, tmp_path: Path) -> None:
    """Every field, and no other record."""
    _, record, _ = explored(bare, tmp_path)
    schema = Draft202012Validator(schemas()[f"{KIND.name}-{KIND.version}.json"])
    assert [*schema.iter_errors(record)] == []
    assert [*schema.iter_errors(record | {"designs": [{"version": "dense"}]})]  # negative control


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--max-error", "2%"), "--max-error: with --hardware-only nothing is measured, no errors are known"),
        (("--ratios", "0.5"), "--ratios: with --hardware-only nothing is measured, no errors are known"),
        (("--goal", "accurate"), "--goal accurate: with --hardware-only nothing is measured, no errors are known"),
        (("--rtl",), "--rtl: says nothing with --hardware-only, which measures and makes nothing"),
        (("--data", "digits"), "--data: says nothing with --hardware-only, which measures and makes nothing"),
        (("lenet5",), "--hardware-only: takes one network, 2 are named"),
    ],
)
def test_what_is_refused(more: tuple[str, ...], line: str) -> None:
    """What would be measured or made, and several networks: one line."""
    assert complaint("explore", "digits", "--hardware-only", *more) == line


def test_a_program_and_a_pattern_without_values_are_refused(bare: Path, tmp_path: Path) -> None:
    """A Program has its word lengths already; which weights go depends on values."""
    path = tmp_path / "digits.espalier"
    assert espalier("quantize", "digits", "-o", path).status == 0
    assert complaint("explore", path, "--hardware-only") == (
        f"{path}: is a Program (dense), whose word lengths are its own"
    )
    assert "no values, which pruning (kernel) needs" in complaint(
        "explore", bare, "--hardware-only", "--pattern", "kernel"
    )
