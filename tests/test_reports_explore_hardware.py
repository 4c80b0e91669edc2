"""`espalier explore --hardware-only`: designs without data or values, equal to what `size` says of each of them."""

import csv
import json
from dataclasses import asdict
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
from reports.explore.choosing import goal_of, means_of
from reports.explore.hardware import KIND, Design, Setting
from reports.explore.request import HardwarePlan, Request, hardware_plan
from reports.shared.workers import workers
from reports.workflow.recommend import band, front

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


def plan_of(network: object, **asked: str) -> HardwarePlan:
    """Return what the command would do."""
    return hardware_plan(
        Request(network=str(network), arrays=ARRAYS, weight_bits=BITS, signal_bits="5", backend="loky", jobs=1, **asked)  # type: ignore[arg-type]
    )


def designs_of(plan: HardwarePlan) -> list[Design]:
    """Return every design of a plan of one version, as an object."""
    ((name, pruned),) = plan.versions.items()
    with workers("loky", 1, None) as run:
        asked = plan.again[name], plan.space, plan.technology, plan.limits, run
        return [
            hardware._design(Setting(name, *widths), found, place)
            for widths, found in hardware.every_design(pruned, *asked)
            for place in range(found.count)
        ]


@pytest.mark.parametrize("network", ["bare", "digits"])
@pytest.mark.parametrize("technology", ["asic-45nm", "ecp5-45f"])
def test_designs_are_what_size_says(network: str, technology: str, bare: Path) -> None:
    """Each design is the estimate of the Program of shapes on the array that is just large enough for it."""
    plan = plan_of(bare if network == "bare" else network, technology=technology)
    found = designs_of(plan)
    assert len(found) == 3 * 2
    (pruned,) = plan.versions.values()
    chip = load_technology(technology)
    for x in found:
        program = lower_shapes(pruned, Widths(x.weight_bits, x.signal_bits))
        program = ordered_for(program, x.output_lanes, split=x.pixel_lanes > 1)
        whole = estimate(program, array_for(program, x.output_lanes, x.pixel_lanes), chip)
        assert (x.memory_bits, x.cycles) == (whole.memory_bits, whole.cycles)
        assert (x.interval_cycles, x.multipliers) == (whole.interval_cycles, whole.multipliers)
        assert x.energy_pj == (round(1e12 * whole.energy.total_joules) if whole.energy else 0)
        assert x.area_um2 == round(1e6 * (whole.area_mm2 or 0))
        assert x.short == (not whole.fits)
    narrow, wide = ([(x.multipliers, x.memory_bits) for x in found if x.weight_bits == bits] for bits in (4, 8))
    assert all(less < more for less, more in zip(narrow, wide, strict=True))  # negative control: words matter


def test_the_best_of_each_setting(tmp_path: Path) -> None:
    """One of each version and pair of word lengths, within all limits; no other has less of what the goal counts."""
    patterns = ("--pattern", "dense,kernel", "--goal", "fast", "--dsp", 12, "--band", "40%")
    status, record, told = explored("digits", tmp_path, *patterns)
    assert status == 0
    settings = [(x["version"], x["weight_bits"], x["signal_bits"]) for x in record["settings"]]
    assert settings == [(version, bits, 5) for version in ("dense", "kernel") for bits in (4, 8)]
    assert record["designs"] == 12
    every = [x for version in ("dense", "kernel") for x in designs_of(plan_of("digits", patterns=version))]
    within = [x for x in every if x.multipliers <= 12]
    assert record["fitting"] == len(within)
    for best in (Design(**x) for x in record["best"]):
        others = [x for x in every if x.setting == best.setting]
        mine = [x for x in within if x.setting == best.setting]
        assert best in mine
        assert best.cycles == min(x.cycles for x in mine)
        assert [asdict(x) for x in sorted(front(mine), key=others.index)] == [
            x for x in record["front"] if Design(**x).setting == best.setting
        ]
        expected = band(mine, goal_of("fast", means_of(load_technology())), best, 0.4)
        assert [asdict(x) for x in expected] == [x for x in record["band"] if Design(**x).setting == best.setting]
        binds = min(x.cycles for x in others) < best.cycles
        assert binds == (best.weight_bits == 8)  # two narrow lanes share a multiplier
    assert len(record["best"]) == 4
    assert f"{record['best'][0]['cycles']:,}" in told
    assert record["command"] == (
        "espalier explore digits --dsp 12 --goal fast --band 40% --pattern dense,kernel --weight-bits 4,8 "
        f"--signal-bits 5 --arrays {ARRAYS} --hardware-only"
    )
    rows = [*csv.DictReader((tmp_path / "found.csv").read_text().splitlines())]
    kept = {json.dumps(x) for x in (*record["front"], *record["band"])}
    assert len(rows) == len(kept) > 4
    assert sum(row["best"] == "True" for row in rows) == 4
    assert sum(row["in_band"] == "True" for row in rows) == len(record["band"])


def test_workers_find_the_same(monkeypatch: pytest.MonkeyPatch, bare: Path, tmp_path: Path) -> None:
    """Many arrays are looked at some at a time, by whoever is free; designs are the same in the same order."""
    _, alone, _ = explored(bare, tmp_path)
    calls: list[int] = []
    again = hardware._facts_again
    monkeypatch.setattr(hardware, "FEW", 1)
    monkeypatch.setattr(hardware, "AT_ONCE", 2)
    monkeypatch.setattr(hardware, "_facts_again", lambda *call: calls.append(1) or again(*call))
    _, shared, _ = explored(bare, tmp_path, "--jobs", 1)
    assert len(calls) == 2 * 2  # of three arrays, where lanes share a multiplier and where they do not
    assert shared == alone


def test_weights_may_come_from_dram() -> None:
    """With a bandwidth every design stands there twice; streamed weights need less memory and more time."""
    found = designs_of(plan_of("digits", dram_bandwidth="100MB/s"))
    resident, streamed = ([x for x in found if x.streamed == way] for way in (False, True))
    assert len(resident) == len(streamed) == 6
    for here, there in zip(resident, streamed, strict=True):
        assert (there.setting, there.output_lanes, there.pixel_lanes) == (
            here.setting, here.output_lanes, here.pixel_lanes
        )  # fmt: skip
        assert there.memory_bits < here.memory_bits
        assert there.cycles > here.cycles


def test_nothing_fits(tmp_path: Path) -> None:
    """The exit status is 1 and the table says so."""
    status, record, told = explored("digits", tmp_path, "--sram", "1KiB")
    assert (status, record["best"]) == (1, [])
    assert told.count("nothing fits") == 2


@pytest.mark.parametrize(
    ("option", "free", "tight"), [("--max-luts", 999_999, 100), ("--max-area", 99, 0.001), ("--min-mhz", 1, 9_999)]
)
def test_what_is_predicted_is_limited(option: str, free: float, tight: float, tmp_path: Path) -> None:
    """A limit that every array meets changes nothing but the command, one that none meets leaves nothing."""
    usual, found = (explored("digits", tmp_path, *more)[1] for more in ((), (option, free)))
    assert {name: found[name] for name in ("best", "front", "fitting")} == {
        name: usual[name] for name in ("best", "front", "fitting")
    }
    assert f"{option} {free}" in found["command"].replace(".0", "")
    assert explored("digits", tmp_path, option, tight)[0] == 1


def test_the_record_is_as_its_schema_says(bare: Path, tmp_path: Path) -> None:
    """Every field, and no other record."""
    _, record, _ = explored(bare, tmp_path)
    schema = Draft202012Validator(schemas()[f"{KIND.name}-{KIND.version}.json"])
    assert [*schema.iter_errors(record)] == []
    assert [*schema.iter_errors(record | {"front": [{"version": "dense"}]})]  # negative control


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
