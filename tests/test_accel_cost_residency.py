"""What stays on the chip: beside a search of everything that could, and bounds that no choice may break."""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import combinations, product
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.mobile import mobilenet, quantized, resnet8
from support.networks import chain, images_for
from support.programs import programs

from accel.array import MacArray
from accel.cost import cost_of, estimate, residency
from accel.cost.plans import NOTHING, Plan
from accel.cost.residency import Residents
from accel.demand import array_for
from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower

FEW_PARTS, FEW_SHARES = 5, 3


def residents_of(of: Program) -> Residents:
    """Return what may stay of a Program on an array that leaves nothing out."""
    return Residents.of(of, MacArray(), cost_of(of).layers)


def searched(of: Residents, room_bits: int) -> float:
    """Return the least traffic of all groups, sets of weights and tensors that stay, and sizes set apart."""
    weights, room = of.weight_bits, room_bits - of.fixed_bits
    part = max(1, -(-weights // FEW_PARTS))
    owners = [index for index, stage in enumerate(of.stages) if stage.loops.weight_bits]
    least = math.inf
    for kept in subsets(owners):
        parts = sum(-(-of.stages[index].loops.weight_bits // part) for index in kept)
        sizes = [weights * share**2 // FEW_SHARES**2 for share in range(FEW_SHARES)]
        sizes = [size for size in sizes if parts <= size // part] + [weights] * (len(kept) == len(owners))
        for stay, cuts in product(subsets(of.tensors), subsets(range(1, len(of.stages)))):
            ends = [*sorted(cuts), len(of.stages)]
            groups = [*zip([0, *ends], ends, strict=False)]
            least = min([least, *(moved(of, room - size, kept, stay, groups) for size in sizes)])
    return least


def subsets(of: Iterable[Any]) -> list[frozenset[Any]]:
    """Return all sets of some of these."""
    known = [*of]
    return [frozenset(x) for n in range(len(known) + 1) for x in combinations(known, n)]


def moved(of: Residents, room: int, kept: frozenset[int], stay: frozenset[str], groups: list[tuple[int, int]]) -> float:
    """Return the traffic of all groups in what is left beside weights that stay; infinite where one has too little.

    A tensor that stays is there while somebody holds it, of a group from its begin on; what begins and ends in a group
    is never whole. Of a group the weights stay or come all.
    """
    total = of.tensors[INPUT] if INPUT in stay else 0.0
    for first, end in groups:
        owners = {at for at in range(first, end) if of.stages[at].loops.weight_bits}
        streamed = sum(of.stages[at].loops.weight_bits for at in owners - kept)
        stage, held = of.stages[first], NOTHING.union(*(x.held for x in of.stages[first:end]))
        if end == first + 1:
            there = stage.held & stay
            found = stage.tilings(there, bool(streamed))
            at = int(found.best(room - of.taken(there)))
            total += math.inf if at < 0 else int(found.traffic[at]) + (stage.target not in there) * stage.output_bits
            continue
        there = held & stay & (of.held(first - 1) | of.held(end) | {INPUT})
        if owners & kept not in (owners, set()) or of.tangled(first, end, there):
            return math.inf
        group = of.group(first, end, there)
        total += math.inf if group.line_bits + streamed > room - of.taken(there) else group.traffic + streamed
    return total


def check_room(of: Residents, plan: Plan) -> None:
    """Check that no layer takes more than there is: weights and tensors that stay, and its tile."""
    for stage, layer in zip(of.stages, plan.layers, strict=True):
        tilings = stage.tilings(layer.there, not layer.weights_stay)
        if layer.tile:
            tile = tilings.room[tilings.tiles.index(layer.tile)]
            assert layer.weight_room_bits + layer.signal_room_bits == of.taken(layer.there) + tile
        room = layer.weight_room_bits + layer.signal_room_bits
        assert of.fixed_bits + plan.resident_bits + room <= plan.room_bits


class TestAgainstASearch:
    @settings(max_examples=15, deadline=None)
    @given(of=programs(every_kind=True), more=st.floats(0, 1.2))
    def test_equal(self, of: Program, more: float) -> None:
        """No groups, and no set of weights and tensors that stay, move less than what is planned."""
        residents = residents_of(of)
        assume(len(residents.stages) <= 3)  # what is searched doubles with each
        whole = cost_of(of).memory_bits
        room = residents.least_bits + int(more * max(0, whole - residents.least_bits))
        with patch.multiple(residency, PARTS=FEW_PARTS, SHARES=FEW_SHARES):
            plan = residents.plan(room)
            assert plan.dram_bits == searched(residents, room)
        check_room(residents, plan)

    def test_a_worse_plan_is_seen(self) -> None:
        """Negative control: what moves least in half of the memory is not what the search finds in all of it."""
        residents = residents_of(lower(PrunedNetwork(chain()), Widths(4, 5, 8), images_for(chain())))
        room = 3 * residents.least_bits
        with patch.multiple(residency, PARTS=FEW_PARTS, SHARES=FEW_SHARES):
            assert residents.plan(room // 2).dram_bits > searched(residents, room)
            with pytest.raises(AssertionError):
                check_room(residents, Plan(**{**vars(residents.plan(room)), "room_bits": room // 2}))


class TestBounds:
    @settings(max_examples=15, deadline=None)
    @given(of=programs(every_kind=True), steps=st.lists(st.floats(0, 1.5), min_size=2, max_size=4))
    def test_less_memory_never_moves_less(self, of: Program, steps: list[float]) -> None:
        """Traffic never falls when memory shrinks, whether anything stays or not; no room is exceeded."""
        residents = residents_of(of)
        least, whole = residents.least_bits, cost_of(of).memory_bits
        rooms = sorted(least + int(step * max(0, whole - least)) for step in steps)
        plans = [residents.plan(room) for room in rooms]
        assert [plan.dram_bits for plan in plans] == sorted((plan.dram_bits for plan in plans), reverse=True)
        apart = [residents.plan(room, between=False).dram_bits for room in rooms]
        assert apart == sorted(apart, reverse=True)
        assert all(plan.dram_bits <= other for plan, other in zip(plans, apart, strict=True))
        for plan in plans:
            check_room(residents, plan)

    @settings(max_examples=15, deadline=None)
    @given(of=programs(every_kind=True))
    def test_everything_fits(self, of: Program) -> None:
        """Then the image comes, the scores go, and weights come once for all images: nothing moves less."""
        residents, cost = residents_of(of), cost_of(of)
        borders = sum(math.prod(of.shapes[x]) * of.signals[x].bits for x in (INPUT, of.output))
        plan = residents.whole(cost.memory_bits)
        assert (plan.dram_bits, plan.whole) == (borders, True)
        assert plan.first_dram_bits + residents.fixed_bits == borders + cost.total.parameter_memory_bits
        if len(residents._may_stay) == len({name for stage in residents.stages for name in stage.held}):
            ample = residents.plan(10 * (cost.memory_bits + residents.least_bits))
            assert ample.dram_bits <= borders  # less, where no layer reads all rows of the image
            assert residents.plan(residents.least_bits).dram_bits >= ample.dram_bits

    def test_layer_by_layer(self) -> None:
        """With nothing between layers each weight, input and output moves at least once, and no more with room enough.

        The halo and what is read again are what more room saves.
        """
        of = quantized(resnet8(np.random.default_rng(0)), np.random.default_rng(1))
        residents = residents_of(of)
        once = residents.weight_bits
        for stage in residents.stages:
            shapes = [of.shapes[x] for layer in of.layers if layer.name == stage.name for x in layer.inputs]
            once += 8 * sum(map(math.prod, shapes)) + stage.output_bits
        strided = 8 * (16 * 32 * 16 + 32 * 16 * 8)  # 1x1 kernels at stride 2 read every other row
        assert residents.plan(1 << 24, between=False).dram_bits == once - strided
        assert residents.plan(8 << 13, between=False).dram_bits > once - strided

    def test_groups_move_less(self) -> None:
        """MobileNetV1's depthwise layers run with those beside them: what is between them does not move any more."""
        of = quantized(mobilenet(np.random.default_rng(0), side=32, blocks=4), np.random.default_rng(1))
        residents = residents_of(of)
        alone, groups = (residents.plan(6 << 13, most_fused=most) for most in (1, 12))
        assert groups.dram_bits < 0.6 * alone.dram_bits
        assert {layer.group for layer in alone.layers} == {0}
        sizes = Counter(layer.group for layer in groups.layers if layer.group)
        assert max(sizes.values()) > 1
        check_room(residents, groups)
        for plan in (alone, groups):  # whatever runs together, all weights that do not stay come at least once
            assert sum(x.weight_bits for x in plan.layers) + plan.resident_bits >= residents.weight_bits

    def test_as_estimates_have_it(self) -> None:
        """What moves where everything fits is what the estimate of an array says, whose weights are resident."""
        of = quantized(resnet8(np.random.default_rng(0)), np.random.default_rng(1))
        assert residents_of(of).whole(0).dram_bits == estimate(of, array_for(of, 8, 8)).dram_bits

    def test_too_little(self) -> None:
        """Below the smallest memory that works there is one line, which says how much it is; at it there is a plan."""
        residents = residents_of(lower(PrunedNetwork(chain()), Widths(4, 5, 8), images_for(chain())))
        least = residents.least_bits
        assert residents.plan(least).dram_bits > 0
        with pytest.raises(EspalierError, match=f"needs {least:,} bits in the smallest tiles, not {least - 1:,}$"):
            residents.plan(least - 1)
