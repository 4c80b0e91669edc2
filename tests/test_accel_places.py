"""Where a Program's tensors lie in the memory of signals."""

import math
from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from support.networks import Sketch, chain, images_for, residual
from support.programs import every_kind, program, programs
from support.rtl_images import HALF, POINT, layer

from accel.array import MacArray
from accel.fusion import computing, drained, fused_pools, held_on, written
from accel.network import INPUT, Network
from accel.places import places_on, signal_words, words_of
from accel.program import Program
from accel.program_layers import ConcatLayer, FlattenLayer, ProgramLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.quantize.lower_shapes import lower_shapes
from reports.studies.memory.networks import NETWORKS
from reports.workflow.from_torch import from_torch

ARRAY = MacArray()
Words = NDArray[np.int64]


def ends(of: Program) -> list[int]:
    """Return the end of every tensor that has a place, what lies between its maps included."""
    return [place + words_of(of, name, ARRAY) for name, place in places_on(of, ARRAY).items()]


def assert_apart(of: Program, places: dict[str, int]) -> None:
    """Raise AssertionError unless each layer finds the words that were computed for it, also when its own are written.

    Words are numbers of their own; the output is held by the receiver.
    """
    memory = np.full(signal_words(of, ARRAY), -1)
    tensors, fresh = dict[str, Words](), count()

    def put(name: str) -> None:
        tensors[name] = np.fromiter(islice(fresh, math.prod(of.shapes[name])), np.int64)
        store(name)

    def store(name: str) -> None:
        if of.roots[name] != of.roots[of.output]:
            memory[places[name] :][: tensors[name].size] = tensors[name]

    def check(reader: ProgramLayer) -> None:
        for source in {*reader.inputs} & places.keys():
            found = memory[places[source] :][: tensors[source].size]
            assert np.array_equal(found, tensors[source]), f"{reader.name} does not find {source}"

    put(INPUT)
    behind = {x.name for fused in drained(of, ARRAY).values() for x in fused}
    for running in of.layers:
        if running.name in behind:
            continue
        check(running)
        if isinstance(running, FlattenLayer | ConcatLayer):
            tensors[running.name] = np.concatenate([tensors[source] for source in running.inputs])
            store(running.name)
        else:
            put(written(of, running, ARRAY))
        check(running)


@given(programs(every_kind=True))
@settings(max_examples=60, deadline=None)
def test_nothing_overlaps(of: Program) -> None:
    """No word is overwritten that is read later, and the last tensor ends the memory."""
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


def test_joining_moves_nothing() -> None:
    """Two convolutions lie side by side in what joins them; so do two joins in a third, and a pool that is fused."""
    layers: list[ProgramLayer] = [
        layer(np.ones((2, 2, 1)), "dense", POINT, "a", INPUT, **HALF),
        layer(np.ones((3, 2, 1)), "dense", POINT, "b", INPUT, **HALF),
        ConcatLayer("left", ("b", "a")),
        ConcatLayer("right", ("left", "a")),  # it lies in the first one already
        ConcatLayer("all", ("right", "left")),
        layer(np.ones((1, 12, 1)), "dense", POINT, "c", "all"),
    ]
    of = program(layers, (2, 3, 4))
    places = places_on(of, ARRAY)
    assert_apart(of, places)
    words = {"b": 0, "a": 36, "left": 0, "right": 0, "all": 0}
    assert places == {INPUT: 0} | {name: 24 + place for name, place in words.items()}
    assert [x.name for x in computing(of, ARRAY)] == ["a", "b", "right", "all", "c"]
    assert [of.reads(x) for x in of.layers[2:5]] == [(), ("a",), ("left",)]


def three(*maps: int) -> Program:
    """Return a chain of three layers on maps of 2 x 2 with so many maps, those of the image first."""
    sketch = Sketch(maps[0], 2, 2)
    for number, outputs in enumerate(maps[1:], start=1):
        sketch.conv(f"conv{number}", outputs, kernel=1)
    network = sketch.network()
    return lower(PrunedNetwork(network, {}), Widths(5, 6), images_for(network))


def test_from_above() -> None:
    """What does not fit where a smaller image was lies there if the one between them leaves it room: 12 words, 16."""
    of = three(2, 4, 3, 1)
    assert places_on(of, ARRAY) == {INPUT: 0, "conv1": 12, "conv2": 0}
    assert signal_words(of, ARRAY) == 12 + 16 < 8 + 16 + 12
    assert_apart(of, places_on(of, ARRAY))


def test_a_hole_where_nothing_but_the_image_may_lie() -> None:
    """Beside an image that is loaded while another runs, tensors begin behind it."""
    of = three(2, 4, 3, 1)
    found = places_on(of, ARRAY, 8)
    assert found == {INPUT: 0, "conv1": 8, "conv2": 24}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
def test_holes_of_large_networks(name: str) -> None:
    """At most 2 % beside what is held at most."""
    assert_tight(lower_shapes(PrunedNetwork(NETWORKS[name](np.random.default_rng(0))), Widths(8, 8)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet", "unet-transposed", "unet-nearest", "inception-v3", "resnet-bottleneck"])
def test_holes_of_networks_that_join(name: str) -> None:
    """At most 2 % beside what is held at most, where tensors are held for long and lie side by side."""
    torch = pytest.importorskip("torch", reason="the corpus is of modules (extra train)")
    from support.corpus import CORPUS, made

    found = from_torch(made(name), torch.zeros(1, *CORPUS[name][1])).result
    assert isinstance(found, PrunedNetwork)
    assert_tight(lower_shapes(found, Widths(8, 8)))


def assert_tight(of: Program) -> None:
    """Raise AssertionError unless the words are at most 1.02 times those that are held at the same time."""
    held = [[name for name in names if name != of.roots[of.output]] for names in held_on(of, ARRAY).values()]
    most = max(sum(words_of(of, name, ARRAY) for name in names) for names in held)
    assert most <= signal_words(of, ARRAY) <= 1.02 * most


def test_the_largest_first_where_that_takes_less() -> None:
    """Two inverted bottlenecks: 144 + 96 + 32 words are held at once and suffice; in the order of layers it is 288."""
    sketch = Sketch(1, 4, 4)
    sketch.conv("stem", 2, kernel=1)
    sketch.conv("wide1", 6, kernel=1)
    sketch.depthwise("deep1")
    sketch.conv("thin1", 2, kernel=1)
    sketch.add("sum", "stem", "thin1")
    sketch.conv("wide2", 6, kernel=1)
    sketch.depthwise("deep2")
    sketch.conv("thin2", 3, kernel=1)
    sketch.conv("last", 1, kernel=1)
    network = sketch.network()
    of = lower(PrunedNetwork(network, {}), Widths(8, 8), images_for(network))
    assert [words_of(of, name, ARRAY) for name in ("wide1", "deep1", "stem")] == [144, 96, 32]
    assert signal_words(of, ARRAY) == 272 < 288
    assert places_on(of, ARRAY)["wide1"] == places_on(of, ARRAY)["wide2"] == 0
    assert_apart(of, places_on(of, ARRAY))


def test_the_check_notices() -> None:
    """Negative control: a place that is one word too low overlaps."""
    of = every_kind(np.random.default_rng(0))
    places = places_on(of, ARRAY)
    assert_apart(of, places)
    with pytest.raises(AssertionError):
        assert_apart(of, places | {"conv1": places["conv1"] - 1})
