"""Points cost what the cost model says of the Program itself."""

import json

import pytest

from accel.cost import Limits, estimate, load_technology, total_cycles
from accel.demand import array_for
from accel.digest import digest_of
from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.program import Program
from accel.quantize import Widths, lower, ordered_for
from reports.explore.points import Costing, Point, Rates
from reports.explore.space import Space
from reports.explore.trials import Trial, measured
from reports.workflow.images import Images
from reports.workflow.sources import source_of

PATTERNS = ("kernel+ikss", "block-4")
SPACE = Space((3, 6), (4,), ((4, 4), (8, 2)))
CALIBRATION = load("digits", "train").take(64)
DRAM_BYTES_PER_S = 50e6
SOURCE = source_of("digits", zoo.load("digits"), None, None)


def rates_of(pattern: str) -> Rates:
    """Return the trials of a version of the digits, measured on a few images."""
    network, images = zoo.load("digits", pattern).to_bytes(), load("digits", "validation").take(20)
    named = Images.of(CALIBRATION), Images.of(images)
    return {
        pair: json.loads(measured(Trial(digest_of(network), *named, *pair, input_bits=8), network, SOURCE))
        for pair in SPACE.widths()
    }


def costing(pattern: str, technology: str = "asic-45nm", **limits: float) -> Costing:
    """Return a version of the digits, ready to be costed."""
    chip = load_technology(technology)
    return Costing(pattern, zoo.load("digits", pattern), CALIBRATION, 8, chip, Limits(**limits))  # type: ignore[arg-type]


def programs(pattern: str) -> dict[tuple[int, int], Program]:
    """Return the Programs that the points stand for."""
    pruned = zoo.load("digits", pattern)
    return {pair: lower(pruned, Widths(*pair), CALIBRATION.pixels()) for pair in SPACE.widths()}


@pytest.mark.parametrize("pattern", PATTERNS)
class TestPoints:
    @pytest.mark.slow
    def test_equal_to_the_program(self, pattern: str) -> None:
        """Memory, multipliers and cycles are those of the Program lowered for the array; cycles are the hardware's."""
        found = list(costing(pattern).points(SPACE, rates_of(pattern)))
        assert len(found) == 4
        for point in found:
            given = programs(pattern)[point.weight_bits, point.signal_bits]
            program = ordered_for(given, point.lanes[0], split=point.lanes[1] > 1)
            array = array_for(program, *point.lanes)
            if point.lanes[0] == 8:  # negative control; four neighbours of block-4 agree as they stand
                assert total_cycles(given, array_for(given, *point.lanes)) > point.cycles
            expected = estimate(program, array)
            assert (point.memory_bits, point.multipliers) == (expected.memory_bits, expected.multipliers)
            assert point.cycles == expected.cycles == total_cycles(program, array)
            assert point.area_um2 == round(1e6 * (expected.area_mm2 or 0)) > 0
            assert not point.short
            assert point.stall_cycles == 0
        narrow, wide = found[0], found[2]
        assert (narrow.memory_bits, narrow.setting) != (wide.memory_bits, wide.setting)  # negative control

    def test_never_streamed(self, pattern: str) -> None:
        """A DRAM makes no room, because the generated hardware holds all weights: the designs are the same with it."""
        rates = rates_of(pattern)
        limits = {"sram_bits": 107_000, "dram_bytes_per_s": DRAM_BYTES_PER_S}
        found = list(costing(pattern, **limits).points(SPACE, rates))
        assert found == list(costing(pattern).points(SPACE, rates))
        assert any(point.memory_bits > 107_000 for point in found)
        assert {point.stall_cycles for point in found} == {0}


class TestShort:
    def test_too_few_multipliers(self) -> None:
        """A device with too few multipliers or blocks is told apart from a limit on memory that was asked for."""
        space = Space((6,), (4,), ((4, 4), (32, 16)))
        rates = {(6, 4): rates_of("kernel+ikss")[6, 4]}
        small, large = costing("kernel+ikss", "ecp5-45f").points(space, rates)
        assert (small.short, large.short) == (False, True)
        (asked,) = costing("kernel+ikss", "ecp5-45f", sram_bits=8).points(Space((6,), (4,), ((4, 4),)), rates)
        assert not asked.short

    def test_no_area(self) -> None:
        """Where a technology says nothing of areas, there is none."""
        point = next(costing("kernel+ikss", "ecp5-45f").points(SPACE, rates_of("kernel+ikss")))
        assert point.area_um2 == 0

    def test_left_out(self) -> None:
        """Word lengths that no Program has give no point."""
        rates = {**rates_of("block-4"), (3, 4): {"problem": "too narrow"}}
        assert {p.weight_bits for p in costing("block-4").points(SPACE, rates)} == {6}


def test_a_point_knows_its_trial() -> None:
    """A point's error rate depends on version and word lengths, not on the array."""
    setting = {"version": "kernel", "weight_bits": 4, "signal_bits": 5, "output_lanes": 8, "pixel_lanes": 2}
    point = Point(**setting, error_rate=0.1, memory_bits=1, multipliers=1, cycles=1)  # type: ignore[arg-type]
    assert point.setting == ("kernel", 4, 5, "")
    assert point.lanes == (8, 2)
