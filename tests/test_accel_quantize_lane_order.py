"""Another order of output maps for the lanes of an array: the same scores, the same bits, fewer cycles."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import Sketch, chain, images_for, mobile, residual

from accel.cost import cost_of, total_cycles
from accel.demand import array_for, bare
from accel.errors import EspalierError
from accel.fixedpoint import Overflow
from accel.interchange import zoo
from accel.layers import Shape
from accel.network import Network
from accel.program import Program
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, in_order, lane_orders, lower, narrow_accumulators, ordered_for
from accel.row_order import union_columns
from accel.runs import steps_of
from accel.sparsity import LayerMask
from accel.split import splits
from rtl.simulate import simulate
from sim import golden
from sim.engine import compile_program

LANES = 4


def drawn(network: Network, pattern: str, ratio: float = 0.6) -> Program:
    """Return the Program of a network pruned by magnitude."""
    masks = select_by_magnitude(Space.of(network, pattern, spare=()), ratio)
    return lower(PrunedNetwork(network, masks, pattern), Widths(6, 6), images_for(network))


def joined() -> Network:
    """Return a network in which a concatenation and a flatten hand on maps whose order is free, and an addition."""
    sketch = Sketch(2, 5, 5)
    left = sketch.conv("conv1", 6, padding=1)
    right = sketch.conv("conv2", 5, padding=1, source="input")
    sketch.concat("join", left, right)
    sketch.relu("relu1")
    first = sketch.conv("conv3", 7, padding=1)
    second = sketch.conv("conv4", 7, padding=1)
    sketch.add("add", first, second)
    sketch.flatten()
    sketch.linear("fc5", 8)
    sketch.relu("relu5")
    sketch.linear("fc6", 3)
    return sketch.network("joined")


def lengths(program: Program, lanes: int = LANES) -> dict[str, float]:
    """Return how many columns the groups of each layer read."""
    return {x.name: union_columns(x.kept.reshape(x.shape[0], -1), lanes) for x in program.mac_layers}


def outputs(program: Program, network: Network) -> np.ndarray:
    """Return golden's scores."""
    return golden.run(program, program.input_signal.encode(images_for(network, 5)))[program.output]


PATTERNS = ["kernel", "irregular", "kernel+ikss", "block-3", "2:4", "kernel@2"]


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("make", [chain, residual, mobile, joined])
def test_the_scores_are_the_same(make, pattern: str) -> None:
    """To the bit, with as many bits of everything, in the file and charged; no group reads more."""
    network = make()
    before = drawn(network, pattern)
    after = ordered_for(before, LANES)
    assert (outputs(after, network) == outputs(before, network)).all()
    codes = before.input_signal.encode(images_for(network, 5))
    assert (compile_program(after).run(codes, 1).codes == compile_program(before).run(codes, 1).codes).all()
    assert cost_of(after).total == cost_of(before).total
    assert sum(lengths(after).values()) <= sum(lengths(before).values())


@pytest.mark.parametrize(("make", "moved"), [(chain, {"conv1", "conv2", "fc3"}), (joined, {"conv2", "conv3", "fc5"})])
def test_what_may_move_moves(make, moved: set[str]) -> None:
    """The equality above is not one of nothing: irregular layers read less; the class scores keep their places."""
    before = drawn(make(), "irregular", 0.8)
    orders = lane_orders(before, LANES - 1)
    assert moved <= {name for name, order in orders.items() if (order != np.arange(order.size)).any()}
    assert (orders[before.output] == np.arange(3)).all()
    short, long = lengths(in_order(before, orders), LANES - 1), lengths(before, LANES - 1)
    assert sum(short.values()) < sum(long.values())


def test_what_is_added_has_one_order() -> None:
    """conv3 and conv4, whose maps are added, have the order that is best for both together."""
    orders = lane_orders(drawn(joined(), "irregular", 0.8), LANES)
    assert (orders["conv3"] == orders["conv4"]).all()
    assert (orders["conv3"] != np.arange(7)).any()


def test_another_order_of_one_layer_is_noticed() -> None:
    """Negative control: a layer whose readers do not follow gives other scores."""
    network = chain()
    before = drawn(network, "irregular")
    after = ordered_for(before, 2)
    assert (outputs(after, network) == outputs(before, network)).all()
    moved = next(name for name, order in lane_orders(before, 2).items() if (order != np.arange(order.size)).any())
    mixed = [y if y.name == moved else x for x, y in zip(before.layers, after.layers, strict=True)]
    assert (outputs(replace(before, layers=tuple(mixed)), network) != outputs(before, network)).any()


def test_per_map_steps_move_along() -> None:
    """Multipliers, biases and steps of each output map go where their map goes."""
    network = chain()
    pruned = PrunedNetwork(network, select_by_magnitude(Space.of(network, "irregular", spare=()), 0.7))
    before = lower(pruned, Widths(6, 6), images_for(network), Steps("l2", per_output=True))
    after = ordered_for(before, LANES)
    order = lane_orders(before, LANES)["conv1"]
    old, new = before.mac_layers[0], after.mac_layers[0]
    assert old.requantize is not None
    assert new.requantize is not None
    assert (new.requantize.multipliers == old.requantize.multipliers[order]).all()
    assert (new.weight_steps == old.weight_steps[order]).all()
    assert len({*old.requantize.multipliers.tolist()}) > 1
    assert (outputs(after, network) == outputs(before, network)).all()


@pytest.mark.parametrize(("overflow", "free"), [(Overflow.WRAP, True), (Overflow.SAT, False)])
def test_sums_that_saturate_keep_their_order(overflow: Overflow, free: bool) -> None:
    """Wrapped sums do not depend on the order of products, saturated ones do: then the maps stay where they are."""
    network = chain()
    before = narrow_accumulators(drawn(network, "irregular", 0.7), 7, overflow)
    after = ordered_for(before, LANES)
    assert (after is not before) == free
    assert (outputs(after, network) == outputs(before, network)).all()


def test_groups_move_as_a_whole() -> None:
    """On 8 lanes two groups of kernel@4 share a list; they come together, and masks stay legal."""
    sketch = Sketch(4, 5, 5)
    sketch.conv("conv1", 16, padding=1)
    sketch.conv("conv2", 16, kernel=3)
    sketch.flatten()
    sketch.linear("fc3", 3)
    network = sketch.network()
    kept = np.zeros((16, 4, 9), bool)
    for group, maps in enumerate([(0, 1), (2, 3), (0, 1), (2, 3)]):
        kept[4 * group : 4 * group + 4, list(maps)] = True
    pruned = PrunedNetwork(network, {"conv1": LayerMask("kernel@4", kept)}, "kernel@4")
    before = lower(pruned, Widths(4, 4), images_for(network))
    after = ordered_for(before, 8)
    assert lengths(before, 8)["conv1"] == 2 * 36
    assert lengths(after, 8)["conv1"] == 2 * 18
    assert ordered_for(before, 4) is before  # each group has its own lanes already
    assert (outputs(after, network) == outputs(before, network)).all()


@pytest.mark.parametrize("pattern", ["kernel", "kernel+ikss", "feature-map+kernel", "block-4", "irregular", "2:4"])
def test_it_pays_on_pruned_networks(pattern: str) -> None:
    """On the zoo's digits an 8x8 array takes fewer cycles, 15 % fewer for kernels; none where it is dense.

    Its steps read one map: the order knows nothing of two.
    """
    network = zoo.load("digits", pattern)
    before = lower(network, Widths(5, 5), images_for(network.network))
    after = ordered_for(before, 8)
    cycles = [total_cycles(program, array_for(program, 8, 8, combine=False)) for program in (before, after)]
    assert cycles[1] < cycles[0] * (0.85 if pattern == "kernel" else 1)
    dense = lower(zoo.load("digits"), Widths(5, 5), images_for(network.network))
    assert ordered_for(dense, 8) is dense


@pytest.mark.slow
def test_the_hardware_agrees() -> None:
    """The ordered Program runs on the RTL with golden's codes in the cycles of the closed form."""
    network = chain()
    program = ordered_for(drawn(network, "kernel"), 2)
    array = array_for(program, 2, 2)
    codes = program.input_signal.encode(images_for(network, 1))
    (run,) = simulate(program, array, codes)
    assert (run.codes == golden.run(program, codes)[program.output][0]).all()
    assert run.cycles == total_cycles(program, array)


def test_other_widths_have_the_same_orders() -> None:
    """Orders follow from the masks alone, so that those of one Program serve at all word lengths."""
    network = chain()
    masks = select_by_magnitude(Space.of(network, "kernel", spare=()), 0.6)
    programs = [lower(PrunedNetwork(network, masks), Widths(*bits), images_for(network)) for bits in ((3, 8), (8, 3))]
    first, second = (lane_orders(program, LANES) for program in programs)
    assert all((first[name] == second[name]).all() for name in first)
    moved = in_order(programs[0], second)
    assert (outputs(moved, network) == outputs(programs[0], network)).all()


def test_lanes_are_positive() -> None:
    """No lanes, no groups."""
    with pytest.raises(EspalierError, match=r"^lanes must be at least 1, got 0$"):
        lane_orders(drawn(chain(), "kernel"), 0)


def test_shapes_are_kept() -> None:
    """No tensor becomes another one."""
    before = drawn(mobile(), "irregular")
    shapes: dict[str, Shape] = ordered_for(before, LANES).shapes
    assert shapes == before.shapes


def test_sums_that_are_split_need_fewer_windows() -> None:
    """No two outputs share a word, so that no order has fewer columns; but neighbours fit one window of eight words."""
    sketch = Sketch(1, 4, 8)
    sketch.flatten()
    sketch.linear("fc1", 4)
    sketch.relu("relu1")
    sketch.linear("fc2", 3)
    network = sketch.network()
    kept = np.zeros((4, 32, 1), bool)
    for output, first in enumerate((0, 16, 4, 20)):
        kept[output, first : first + 4] = True
    before = lower(PrunedNetwork(network, {"fc1": LayerMask("irregular", kept)}), Widths(4, 4), images_for(network))
    array = bare(2, 8, 4)
    after = ordered_for(before, 2, split=True)
    assert [len(steps) for steps in steps_of(before, before.mac_layers[0], array)] == [2, 2]
    assert [len(steps) for steps in steps_of(after, after.mac_layers[0], array)] == [1, 1]
    assert (outputs(after, network) == outputs(before, network)).all()
    assert ordered_for(before, 2) is before  # where sums are not split, columns count, and there is none to spare
    assert ordered_for(after, 2, split=True) is after


@pytest.mark.parametrize("pattern", ["kernel", "irregular"])
def test_no_split_sum_takes_more_steps(pattern: str) -> None:
    """Whatever is drawn, in the order that its layer's inputs have by then."""
    network = joined()
    before, array = drawn(network, pattern, 0.7), bare(LANES, 8, 4)
    after = ordered_for(before, LANES, split=True)
    split = [
        (old, new) for old, new in zip(before.mac_layers, after.mac_layers, strict=True) if splits(before, old, array)
    ]
    assert len(split) == 2
    steps = [[sum(map(len, steps_of(*x, array))) for x in ((before, old), (after, new))] for old, new in split]
    assert all(new <= old for old, new in steps)
    assert (outputs(after, network) == outputs(before, network)).all()
