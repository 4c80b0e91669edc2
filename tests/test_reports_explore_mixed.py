"""Word lengths of single layers: each is what the library makes of it, and none is beaten by another that was tried."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.commandline import complaint, espalier
from support.delivering import commands

from accel.cost import Limits, cost_of, estimate, load_technology, total_cycles
from accel.demand import array_for
from accel.digest import digest_of
from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.program import Program
from accel.quantize import Widths, lower, operands_of, ordered_for
from accel.words import Words
from reports.explore.mixed import Allocating, Mix, allocated, mixes_of
from reports.explore.points import Costing
from reports.explore.results import Results
from reports.explore.space import Space
from reports.explore.trials import words_record
from reports.workflow.images import Images
from reports.workflow.layer_bits import with_layer_bits
from reports.workflow.sources import source_of
from sim.engine import compile_program

PATTERN = "kernel"
PRUNED = zoo.load("digits", PATTERN)
CALIBRATION, JUDGED = load("digits", "train").take(64), load("digits", "validation").take(60)
SOURCE = source_of("digits", zoo.load("digits"), None, None)
ASKED = Allocating(
    digest_of(PRUNED.to_bytes()), Images.of(CALIBRATION), Images.of(JUDGED), 0.05, (3, 6), (4, 6), 8, evaluations=40
)


def lowered(mix: Mix) -> Program:
    """Return the Program that a mix stands for."""
    widths = with_layer_bits(Widths(mix.weight_bits, mix.signal_bits), mix.layers, operands_of(PRUNED))
    return lower(PRUNED, widths, CALIBRATION.pixels())


@pytest.fixture(scope="module")
def mixes() -> tuple[Mix, ...]:
    """Return what a search finds."""
    return mixes_of(allocated(ASKED, PRUNED.to_bytes(), SOURCE))


class TestAllocated:
    def test_each_is_what_the_library_says(self, mixes: tuple[Mix, ...]) -> None:
        """Error rate and words are those of the Program that the text alone makes; negative control: not another's."""
        assert mixes
        for mix in mixes:
            program = lowered(mix)
            codes = program.input_signal.encode(JUDGED.pixels())
            assert mix.rate == compile_program(program).error_rate(codes, JUDGED.labels)
            assert mix.words == words_record(Words.of(program))
            assert mix.words != words_record(Words.of(lower(PRUNED, Widths(6, 6), CALIBRATION.pixels())))
            assert max(layer.weight_bits for layer in program.mac_layers) == mix.weight_bits

    def test_none_beats_another(self, mixes: tuple[Mix, ...]) -> None:
        """Of any two the one that errs less takes more; all have bits that were asked for, and none is uniform."""
        rows = [(mix.rate, cost_of(lowered(mix)).memory_bits) for mix in mixes]
        for place, (rate, bits) in enumerate(rows):
            assert all(rate < other or bits < size for n, (other, size) in enumerate(rows) if n != place)
        for mix in mixes:
            weights, signals = zip(*(part.split("=")[1].split("/") for part in mix.layers.split(",")[:-1]), strict=True)
            assert {*map(int, weights)} <= {3, 4, 5, 6}
            assert {*map(int, signals)} <= {4, 5, 6}
            assert len({*weights, mix.layers[-1]}) > 1 or len({*signals}) > 1

    def test_everything_that_decides_is_in_the_key(self) -> None:
        """A search for another error, other bits or more evaluations is another one."""
        others = {"most": 0.04, "weight_bits": (2, 6), "signal_bits": (4, 7), "input_bits": 7, "evaluations": 41}
        others |= {"network": "x", "method": 0}
        keys = {ASKED.key, *(replace(ASKED, **{name: value}).key for name, value in others.items())}  # type: ignore[arg-type]
        assert len(keys) == 1 + len(others)

    def test_an_error_that_nothing_has(self) -> None:
        """Where no bits err so little what was measured is told all the same: another limit may take it."""
        assert mixes_of(allocated(replace(ASKED, most=0.0, signal_bits=(2, 4)), PRUNED.to_bytes(), SOURCE))


def test_points_cost_what_the_program_does(mixes: tuple[Mix, ...]) -> None:
    """Memory, cycles and energy are those of the Program on its array; words of an array are as wide as its widest."""
    space, chip = Space((6,), (6,), ((4, 4), (8, 1))), load_technology()
    costing = Costing(PATTERN, PRUNED, CALIBRATION, 8, chip, Limits())
    found = list(costing.points(space, {(6, 6): {"problem": "not tried"}}, mixes))
    assert [(p.layers, p.lanes) for p in found] == [(mix.layers, lanes) for mix in mixes for lanes in space.arrays]
    for point, mix in zip(found[::2], mixes, strict=True):
        program = ordered_for(lowered(mix), 4, split=True)
        array = array_for(program, 4, 4)
        whole = estimate(program, array, chip)
        assert whole.energy is not None
        assert (point.memory_bits, point.cycles) == (whole.memory_bits, whole.cycles)
        assert point.energy_pj == round(1e12 * whole.energy.total_joules)
        assert (point.weight_bits, point.error_rate) == (array.weight_bits, mix.rate)
        assert costing.estimate_at(point, {}, mixes).energy == whole.energy


def test_a_command_recommends_and_delivers_one(tmp_path: Path) -> None:
    """The least energy is that of a mix; its Program takes what was told, and the script's command makes it again."""
    asked = ("--pattern", PATTERN, "--weight-bits", "3,6", "--signal-bits", "4,6", "--arrays", "4x4", "--images", 60)
    asked = (*asked, "--mixed", 40, "--goal", "frugal", "--band", "10%", "--max-energy", "1uJ", "--max-error", "+5%")
    folder, answer = tmp_path / "out", tmp_path / "answer.json"
    done = espalier("explore", "digits", *asked, "--jobs", 1, "--json", answer, "-o", folder, "--cache", tmp_path / "c")
    assert done.status == 0, done.err
    found = Results.from_json((folder / "results.json").read_text())
    chosen = found.recommended
    assert chosen is not None
    assert chosen.layers in done.out
    assert f"{chosen.weight_bits}/{chosen.signal_bits} mixed 4x4" in done.out
    program = Program.load(folder / "program.espalier")
    assert chosen.cycles == total_cycles(program, array_for(program, 4, 4))
    assert max(layer.weight_bits for layer in program.mac_layers) == chosen.weight_bits
    uniform = [p for p in found.fitting if not p.layers]
    assert chosen.energy_pj < min(p.energy_pj for p in uniform)
    record = json.loads(answer.read_text())
    assert record["band"] == json.loads((folder / "results.json").read_text())["answer"]["band"]
    assert chosen.layers in {x["layers"] for x in record["band"]}
    assert all(x["energy_pj"] <= 1.1 * chosen.energy_pj for x in record["band"])
    script = (folder / "reproduce.sh").read_text()
    assert f"--layer-bits {chosen.layers} --lanes 4x4" in script
    (quantize,) = commands(script, folder)
    before = program.to_bytes()
    assert espalier(*quantize[1:]).status == 0
    assert Program.load(folder / "program.espalier").to_bytes() == before
    assert "within the band" in (folder / "explore.html").read_text()


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--mixed", 9, "lenet5"), "--mixed: is for one network, 2 are named"),
        (("--band", "5%", "lenet5"), "--band: is for one network, 2 are named"),
        (("--goal", "frugal", "lenet5"), "--goal frugal: is for one network, 2 are named"),
        (("--goal", "frugal", "--technology", "ecp5-45f"), "--goal frugal: nothing is known of it in the technology"),
        (("--max-energy", "1J"), "--max-energy 1J: expected an energy of one image above 0, such as 500nJ, 1.5uJ or"),
        (("--band", "0"), "--band 0: expected how far from the best by the goal, such as 5%, 100% at most"),
        (("--hardware-only", "--mixed", 9), "--mixed: with --hardware-only nothing is measured, no errors are known"),
    ],
)
def test_what_is_refused(more: tuple[object, ...], line: str) -> None:
    """One line says what cannot be."""
    assert complaint("explore", "digits", *more).startswith(line)
