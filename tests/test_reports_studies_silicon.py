"""The study of silicon: runs that are there are not run again, a calibration finds what runs were made of, the page."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.silicon import SRAM, TINY

from accel.array import MacArray
from accel.cost.technology import EnergyTable
from accel.errors import EspalierError
from accel.interchange.zoo import load
from accel.quantize import Widths, lower_shapes
from reports.shared.schema import saved
from reports.studies.silicon import __main__ as command
from reports.studies.silicon import measure
from reports.studies.silicon.definition import BITS, PATTERNS, SHAPES, Task, of_shape, tasks
from reports.studies.silicon.estimated import (
    CLOCKS,
    DRAIN,
    FETCH,
    FITTED,
    GROUPS,
    LANES,
    calibrated,
    compared_with,
    estimate_of,
    fits,
    scaled,
    shipped,
)
from reports.studies.silicon.figures import CAPTIONS, energy, render
from reports.studies.silicon.measure import folder_of, gathered, room_of, swept
from reports.studies.silicon.page import headline, held_out, page
from reports.studies.silicon.results import Build, LayerRun, Results, Run, joined

FOLDER = Path(command.__file__).parent
RESULTS = saved(FOLDER / "results.json", Results.from_json)
ARRAY = MacArray(2, 2, weight_bits=4, signal_bits=8, accumulator_bits=15)
FACTORS = {LANES: 2.0, DRAIN: 0.5, FETCH: 3.0, CLOCKS: 4.0}  # of the made-up gates
DRAINS = 0.2  # pJ of a bit of a sum, by the cycle


def built(task: Task) -> Build:
    """Return a build of `ARRAY`, as good as any."""
    shape, bits, lists = task.build
    return Build(
        shape=shape,
        bits=bits,
        lists=lists,
        array=asdict(ARRAY),
        area=1e5,
        gate_equivalents=3e4,
        flip_flops=3000,
        mhz=150.0,
        leakage_watts=1e-8,
        macros=9,
        macro_um2=1e6,
    )


def ran(task: Task, cycles: int, factors: dict[str, float] | None = None) -> Run:
    """Return a run whose gates take what the scaled table says, of each group so many times as much."""
    layer = LayerRun(
        name="conv",
        cycles=cycles,
        macs=3 * cycles,
        requantized=cycles**2 // 40_000,
        weight_bits=4,
        signal_bits=8,
        accumulator_bits=15,
        reads={"signals": 4 * cycles, "weights": 2 * cycles},
        writes={"signals": cycles, "weights": 0},
        joules={},
    )
    fields = {name: getattr(task, name) for name in ("network", "pattern", "bits", "shape", "lists")}
    run = Run(**fields, load_cycles=0, load_joules={}, layers=(layer,))
    found = estimate_of(run, ARRAY, replace(scaled(), clock=1.0, control=1.0, fetch=1.0))
    waits = estimate_of(run, ARRAY, replace(scaled(), drain=DRAINS / FACTORS[DRAIN]))[DRAIN] - found[DRAIN]
    found[DRAIN] += waits
    joules = {
        parts[0]: (factors or FACTORS).get(group, 1.0) * found.get(group, 1e-9) for group, parts in GROUPS.items()
    }
    return replace(run, layers=(replace(layer, joules=joules),))


def made(*cycles: int) -> Results:
    """Return runs of the first tasks."""
    some = tasks()[: len(cycles)]
    runs = [ran(task, count) for task, count in zip(some, cycles, strict=True)]
    return joined([Results(tools=("Yosys 1",), builds=tuple(map(built, some)), runs=tuple(runs))])


class TestCommitted:
    def test_the_table_that_is_shipped_is_the_calibration(self) -> None:
        """Every number of `asic-130nm` that runs give is what the committed runs give, and it says that it is so."""
        found, table = calibrated(RESULTS), shipped()
        assert table.calibrated.startswith("reports/studies/silicon")
        assert numbers(table) == pytest.approx(numbers(found), rel=2e-3)
        assert numbers(scaled()) != pytest.approx(numbers(found), rel=2e-3)  # negative control

    def test_the_page_is_of_these_results(self) -> None:
        """The page and its headline say what the results say; others are another page."""
        text = (FOLDER / "README.md").read_text()
        figures = [f"{name}.png" for name in CAPTIONS]
        assert text == page(RESULTS, figures)
        assert headline(RESULTS) in text
        assert text != page(replace(RESULTS, runs=RESULTS.runs[1:]), figures)

    def test_runs_are_of_the_study(self) -> None:
        """Each run is a task whose build is there; some are held out, and the calibrated estimate is nearer to them."""
        assert all(run.task in tasks() and RESULTS.build(*run.task.build) for run in RESULTS.runs)
        after, before = (held_out(RESULTS, table) for table in (calibrated(RESULTS), scaled()))
        assert after
        assert all(abs(mine.error()) < abs(other.error()) for mine, other in zip(after, before, strict=True))


def numbers(table: EnergyTable) -> list[float]:
    """Return what a calibration sets."""
    laws = [*(table.multiply.at(bits) for bits in (4, 8, 12, 32)), table.add.at(8), table.add.at(32)]
    return [*laws, table.flip_flop, table.clock, table.control, table.fetch, table.drain]


def test_tasks() -> None:
    """Four arrays, each dense and sparse; seven patterns of two networks at two word lengths on one of them."""
    assert len(SHAPES) == 4
    assert len(tasks()) == len(set(tasks())) == 2 * len(PATTERNS) * len(BITS) + 3 * (len(SHAPES) - 1) + 1
    assert len({task.name for task in tasks()}) == len(tasks())
    assert [(task.pattern, task.lists) for task in of_shape("4x4")] == [
        ("kernel", True), ("dense", True), ("dense", False),
    ]  # fmt: skip


def test_a_calibration() -> None:
    """Gates that take a multiple of what the scaled table says are found again, by group and exactly.

    Negative control: of one run whose clock takes more the factor lies between, and the others stay.
    """
    results = made(1000, 3000, 2000)
    assert [fits(run) for run in results.runs] == [True, True, True]
    table, before = calibrated(results), scaled()
    ratios = [table.add.at(8) / before.add.at(8), table.multiply.at(12) / before.multiply.at(12)]
    assert [*ratios, table.fetch, table.control] == pytest.approx([2.0, 0.5, 3.0, 4.0], rel=1e-3)
    assert table.drain == pytest.approx(0.2, rel=1e-3)
    for run in results.runs:
        one = compared_with(table, run, results)
        assert [one.error(group) for group in FITTED] == pytest.approx([0] * len(FITTED), abs=1e-3)
    more = ran(results.runs[0].task, 1000, FACTORS | {CLOCKS: 5.0})
    changed = calibrated(replace(results, runs=(more, *results.runs[1:])))
    assert 4.0 < changed.control < 5.0
    assert changed.fetch == table.fetch


def test_held_out() -> None:
    """Runs of another network are not fitted on, whatever they took; the headline and the page count them."""
    results = made(1000, 3000, 2000, 5000, 700)
    table = calibrated(results)
    odd = replace(results, runs=(*results.runs[:-1], ran(results.runs[-1].task, 700, {CLOCKS: 99.0})))
    assert calibrated(odd) == table
    assert len(held_out(results, table)) == 2
    assert max(abs(one.error()) for one in held_out(results, table)) < 0.25
    assert max(abs(one.error()) for one in held_out(odd, table)) > 0.5
    assert "3 runs are fitted on, 2 held out" in page(results, ())
    assert "of 2 runs held out" in headline(results)


def test_arrays_dense_and_sparse() -> None:
    """What lists cost stands there once both builds of an array are run."""
    first, (sparse, _, dense) = made(16_000, 4000, 2000), of_shape("2x2")
    assert sparse in [run.task for run in first.runs]
    small = replace(built(dense), area=5e4)
    both = joined([first, Results(builds=(small,), runs=(ran(dense, 16_000),))])
    assert "| 2x2 | +100.0% | +0.0% | +0.0% | +0.0% | -75.0% | " in page(both, ())
    assert "What lists cost" not in page(first, ())


def test_json_and_figures() -> None:
    """Results are read back as they were written, a changed one is refused; the figure is drawn from them."""
    results = made(1000, 3000)
    text = results.to_json()
    assert Results.from_json(text) == results
    assert [*render(results)] == ["energy.png"]
    bars = [len(axes.patches) for axes in energy(results).axes if axes.get_visible()]
    assert bars == [2 * 2 * len(GROUPS)]  # of one network and word length: two runs, two bars each
    assert render(Results()) == {}
    with pytest.raises(EspalierError, match="not the results of the study of silicon"):
        Results.from_json(text.replace('"cycles": 1000', '"cycles": 1001'))


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the folder for work are results, and what they hold is not run again."""
    first, second = made(1000), made(1000, 3000)
    (tmp_path / "one.json").write_text(first.to_json())
    known = gathered(tmp_path, Results())
    assert known == first
    assert known.missing == tasks()[1:]
    monkeypatch.setattr(
        "reports.studies.silicon.measure._found", lambda task, *others: joined([second]) if task else None
    )
    monkeypatch.setattr("reports.studies.silicon.measure.LIBRARY", TINY.name)
    assert [*swept(known.missing[:1], TINY, SRAM, tmp_path)] == tasks()[1:2]
    assert gathered(tmp_path, Results()) == second


def test_another_library(tmp_path: Path) -> None:
    """Cells of another library are refused before anything is mapped."""
    with pytest.raises(EspalierError, match="the study is of sky130_fd_sc_hd__tt_025C_1v80, got"):
        next(swept(tasks(), TINY, SRAM, tmp_path))


def test_a_build_of_other_hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an array takes is asked once; when its Verilog has changed it is mapped anew, into a folder of its own."""
    task, one = tasks()[0], lower_shapes(load("digits"), Widths(4, 4))
    monkeypatch.setattr(measure, "mapped_in", lambda *arguments: pytest.fail("mapped"))
    monkeypatch.setattr(measure, "hardware", lambda *arguments: (None, b"module espalier"))
    folder = folder_of(task, ARRAY, one, tmp_path)
    folder.mkdir(parents=True)
    (folder / "build.json").write_text(Results(builds=(built(task),)).to_json())
    assert measure._build(task, ARRAY, TINY, SRAM, folder_of(task, ARRAY, one, tmp_path)) == built(task)
    monkeypatch.setattr(measure, "hardware", lambda *arguments: (None, b"module espalier, changed"))
    with pytest.raises(pytest.fail.Exception, match="mapped"):
        measure._build(task, ARRAY, TINY, SRAM, folder_of(task, ARRAY, one, tmp_path))


def test_room() -> None:
    """A testbench has room for every word of every memory."""
    room = room_of(ARRAY)
    assert room["loads"] == sum(memory.words * memory.banks for memory in ARRAY.memories)
    assert room["beats"] == next(memory.words for memory in ARRAY.memories if memory.name == "signals")
