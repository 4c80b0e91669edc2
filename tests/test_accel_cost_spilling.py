"""Stalls and energy of plans in tiles: by hand, and beside the estimate of everything at once."""

import numpy as np
import pytest
from support.mobile import quantized, resnet8

from accel.cost import Estimate, Invariants, Limits, estimate_of, load_technology
from accel.cost.plans import Plan
from accel.cost.residency import Residents
from accel.cost.spilling import Spilled, spilled
from accel.demand import array_for

PROGRAM = quantized(resnet8(np.random.default_rng(0)), np.random.default_rng(1))
INVARIANTS = Invariants(PROGRAM)


def on_array(rate: float | None) -> tuple[Residents, Estimate]:
    """Return ResNet-8 on an array of 8 x 8 lanes at 100 MHz, with a DRAM of so many bytes a second."""
    array = array_for(PROGRAM, 8, 8)
    whole = estimate_of(INVARIANTS, INVARIANTS.words, array, load_technology(), Limits(dram_bytes_per_s=rate))
    return Residents.of(PROGRAM, array, INVARIANTS.cost.layers), whole


def planned(kib: int, rate: float | None) -> tuple[Plan, Spilled]:
    """Return the plan in a memory, and what it takes."""
    residents, whole = on_array(rate)
    plan = residents.plan(kib << 13)
    return plan, spilled(plan, INVARIANTS, INVARIANTS.words, whole)


class TestStalls:
    def test_by_hand(self) -> None:
        """Layers wait for what does not come while they run, 10 bytes in 100 cycles; of groups the first."""
        plan, found = planned(16, 1e7)
        assert found.stall_cycles is not None
        cycles = {layer.name: layer.cycles for layer in on_array(None)[1].layers}
        alone = [layer for layer in plan.layers[1:] if not layer.group]
        for layer in alone:
            load = -(-layer.dram_bits * 100 // 80)
            assert found.stall_cycles[layer.name] == max(0, load - cycles[layer.name])
        numbers = {layer.group for layer in plan.layers} - {0}
        for number in numbers:
            group = [layer for layer in plan.layers if layer.group == number]
            moved = sum(layer.dram_bits for layer in group) + (plan.image_bits if plan.layers[0] in group else 0)
            wait = max(0, -(-moved * 100 // 80) - sum(cycles[layer.name] for layer in group))
            assert [found.stall_cycles[layer.name] for layer in group] == [wait, *([0] * (len(group) - 1))]
        assert numbers
        assert any(layer.dram_bits for layer in alone)  # negative control: there are both
        assert found.stalls == sum(found.stall_cycles.values()) > 0

    def test_the_bandwidth(self) -> None:
        """A tenth of it is waited for longer; of none nothing is known; where all is there nothing waits."""
        assert (planned(16, 1e6)[1].stalls or 0) > (planned(16, 1e7)[1].stalls or 0)
        assert planned(16, None)[1].stalls is None
        residents, whole = on_array(1e6)
        assert spilled(residents.whole(1 << 20), INVARIANTS, INVARIANTS.words, whole).stalls == 0


class TestEnergy:
    def test_everything_at_once(self) -> None:
        """Then it is the estimate's, part by part."""
        residents, whole = on_array(1e9)
        found = spilled(residents.whole(1 << 20), INVARIANTS, INVARIANTS.words, whole).energy
        assert found is not None
        assert vars(found) == pytest.approx(vars(whole.energy))

    def test_less_memory(self) -> None:
        """DRAM takes more, smaller memories less; multiply-accumulates are as many."""
        _, whole = on_array(1e9)
        found = planned(16, 1e9)[1].energy
        assert found is not None
        assert whole.energy is not None
        assert found.mac_joules == whole.energy.mac_joules
        assert found.dram_joules > whole.energy.dram_joules
        assert found.sram_joules < whole.energy.sram_joules
        assert found.dram_joules == pytest.approx(planned(16, 1e9)[0].dram_bits * 1e-12 * whole.technology.energy.dram)  # type: ignore[union-attr]
