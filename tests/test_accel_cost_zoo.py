"""Every zoo network and pattern: the model's bits are the file's, its MACs the engine's, its memories the assembler's.

That its cycles are the RTL's is tested in `test_rtl_zoo.py`.
"""

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from support.masks import unasked

from accel import archive
from accel.array import MacArray
from accel.cost import Invariants, cost_of, layer_storages, live_signals
from accel.cost.storage import DENSE
from accel.demand import array_for
from accel.interchange import zoo
from accel.places import signal_words
from accel.program import KIND, Program
from accel.quantize import Widths, lower
from rtl.assemble import assemble
from sim.engine import compile_program

VERSIONS = [(network, pattern) for network in zoo.names() for pattern in zoo.patterns(network)]
every_version = pytest.mark.parametrize(("network", "pattern"), VERSIONS)


@cache
def programmed(network: str, pattern: str, weight_bits: int = 4) -> Program:
    """Return a zoo network as a Program; its steps come from random pixels, because no data set is needed to count."""
    version = zoo.load(network, pattern)
    pixels = np.random.default_rng(0).random((4, *version.network.input_shape), np.float32)
    return lower(version, Widths(weight_bits, 6), pixels)


def held_by_the_file(of: Program) -> dict[str, dict[str, int]]:
    """Return the bits of the packed words of each layer, by field, as the header of the Program's file has them."""
    data = archive.dump(KIND, of)
    length = int.from_bytes(data[10:14], "little")
    head = json.loads(data[14 : 14 + length])

    def bits(place: Any) -> int:
        if isinstance(place, list):
            return sum(bits(x["fields"]["words"]) for x in place)
        entry = head["arrays"][place["array"]]
        return math.prod(entry["shape"]) * entry["bits"]

    layers = head["record"]["fields"]["layers"]
    held = {}
    for fields in (layer["fields"] for layer in layers if layer["class"] == "MacLayer"):
        held[fields["name"]] = {name: bits(fields[name]) for name in ("weights", "index", "bias")}
    return held


@pytest.mark.slow
@every_version
def test_bits_are_those_of_the_file(network: str, pattern: str) -> None:
    """Weights, index and biases of every layer take the bits that the Program's file holds; so say the closed forms."""
    of = programmed(network, pattern)
    held, costs = held_by_the_file(of), {layer.name: layer.counts for layer in cost_of(of).layers}
    for layer in of.mac_layers:
        counts, file = costs[layer.name], held[layer.name]
        assert (counts.weight_memory_bits, counts.index_memory_bits) == (file["weights"], file["index"])
        assert counts.bias_memory_bits == file["bias"]
        ways = {way.name: way for way in layer_storages(layer)}
        chosen = ways[DENSE if layer.encoding == "none" else layer.encoding]
        assert chosen.stored
        assert chosen.bits(layer.weight_bits) == file["weights"] + file["index"]
        assert chosen.bits(4) == min(way.bits(4) for way in unasked(ways).values() if way.stored)
        assert chosen.bits(5) != file["weights"] + file["index"]  # negative control: a bit more a weight


@pytest.mark.slow
@every_version
def test_macs_are_those_of_the_engine(network: str, pattern: str) -> None:
    """The engine counts, layer by layer, the multiply-accumulates that the model does; so does the schedule."""
    of = programmed(network, pattern)
    codes, cost = np.zeros((1, *of.input_shape), np.int64), cost_of(of)
    total, counted = cost.total, compile_program(of).run(codes).macs
    assert counted == {layer.name: layer.counts.macs for layer in cost.layers if layer.pattern}
    assert sum(counted.values()) == total.macs
    assert {x.name: x.macs for x in Invariants(of).schedule(array_of(of)) if x.macs} == counted
    assert total.macs <= total.dense_macs
    assert (total.macs < total.dense_macs) == (pattern != "dense")  # negative control: pruning is seen


def array_of(of: Program) -> MacArray:
    """Return the 8x8 array that fits."""
    return array_for(of, 8, 8)


@every_version
def test_memories_are_those_of_the_assembler(network: str, pattern: str) -> None:
    """Every memory has as many words as the assembler writes for 8x8 lanes."""
    of = programmed(network, pattern)
    invariants = Invariants(of)
    array = array_of(of)
    image = assemble(of, array)
    memories = {
        memory.name: memory
        for memory in invariants.memories(array, invariants.words, invariants.costs(invariants.words))
    }
    assert memories["weights"].words * array.weight_banks == len(image.weights)
    assert memories["constants"].words == len(image.constants)
    assert memories["taps"].words == len(image.taps)
    assert memories["layers"].words == len(image.layers)
    assert (memories["entries"].words if "entries" in memories else 0) == len(image.entries)
    assert memories["signals"].banks * memories["signals"].words >= signal_words(of, array)
    other = array_for(of, 4, 8)
    fewer = {
        memory.name: memory
        for memory in invariants.memories(other, invariants.words, invariants.costs(invariants.words))
    }
    assert fewer["weights"].words * other.weight_banks != len(image.weights)  # negative control: another array


@every_version
def test_the_peak_is_held(network: str, pattern: str) -> None:
    """The bits of live signals fit the words of the memory, each as wide as the widest."""
    invariants = Invariants(programmed(network, pattern))
    widest = invariants.words.signal_bits
    output, words = invariants.program.roots[invariants.program.output], signal_words(invariants.program, MacArray())
    for held in live_signals(invariants.program).values():
        assert sum(bits for name, bits in held.items() if name != output) <= words * widest
