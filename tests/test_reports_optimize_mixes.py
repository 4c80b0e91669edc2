"""Mixes of patterns: what a layer may become, and the path from the dense network to a small one."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.cost import total_cycles
from accel.demand import array_for
from accel.interchange import zoo
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from reports.optimize import mixes
from reports.optimize.mixes import Choice, Mix, choices_of, path, rest_of, spread
from reports.workflow.sources import random_images

LANES = 4, 4
OPTIONS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 100)), min_size=1, max_size=4)


def options(drawn: list[tuple[int, int]]) -> list[Choice]:
    """Return what a layer may become: dense at 40 without a loss, or what was drawn."""
    return [Choice("dense", 0, 40, 0.0), *(Choice("kernel", 0.5, cost, float(loss)) for cost, loss in drawn)]


@settings(max_examples=60, deadline=None)
@given(st.lists(OPTIONS, min_size=1, max_size=3))
def test_no_other_mix_is_better(drawn: list[list[tuple[int, int]]]) -> None:
    """Of all combinations none takes no more than a mix of the path and loses less; the last takes least of all."""
    layers = {f"layer{place}": options(each) for place, each in enumerate(drawn)}
    found = path(layers, 7)
    combinations = [*product(*layers.values())]
    for mix in found:
        loss = sum(x.loss for x in mix.choices.values())
        within = [x for x in combinations if 7 + sum(choice.cost for choice in x) <= mix.cost]
        assert min(sum(choice.loss for choice in x) for x in within) >= loss - 1e-9
    assert found[-1].cost == 7 + sum(min(x.cost for x in layer) for layer in layers.values())
    costs = [mix.cost for mix in found]
    assert costs == sorted(costs, reverse=True)
    assert found[0].name == "dense"


def test_a_greedy_choice_of_single_savings_would_be_worse() -> None:
    """Negative control: a choice inside the hull is never taken, though no other saves and loses less at once."""
    layer = [Choice("dense", 0, 40, 0.0), Choice("ikss", 0.5, 30, 9.0), Choice("kernel", 0.5, 20, 10.0)]
    assert [mix.name for mix in path({"one": layer}, 0)] == ["dense", "one kernel 0.5"]


def test_shares_of_the_dense_cost() -> None:
    """The nearest mix of each share, each once, from dear to cheap."""
    steps = [Mix({"one": Choice("kernel", cost / 100, cost, 0)}, cost) for cost in (100, 80, 60, 20)]
    assert [mix.cost for mix in spread(steps, (0.75, 0.79, 0.3, 0.55))] == [80, 60, 20]


@pytest.mark.parametrize("goal", ["fast", "small"])
def test_costs_are_those_of_the_network(goal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mix of one pattern and ratio takes what the Program with these masks takes; what is not pruned is the rest."""
    monkeypatch.setattr(mixes, "RATIOS", (0.5,))
    dense = zoo.load("digits")
    curvatures = {layer.name: 1.0 for layer in dense.network.weighted}
    choices = choices_of(dense, ["kernel"], curvatures, LANES, goal)
    assert {name: [x.ratio for x in found] for name, found in choices.items()} == {"conv2": [0, 0.5], "conv3": [0, 0.5]}
    space = Space.of(dense.network, "kernel")
    program = lower(
        PrunedNetwork(dense.network, select_by_magnitude(space, 0.5)),
        Widths(8, 8),
        random_images(dense.network.input_shape, 1),
    )
    last = path(choices, rest_of(dense, choices, LANES, goal))[-1]
    if goal == "fast":
        ordered = ordered_for(program, LANES[0], split=True)
        array = array_for(ordered, *LANES)
        start = total_cycles(ordered, array) - last.cost  # of an image, no layer's
        assert 0 <= start < 30
    else:
        stored = sum(x.nest.stored_words * x.weight_bits for x in program.mac_layers)
        assert stored < last.cost < 2 * stored  # and indices, biases, multipliers


def test_what_is_lost_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are -log(share of squares that stays) / 2 x curvature x squares: those that go where these are few."""
    monkeypatch.setattr(mixes, "RATIOS", (0.05, 0.95))
    dense = zoo.load("digits")
    curvatures = {layer.name: 2.0 for layer in dense.network.weighted}
    (_, little, most) = choices_of(dense, ["irregular"], curvatures, LANES, "small")["conv3"]
    masks = [select_by_magnitude(Space.of(dense.network, "irregular"), ratio)["conv3"] for ratio in (0.05, 0.95)]
    squares = np.square(dense.network["conv3"].weight.reshape(masks[0].kept.shape), dtype=np.float64)  # type: ignore[attr-defined]
    lost = [squares[~mask.kept].sum() for mask in masks]
    assert little.loss == pytest.approx(lost[0], rel=0.01)
    assert most.loss == pytest.approx(-squares.sum() * np.log(1 - lost[1] / squares.sum()))
    assert most.loss > lost[1]
