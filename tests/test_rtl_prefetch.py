"""What a layer begins with is fetched while the one before drains: the same codes, so many cycles less."""

from dataclasses import replace

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import SIGNED, SIZES, check, difference, images_of, mac

from accel.array import MacArray
from accel.cost.cycles import FIRST_CYCLES, START_CYCLES, start_cycles, total_cycles
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MaxPoolLayer
from accel.window import Window

ARRAY = MacArray(4, 4, **SIZES)
LATE = replace(ARRAY, prefetch=False)
POINT = Window((1, 1))


def chain(rng: np.random.Generator, *steps: int) -> Program:
    """Return layers of one tile whose lists have so many entries each, of one tap."""
    layers = []
    for index, count in enumerate(steps):
        kept = np.zeros((8, 8, 1), bool)
        kept[:, :count] = True
        reads = SIGNED if index else PIXEL
        name, source = f"a{index}", f"a{index - 1}" if index else INPUT
        layers.append(
            mac(rng, name, source, kept.shape, reads, kept=kept, pattern="kernel", window=POINT, output=SIGNED)
        )
    return program(layers, (8, 1, 4))


class TestCycles:
    @pytest.mark.parametrize("steps", [(8,), (1, 1, 1), (8, 1, 2, 3), (2, 5)], ids=str)
    def test_each_layer_but_the_first(self, steps: tuple[int, ...], rng: np.random.Generator) -> None:
        """Lists of one entry and of many behind one another, images behind images: both arrays are as predicted."""
        of = chain(rng, *steps)
        images = images_of(rng, of, 3)
        runs, late = check(of, images, ARRAY), check(of, images, LATE)
        assert {run.cycles for run in late} == {runs[0].cycles + FIRST_CYCLES * (len(steps) - 1)}
        assert (difference(of, images, late, ARRAY) is None) == (len(steps) == 1)  # negative control

    def test_of_the_start(self) -> None:
        """The first layer's words and entry are nobody's to fetch: the start waits for them, or each layer does."""
        of = chain(np.random.default_rng(0), 4)
        assert (start_cycles(ARRAY), start_cycles(LATE)) == (START_CYCLES, START_CYCLES - FIRST_CYCLES)
        assert total_cycles(of, ARRAY) == total_cycles(of, LATE)


class TestWhatIsFetched:
    def test_a_counter_behind_a_list(self, rng: np.random.Generator) -> None:
        """A pool that counts its entries, between layers that list theirs: neither reads by the other's words."""
        first, second = chain(rng, 3, 2).mac_layers
        pool = MaxPoolLayer("pool", ("a0",), Window((1, 3), padding=(0, 1, 0, 1)))
        of = program([first, pool, replace(second, inputs=("pool",))], (8, 1, 4))
        array = replace(ARRAY, pool=False)
        check(of, images_of(rng, of), array)
        check(of, images_of(rng, of), array, ready=0.4, rng=rng)

    def test_under_back_pressure(self, rng: np.random.Generator) -> None:
        """The receiver stops the core while the next image's first layer waits."""
        of = chain(rng, 1, 8, 1)
        check(of, images_of(rng, of, 4), ARRAY, ready=0.2, rng=rng)
