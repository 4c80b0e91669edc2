"""Steps that read two maps: that they hold everything once, how few they are, and which layers take them."""

from itertools import combinations

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import SIGNED, mac

from accel.array import MacArray
from accel.combined import Combined, combined, sets_of
from accel.cost.cycles import tiles_of
from accel.cost.slots import slots_of
from accel.demand import array_for
from accel.network import INPUT
from accel.pattern import Mask
from accel.places import pitch_of
from accel.program import Program
from accel.program_layers import FlattenLayer, MacLayer
from accel.walk import combined_of, walk_of
from accel.window import Window

POINT, SAME = Window((1, 1)), Window.square(3, 1, 1)


def of_maps(kept: Mask, size: tuple[int, int], window: Window = POINT, pattern: str = "irregular") -> Program:
    """Return a 1 x 1 convolution of one map and one that keeps `kept` (outputs, maps, taps) of what that gives."""
    rng = np.random.default_rng(0)
    first = mac(rng, "a", INPUT, (kept.shape[1], 1, 1), PIXEL, window=POINT, output=SIGNED)
    second = mac(rng, "b", "a", kept.shape, SIGNED, window=window, kept=kept, pattern=pattern)
    return program([first, second], (1, *size))


def layer_of(kept: Mask, pattern: str = "irregular") -> MacLayer:
    """Return the layer that keeps `kept`; its window is a row of taps."""
    return of_maps(kept, (1, kept.shape[2]), Window((1, kept.shape[2])), pattern).mac_layers[1]


def drawn(rng: np.random.Generator, shape: tuple[int, int, int], density: float) -> Mask:
    """Return a mask of single weights."""
    return rng.random(shape) < density


def most_sets(kept: Mask) -> int:
    """Return the largest number of sets, by trying all ways to make one of some maps and to go on with the others."""
    places = np.flatnonzero(kept.any(axis=0)).tolist()

    def most(free: tuple[int, ...]) -> int:
        if not free:
            return 0
        found = most(free[1:])
        for count in range(1, len(free)):
            for others in combinations(free[1:], count):
                one = [free[0], *others]
                if not kept[:, one].all(axis=1).any() and len({place % 2 for place in one}) == 2:
                    found = max(found, 1 + most(tuple(x for x in free[1:] if x not in others)))
        return found

    return most(tuple(places))


def complaint(found: Combined, layer: MacLayer, lanes: int, together: int) -> str | None:
    """Return what is wrong with steps, or None."""
    taps, matrix = layer.shape[2], layer.kept.reshape(layer.shape[0], -1)
    for group, (columns, taken) in enumerate(zip(found.columns, found.taken, strict=True)):
        pairs = columns[columns[:, 1] >= 0]
        if (pairs[:, 0] % taps != pairs[:, 1] % taps).any():
            return "two taps in a step"
        if ((pairs[:, 0] // taps + pairs[:, 1] // taps) % 2 == 0).any() or (pairs[:, 0] >= pairs[:, 1]).any():
            return "maps of one half of the banks"
        if ((taken >= 0) & (taken != columns[:, :1]) & (taken != columns[:, 1:])).any():
            return "a lane takes what is not read"
        for first in range(0, lanes, together):
            if any(len({*row[first : first + together].tolist()} - {-1}) > 1 for row in taken):
                return "lanes of one multiplier take two maps"
        for lane, row in enumerate(matrix[group * lanes : (group + 1) * lanes]):
            if sorted(x for x in taken[:, lane].tolist() if x >= 0) != np.flatnonzero(row).tolist():
                return f"lane {lane} takes other columns than it keeps"
    return None


class TestSteps:
    @pytest.mark.parametrize("together", [1, 2])
    @pytest.mark.parametrize("density", [0.1, 0.4, 0.8])
    @pytest.mark.parametrize("shape", [(6, 7, 3), (9, 4, 1), (3, 12, 2)])
    def test_every_lane_takes_what_it_keeps_once(
        self, shape: tuple[int, int, int], density: float, together: int, rng: np.random.Generator
    ) -> None:
        """In steps of one tap of an even and an odd map; never more steps than lists of one map have."""
        layer = layer_of(drawn(rng, shape, density))
        found = combined(layer, 4, together)
        assert complaint(found, layer, 4, together) is None
        assert all(len(x) <= len(y) for x, y in zip(found.columns, layer.lane_columns[4], strict=True))

    def test_what_is_wrong_is_noticed(self, rng: np.random.Generator) -> None:
        """Negative control: a lane that takes the other map of a step."""
        layer = layer_of(drawn(rng, (4, 6, 2), 0.4))
        found = combined(layer, 4, 1)
        step, lane = np.argwhere((found.taken[0] == found.columns[0][:, 1:]) & (found.columns[0][:, 1:] >= 0))[0]
        other = found.taken[0].copy()
        other[step, lane] = found.columns[0][step, 0]
        assert complaint(Combined(found.columns, (other,)), layer, 4, 1) is not None

    @pytest.mark.parametrize("seed", range(20))
    def test_as_few_as_there_can_be(self, seed: int) -> None:
        """Of 6 maps no more sets are found by trying all ways to make them: so many steps are spared."""
        rng = np.random.default_rng(seed)
        kept = drawn(rng, (4, 6, 1), 0.5)[:, :, 0]
        assert len(sets_of(kept)) == most_sets(kept)

    def test_four_lanes_of_two_maps_each(self) -> None:
        """Lanes that keep maps (0, 2), (1, 3), (0, 2), (1, 3): pairs of an even and an odd one, 2 steps and not 4."""
        kept = np.array([[1, 0, 1, 0], [0, 1, 0, 1]] * 2, bool)[:, :, None]
        found = combined(layer_of(kept), 4, 1)
        assert found.columns[0].tolist() == [[0, 1], [2, 3]]
        assert found.taken[0].tolist() == [[0, 1, 0, 1], [2, 3, 2, 3]]
        assert found.second(0, 1).tolist() == [[False, True, False, True]] * 2

    def test_lanes_that_share_a_multiplier(self) -> None:
        """Lanes 0 and 1 keep different maps of one multiplier: both are read on their own."""
        kept = np.array([[1, 0], [0, 1]], bool)[:, :, None]
        assert [len(combined(layer_of(kept), 2, together).columns[0]) for together in (1, 2)] == [1, 2]

    def test_three_maps_in_two_steps(self) -> None:
        """Every two of three maps meet in a lane, and no lane keeps all: a tree of two steps holds them."""
        kept = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]], bool)[:, :, None]
        layer = layer_of(kept)
        found = combined(layer, 3, 1)
        assert len(found.columns[0]) == 2
        assert complaint(found, layer, 3, 1) is None

    def test_a_group_that_keeps_nothing(self) -> None:
        """It has a step, as a tile must."""
        found = combined(layer_of(np.zeros((1, 2, 1), bool)), 4, 1)
        assert (found.columns[0].tolist(), found.taken[0].tolist()) == ([[0, -1]], [[-1] * 4])


class TestChoices:
    """Which layers read two maps, and where their maps lie."""

    KEPT = np.broadcast_to(np.array([[1, 0, 1, 0], [0, 1, 0, 1]] * 2, bool)[:, :, None], (4, 4, 9))

    def test_a_layer_that_does(self) -> None:
        """2 x 9 steps and not 4 x 9; maps of 5 x 4 words lie 4 beyond 2 turns of 8 banks, those of 4 x 4 are moved."""
        of = of_maps(self.KEPT, (5, 4), SAME, "kernel")
        array = MacArray(4, 4)
        assert tiles_of(of, of.layers[1], array).tolist() == [[18, 4]] * 5
        assert tiles_of(of, of.layers[1], MacArray(4, 4, combine=False)).tolist() == [[36, 4]] * 5
        assert pitch_of(of, "a", array) == 20
        assert pitch_of(of_maps(self.KEPT, (4, 4), SAME, "kernel"), "a", array) == 16 + 4
        slots = slots_of(of, of.layers[1], array, tiles_of(of, of.layers[1], array))
        assert (slots.useful_slots, slots.pruned_slots) == (slots.slots, 0)

    def test_rows_that_are_passed(self) -> None:
        """Rows of 5 pixels that lie side by side are passed; with words between them tiles end with rows."""
        same = of_maps(self.KEPT, (4, 5), SAME, "kernel")
        assert walk_of(same, same.layers[1], MacArray(4, 4)).flat
        inner = of_maps(self.KEPT, (6, 7), Window.square(3), "kernel")
        walks = [walk_of(inner, inner.layers[1], MacArray(4, 4, combine=combine)) for combine in (False, True)]
        assert [(walk.flat, walk.tiles) for walk in walks] == [(True, 5), (False, 8)]  # 8 x 18 steps, 5 x 36

    def test_a_gap_that_saves_more(self) -> None:
        """Where tiles that pass the ends of rows take fewer cycles than two maps a step, a step reads one."""
        kept = self.KEPT.copy()
        kept[0] = True  # 4 steps a tap either way but for one map
        of = of_maps(kept, (6, 7), Window.square(3), "kernel")
        assert combined_of(of, of.layers[1], MacArray(4, 4)) is None
        assert walk_of(of, of.layers[1], MacArray(4, 4)).flat

    def test_what_stays_as_it_is(self) -> None:
        """Lanes that keep the same maps, one multiplier, no lists, pixels two words apart, maps side by side."""
        of = of_maps(self.KEPT, (5, 4), SAME, "kernel")
        alike = of_maps(np.repeat(self.KEPT[:1], 4, axis=0), (5, 4), SAME, "kernel")
        double = of_maps(self.KEPT, (5, 9), Window.square(3, 2, 1), "kernel")
        for made, array in (
            (alike, MacArray(4, 4)),
            (of, MacArray(1, 4)),
            (of, MacArray(2, 4, weight_bits=4)),
            (of, MacArray(4, 4, list_entries=0)),
            (double, MacArray(4, 4)),
        ):
            assert combined_of(made, made.layers[1], array) is None
        flat, last = FlattenLayer("f", ("a",)), mac(np.random.default_rng(0), "c", "f", (2, 4 * 16, 1), SIGNED)
        made = of_maps(self.KEPT, (4, 4), SAME, "kernel")
        both = program([*made.layers[:1], made.layers[1], flat, last], (1, 4, 4))
        assert combined_of(both, both.layers[1], MacArray(4, 4)) is None

    def test_nothing_is_built_that_no_layer_takes(self) -> None:
        """An array for a Program has no bits for a second map if no step of it reads one."""
        masks = np.repeat(self.KEPT[:1], 4, axis=0), self.KEPT[[0, 0, 1, 1]]  # two lanes share a multiplier
        without, given = (array_for(of_maps(kept, (5, 4), SAME, "kernel"), 4, 4) for kept in masks)
        assert (without.combine, without.weight_word_bits) == (False, 4 * without.weight_bits)
        assert (given.combine, given.weight_word_bits) == (True, 4 * given.weight_bits + 2)
        assert without.entry_fields["other"].bits == without.layer_fields["combine"].bits == 0
