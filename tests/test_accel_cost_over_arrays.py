"""Word lengths on many arrays at once cost what each costs alone, to the last bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accel.array import DEPTHS
from accel.cost import Invariants, Limits, Resource, estimate_of, load_technology
from accel.cost.array_facts import ArrayFacts, facts_of
from accel.cost.over_arrays import Arrays, Costs
from accel.cost.predictor import predict
from accel.cost.technology import PowerLaw, Technology
from accel.interchange import zoo
from accel.program import Program
from accel.quantize import Widths, in_order, lane_orders, lower_shapes
from accel.words import Words

NAMES = ("memory_bits", "multipliers", "cycles", "interval_cycles", "area_um2", "energy_pj", "short")
# so that loads bind here and there, and what is predicted too
LIMITS = Limits(dram_bytes_per_s=30e6, luts=30_000, cell_um2=2e6, mhz=105)
SCARCE = "ecp5-45f"
COUNT = 6


def alone(invariants: Invariants, words: Words, lanes: tuple[int, int], technology: Technology) -> tuple[Any, ...]:
    """Return what `estimate_of` says of one design, as `Costs` has it."""
    whole = estimate_of(invariants, words, invariants.array(words, *lanes), technology, LIMITS)
    missing = {shortage.resource for shortage in whole.shortages} - {Resource.MEMORY}
    energy = round(1e12 * whole.energy.total_joules) if whole.energy else 0
    area = round(1e6 * (whole.area_mm2 or 0))
    counts = whole.memory_bits, whole.multipliers, whole.cycles, whole.interval_cycles
    return (*counts, area, energy, bool(missing))


def rows(costs: Costs) -> list[tuple[Any, ...]]:
    """Return costs as `alone` has one of them."""
    return [tuple(row) for row in zip(*(getattr(costs, name).tolist() for name in NAMES), strict=True)]


def drawn(seed: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return random arrays, and random word lengths of both kinds: where lanes share a multiplier and where not."""
    rng = np.random.default_rng(seed)
    lanes = [(int(rng.integers(1, 40)), int(1 << rng.integers(0, 5))) for _ in range(COUNT)]
    bits = [tuple(map(int, rng.integers(2, 13, 2))) for _ in range(COUNT)]
    return lanes, [(2, 3), (12, 12), *bits]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("network", "pattern", "technology"),
    [
        ("digits", "kernel", "asic-45nm"),
        ("digits", "kernel", "asic-130nm"),
        ("digits", "dense", SCARCE),
        ("lenet5", "feature-map+kernel", "asic-28nm"),
        ("lenet-300-100", "block-4", "zynq-7020"),
        ("resnet8", "dense", "asic-45nm"),
        ("resnet8", "dense", "zu7ev"),
    ],
)
def test_equal_to_each_alone(network: str, pattern: str, technology: str) -> None:
    """Memory, multipliers, cycles, area, energy and whether there is enough: random arrays, random word lengths."""
    chip, pruned = load_technology(technology), zoo.load(network, pattern)
    lanes, bits = drawn(len(network + pattern + technology))
    programs = {pair: lower_shapes(pruned, Widths(*pair)) for pair in bits}
    words = {pair: Words.of(program) for pair, program in programs.items()}
    first = programs[bits[0]]
    ordered = [Invariants(in_order(first, lane_orders(first, outputs, pixels > 1))) for outputs, pixels in lanes]
    kinds: dict[object, Arrays] = {}
    found = []
    for pair in bits:
        kind = ordered[0].kind(words[pair])
        if kind not in kinds:
            kinds[kind] = arrays_of(first, ordered, words[pair], lanes)
        costs = kinds[kind].costs(ordered[0], words[pair], chip, LIMITS)
        expected = [alone(one, words[pair], each, chip) for one, each in zip(ordered, lanes, strict=True)]
        assert rows(costs) == expected
        assert costs.output_lanes.tolist() == [outputs for outputs, _ in lanes]
        found.append(rows(costs))
    assert len(kinds) == 2
    assert found[0] != found[1]  # negative control: word lengths matter
    wrong = kinds[ordered[0].kind(words[bits[0]])].costs(ordered[0], words[bits[1]], chip, LIMITS)
    assert rows(wrong) != found[1]  # negative control: facts of another kind give something else


def arrays_of(program: Program, ordered: list[Invariants], words: Words, lanes: list[tuple[int, int]]) -> Arrays:
    """Return the arrays with the facts of a Program."""
    pairs = zip(ordered, lanes, strict=True)
    return Arrays([facts_of(invariants, words, *each, LIMITS) for invariants, each in pairs], program)


def test_every_fact_counts() -> None:
    """Negative control: a word, a bank, a cycle or an access more is another cost, on its array alone."""
    program = lower_shapes(zoo.load("digits", "kernel"), Widths(4, 8))
    invariants, words, chip = Invariants(program), Words.of(program), load_technology()
    arrays = arrays_of(program, [invariants] * 2, words, [(4, 4), (8, 2)])
    usual, (one, other) = rows(arrays.costs(invariants, words, chip, LIMITS)), arrays.facts

    def changed(facts: ArrayFacts) -> None:
        anew = rows(Arrays([facts, other], program).costs(invariants, words, chip, LIMITS))
        assert anew[0] != usual[0]
        assert anew[1] == usual[1]

    changed(replace(one, cycles=one.cycles + 1))
    changed(replace(one, interval_cycles=one.interval_cycles + 10_000))
    for name, memory in one.memories.items():
        changed(replace(one, memories={**one.memories, name: memory._replace(words=memory.words + 10_000)}))
        changed(replace(one, memories={**one.memories, name: memory._replace(fixed=memory.fixed + 500)}))
    layer = one.layers["conv2"]
    changed(replace(one, loaded=one.loaded + 10_000))
    for name in ("macs", "output_words"):
        more = layer._replace(**{name: getattr(layer, name) + 10_000})
        changed(replace(one, layers={**one.layers, "conv2": more}))
    for place, name in enumerate(DEPTHS):
        accessed = tuple(10_000 * (at == place) + count for at, count in enumerate(layer.accessed))
        if name != "tables":  # there is no memory of them
            changed(replace(one, layers={**one.layers, "conv2": layer._replace(accessed=accessed)}))


@pytest.mark.parametrize(
    ("limit", "field", "resource"),
    [
        ("luts", "lut", Resource.LUTS),
        ("cell_um2", "cell_um2", Resource.CELLS),
        ("mhz", "fpga_mhz", Resource.CLOCK),
        ("mhz", "cell_mhz", Resource.CLOCK),
    ],
)
def test_what_is_predicted_is_limited(limit: str, field: str, resource: Resource) -> None:
    """Between what two arrays are predicted to take lies a limit that one of them meets, here and of each alone."""
    program, chip = lower_shapes(zoo.load("digits", "kernel"), Widths(4, 8)), load_technology()
    if field == "fpga_mhz":
        chip = load_technology("zu7ev")
    invariants, words, lanes = Invariants(program), Words.of(program), [(1, 1), (8, 8)]
    found = [getattr(predict(invariants.array(words, *each)), field) for each in lanes]
    assert found[0] != found[1]
    limits = Limits(**{limit: sum(found) / 2})
    arrays = Arrays([facts_of(invariants, words, *each, limits) for each in lanes], program)
    assert arrays.costs(invariants, words, chip, limits).short.tolist() == [False, True]
    assert arrays.costs(invariants, words, chip, Limits()).short.tolist() == [False, False]  # negative control
    for each, short in zip(lanes, (False, True), strict=True):
        e = estimate_of(invariants, words, invariants.array(words, *each), chip, limits)
        assert [x.resource for x in e.shortages] == [resource] * short


def test_a_law_takes_vectors() -> None:
    """Each element is what the law says of it alone, to the last bit."""
    sizes = np.array([[3.0, 8.0, 11.3], [32.0, 8.0, 700.0]])
    for law in (PowerLaw(((8, 10.0), (32, 21.0), (64, 22.0)), beyond=0.7), PowerLaw(((8, 3.0),), 1.7)):
        assert law.at(sizes).tolist() == [[law.at(x) for x in row] for row in sizes.tolist()]
        assert law.at(sizes)[0, 0] != law.at(8.0)
