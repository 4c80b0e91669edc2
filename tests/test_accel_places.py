"""Where a Program's tensors lie in the memory of signals."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from support.networks import Sketch, chain, images_for, residual
from support.programs import every_kind, program, programs
from support.rtl_images import HALF, POINT, layer

from accel.array import MacArray
from accel.fusion import fused_pools
from accel.network import INPUT, Network
from accel.places import places_on, signal_words
from accel.program import Program
from accel.program_layers import FlattenLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower

ARRAY = MacArray()


def ends(of: Program) -> list[int]:
    """Return the end of every tensor that has a place."""
    return [place + math.prod(of.shapes[name]) for name, place in places_on(of, ARRAY).items()]


def assert_apart(of: Program, places: dict[str, int]) -> None:
    """Raise AssertionError where two tensors overlap while both are held; the output is held by the receiver."""
    pools = {name: pool.name for name, pool in fused_pools(of, ARRAY).items()}
    tensors = [INPUT, *(x.name for x in of.layers if not isinstance(x, FlattenLayer) and x.name not in pools)]
    alias = {x.name: x.inputs[0] for x in of.layers if isinstance(x, FlattenLayer)}

    def root(name: str) -> str:
        return root(alias[name]) if name in alias else name

    for index, running in enumerate(of.layers):
        if isinstance(running, FlattenLayer) or running.name in pools.values():
            continue
        later = {root(source) for x in of.layers[index:] for source in x.inputs}
        earlier = {INPUT, *(pools.get(x.name, x.name) for x in of.layers[:index])}
        held = [name for name in tensors if name in later & earlier]
        if (writes := pools.get(running.name, running.name)) != root(of.output):
            held.append(writes)
        ranges = [range(places[name], places[name] + math.prod(of.shapes[name])) for name in held]
        assert all(x.stop <= signal_words(of, ARRAY) for x in ranges)
        for one, other in combinations(ranges, 2):
            assert one.stop <= other.start or other.stop <= one.start, f"{running.name}: {held} at {ranges}"


@given(programs())
@settings(max_examples=60, deadline=None)
def test_nothing_overlaps(of: Program) -> None:
    """Tensors that are held at the same time have no word in common, and the last of them ends the memory."""
    assert_apart(of, places_on(of, ARRAY))
    assert signal_words(of, ARRAY) == max(ends(of))


@pytest.mark.parametrize("network", [chain(), residual()])
def test_every_tensor_but_the_output(network: Network) -> None:
    """All tensors have a place but what is handed out and what a fused pool reads, which nothing stores."""
    of = lower(PrunedNetwork(network, {}), Widths(5, 6), images_for(network))
    stored = [name for name, root in of.roots.items() if root != of.roots[of.output]]
    assert list(places_on(of, replace(ARRAY, pool=False))) == stored
    pools = fused_pools(of, ARRAY)
    assert list(places_on(of, ARRAY)) == [name for name in stored if name not in pools]


def test_a_chain_is_a_ping_pong_buffer() -> None:
    """Tensors of a chain lie at the two ends in turn; the last one leaves the chip and needs no place."""
    layers = [layer(np.ones((2, 2, 1)), "dense", POINT, f"a{i}", f"a{i - 1}" if i else INPUT, **HALF) for i in range(4)]
    of = program([*layers], (2, 3, 4))
    assert places_on(of, ARRAY) == {INPUT: 0, "a0": 24, "a1": 0, "a2": 24}
    assert signal_words(of, ARRAY) == 48


def test_flattening_moves_nothing() -> None:
    """A flatten's output lies where its input lies."""
    of = every_kind(np.random.default_rng(0))
    places = places_on(of, ARRAY)
    assert places["flat"] == places["avg"]


def test_a_hole() -> None:
    """A tensor that does not fit where the image was comes after: 8 words of image, 16, then 12."""
    sketch = Sketch(2, 2, 2)
    sketch.conv("conv1", 4, kernel=1)
    sketch.conv("conv2", 3, kernel=1)
    sketch.conv("conv3", 1, kernel=1)
    network = sketch.network()
    of = lower(PrunedNetwork(network, {}), Widths(5, 6), images_for(network))
    assert signal_words(of, ARRAY) == 8 + 16 + 12 > 16 + 12


def test_the_check_notices() -> None:
    """Negative control: a place that is one word too low overlaps."""
    of = every_kind(np.random.default_rng(0))
    places = places_on(of, ARRAY)
    assert_apart(of, places)
    with pytest.raises(AssertionError):
        assert_apart(of, places | {"conv1": places["conv1"] - 1})
