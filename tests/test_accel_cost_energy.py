"""What an event costs and what a lane is made of: registers, clock, requantisation, leakage; nodes, kinds of DRAM."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Fragment, Shape
from support.programs import PIXEL, mac_layer, program
from test_accel_cost_technology import OWN

from accel.array import MacArray
from accel.cost import estimate, load_technology
from accel.cost.energy import area_mm2, energy_of_time, register_bits, requantized, written_bits
from accel.cost.hardware_terms import Sizes, multipliers_of
from accel.cost.predictor import flip_flops
from accel.cost.technology import AreaTable, EnergyTable, Technology
from accel.demand import array_for
from accel.signal import Requantize
from accel.window import Window
from rtl.core.lanes import Lanes
from rtl.layout import Layout

ASIC = load_technology("asic-45nm")
ARRAY = MacArray(8, 8, 8, 8, 24)


def tables(technology: Technology = ASIC) -> tuple[EnergyTable, AreaTable]:
    """Return the energies and areas of a technology that has both."""
    assert technology.energy is not None
    assert technology.area is not None
    return technology.energy, technology.area


def registers(hardware: Elaboratable | Fragment) -> int:
    """Return the bits of all registers of a piece of hardware."""
    fragment = Fragment.get(hardware, None)
    driven: dict[int, int] = {}
    for domain, statements in fragment.statements.items():
        if domain != "comb":
            driven |= {id(x): len(x) for statement in statements for x in statement._lhs_signals()}
    return sum(driven.values()) + sum(registers(inside) for inside, *_ in fragment.subfragments)


class TestLane:
    def test_registers(self) -> None:
        """8-bit operands and their product twice are 48 bits, an accumulator 24; its shadow 24 more."""
        assert (written_bits(ARRAY), register_bits(ARRAY)) == (72, 96)
        assert Shape.cast(Layout(ARRAY).accumulator).width == 24

    @pytest.mark.parametrize("array", [ARRAY, MacArray(16, 4, 8, 8, 20), MacArray(8, 8, 4, 5, 16)])
    def test_registers_of_the_hardware(self, array: MacArray) -> None:
        """The lanes that are built have a tenth more, for each, and where two share a multiplier a third more.

        Negative control: twice the lanes have twice the registers.
        """
        built = registers(Lanes(Layout(array))) / array.macs_per_cycle
        assert 1.1 <= built / register_bits(array) <= (1.2 if array.weights_per_multiplier == 1 else 1.4)
        wide = replace(array, output_lanes=2 * array.output_lanes)
        assert registers(Lanes(Layout(wide))) / array.macs_per_cycle == pytest.approx(2 * built, rel=0.05)

    def test_against_sparseloop(self) -> None:
        """A multiplier, an adder, operands in registers and a sum of 20 bits: 0.56 pJ there, within a tenth here.

        Theirs (Aladdin's units, MICRO 2022 artifact) is one figure for a MAC: 0.5608 pJ and 332.25 square micrometers,
        of a multiplier and an adder of 8 bits. Negative control: without its registers a MAC is half of it.
        """
        energy, area = tables()
        bare = energy.mac_joules(8, 8, 20) * 1e12
        assert bare + energy.flip_flop * (8 + 8 + 20) == pytest.approx(0.5608, rel=0.1)
        assert bare < 0.5 * 0.5608
        assert area.multiply.at(8) + area.add.at(8) == pytest.approx(332.25, rel=0.05)

    def test_time_costs(self) -> None:
        """64 lanes of 96 bits for 1,000 cycles, and 2 Mbit that leak for 10 microseconds."""
        energy, _ = tables()
        found = energy_of_time(energy, ARRAY, 2 << 20, 1000, 100e6)
        assert found.register_joules == pytest.approx(1000 * 64 * 96 * 0.00037e-12)
        assert found.leakage_joules == pytest.approx(2 * 0.0033e-3 * 10e-6)
        assert found.total_joules == found.register_joules + found.leakage_joules
        slower = energy_of_time(energy, ARRAY, 2 << 20, 1000, 50e6)
        assert slower.leakage_joules == pytest.approx(2 * found.leakage_joules)
        assert slower.register_joules == found.register_joules

    def test_control_costs_where_a_table_knows(self) -> None:
        """A bit of a register in no lane takes 0.1 pJ a cycle for the clock and 0.01 for what it does; others nothing.

        All registers of the array are those that are predicted of it.
        """
        energy, _ = tables()
        known = replace(energy, control=0.1, fetch=0.01)
        found, before = (energy_of_time(table, ARRAY, 0, 1000, 100e6) for table in (known, energy))
        others = flip_flops(Sizes.of(ARRAY)) - ARRAY.macs_per_cycle * register_bits(ARRAY)
        assert found.control_joules == pytest.approx(1000 * others * 0.1e-12)
        assert found.fetch_joules == pytest.approx(found.control_joules / 10)
        assert found.register_joules == before.register_joules
        assert (before.control_joules, before.fetch_joules) == (0, 0)

    def test_words_take_whole_macros(self) -> None:
        """Of macros of 32 bits a word of 1 bit takes one, a word of 33 bits two; without them bits count."""
        energy, _ = tables()
        whole = replace(energy, sram_whole_bits=32)
        one, full, two = (whole.sram_joules(8192, bits) for bits in (1, 32, 33))
        assert one == full == energy.sram_joules(8192, 32) == pytest.approx(two / 2)
        assert energy.sram_joules(8192, 33) == pytest.approx(33 / 32 * full)


class TestRequantize:
    def test_offsets_are_charged(self) -> None:
        """With offsets each pixel lane adds 24 + 16 bits to a product: energy of each code, area of each lane."""
        energy, area = tables()
        more = replace(ARRAY, offset_bits=16)
        assert requantized(energy, more) - requantized(energy, ARRAY) == pytest.approx(energy.add.at(40))
        wider = area_mm2(area, more, 0, 0) - area_mm2(area, ARRAY, 0, 0)
        assert wider == pytest.approx(8 * area.add.at(40) * 1e-6)

    def test_a_layer_with_offsets(self) -> None:
        """6 codes of a convolution of which each has an offset take 6 additions more than the same without."""
        joules = []
        for offsets in (None, np.array([3])):
            scale = Requantize(np.array([5]), 4, offsets)
            conv = mac_layer("conv", "input", np.full((1, 1, 1), 7), PIXEL, window=Window((1, 1)), requantize=scale)
            it = program([conv], (1, 1, 6))
            (row,) = estimate(it, replace(array_for(it, 2, 4), offset_bits=2 if offsets is not None else 0)).layers
            assert row.energy is not None
            joules.append(row.energy.requantize_joules)
        array = array_for(it, 2, 4)
        energy, _ = tables()
        added = energy.add.at(array.accumulator_bits + array.multiplier_bits)
        assert joules[1] - joules[0] == pytest.approx(6 * added * 1e-12)
        assert joules[0] > 0


class TestTables:
    @pytest.mark.parametrize("name", ["asic-28nm", "asic-22nm"])
    def test_smaller_nodes(self, name: str) -> None:
        """All that is known of a smaller node costs less, but leakage; a DRAM is named, and its source told."""
        (energy, area), (old, wide) = tables(load_technology(name)), tables()
        assert energy.mac_joules(8, 8, 24) < old.mac_joules(8, 8, 24)
        assert [energy.sram.at(kib) < old.sram.at(kib) for kib in (1, 8, 64, 1024, 1 << 14)] == [True] * 5
        assert (area.sram, area.sram_block) < (wide.sram, wide.sram_block)
        assert area.sram_block / area.sram == pytest.approx(wide.sram_block / wide.sram, rel=1e-3)
        assert energy.leakage > old.leakage
        assert (energy.dram, "LPDDR4" in energy.source) == (8, True)

    def test_nodes_scale_alike(self) -> None:
        """Arithmetic and registers are one factor each of 45 nm, in energy and in area."""
        for name, less, smaller in (("asic-28nm", 0.507, 0.377), ("asic-22nm", 0.305, 0.252)):
            (energy, area), (old, wide) = tables(load_technology(name)), tables()
            for new, known, factor in ((energy, old, less), (area, wide, smaller)):
                shares = [new.multiply.at(8) / known.multiply.at(8), new.add.at(32) / known.add.at(32)]
                shares += [new.multiply.at(32) / known.multiply.at(32), new.flip_flop / known.flip_flop]
                assert shares == pytest.approx([factor] * 4, rel=0.01)

    def test_ddr4(self, tmp_path: Path) -> None:
        """A table names it: 184.5 mA at 1.2 V for 2,400 million transfers of 8 bits a second; the source is told."""
        (tmp_path / "mine.toml").write_text(OWN.replace("dram = 20", 'dram = "ddr4"'))
        energy, _ = tables(load_technology(tmp_path / "mine.toml"))
        assert energy.dram == pytest.approx(184.5e-3 * 1.2 / (2400e6 * 8) * 1e12, rel=1e-3)
        assert energy.source.startswith("paper; DRAM, DDR4-2400")


@pytest.mark.parametrize(
    ("change", "count"), [({}, 12), ({"weight_bits": 8}, 20), ({"multiplier_bits": 24}, 16), ({"signal_bits": 11}, 20)]
)
def test_multipliers_are_counted(change: dict[str, int], count: int) -> None:
    """Two rows of four lanes, and four to requantise; wide operands take one a lane, a wide constant two."""
    array = MacArray(4, 4, weight_bits=4, signal_bits=8, accumulator_bits=20)
    assert multipliers_of(replace(array, **change)) == count
