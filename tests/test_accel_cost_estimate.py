"""The whole estimate: sums, what fits and what binds, energy by hand, other word lengths."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.networks import chain, images_for, residual
from support.programs import PIXEL, mac_layer, program

from accel.cost import (
    Estimate,
    Invariants,
    Limits,
    cost_of,
    estimate,
    estimate_of,
    load_technology,
    technology_names,
    total_cycles,
)
from accel.cost.design import RESIDENT, STREAMED
from accel.cost.energy import access_joules, energy_of_time, memory_joules
from accel.cost.macros import PlacedMemory
from accel.cost.stalls import total_interval
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.network import INPUT, Network
from accel.program import Program
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.window import Window
from accel.words import Words
from reports.workflow.verdicts import binding, filled, problems, record, verdict

ASIC = load_technology("asic-45nm")
FREE = Limits()
KINDS = {macro.name: macro for macro in ASIC.macros}


def programmed(network: Network, pattern: str = "dense", weight_bits: int = 5, signal_bits: int = 6) -> Program:
    """Return the Program of a network, half of each layer pruned that may be."""
    masks = {} if pattern == "dense" else select_by_magnitude(Space.of(network, pattern), 0.5)
    return lower(PrunedNetwork(network, masks), Widths(weight_bits, signal_bits), images_for(network))


def lenet5(pattern: str) -> Program:
    """Return LeNet-5 of the zoo, its steps from random pixels."""
    version = zoo.load("lenet5", pattern)
    return lower(version, Widths(4, 6), np.random.default_rng(0).random((8, 1, 28, 28), np.float32))


def of(it: Program, lanes: tuple[int, int] = (8, 8), **limits: float) -> Estimate:
    """Return the estimate on an array whose words are just wide enough."""
    return estimate(it, array_for(it, *lanes), **limits)  # type: ignore[arg-type]


def stream(it: Program, dram_bytes_per_s: float) -> Estimate:
    """Return what it would take to stream the weights."""
    invariants, limits = Invariants(it), Limits(dram_bytes_per_s=dram_bytes_per_s, stream=True)
    return estimate_of(invariants, invariants.words, array_for(it, 8, 8), ASIC, limits)


def memory(e: Estimate, name: str) -> PlacedMemory:
    """Return the memory of that name."""
    return next(m for m in e.memories if m.name == name)


@pytest.fixture(scope="module", params=["dense", "kernel", "block-4", "irregular"])
def lenet(request: pytest.FixtureRequest) -> Program:
    """Return LeNet-5 in a few patterns."""
    return lenet5(request.param)


def listed(value: Any) -> Any:
    """Return plain values with lists in the place of tuples, as JSON has them."""
    if isinstance(value, dict):
        return {name: listed(one) for name, one in value.items()}
    return [listed(one) for one in value] if isinstance(value, list | tuple) else value


class TestSums:
    @pytest.mark.parametrize("technology", technology_names())
    def test_the_layers_sum_to_the_total(self, lenet: Program, technology: str) -> None:
        """Cycles, MACs, joules and DRAM bits are those of the layers, the image's start and the borders apart."""
        e = of(lenet, technology=technology)  # type: ignore[arg-type]
        assert e.cycles == total_cycles(lenet, e.array) == 6 + sum(x.cycles for x in e.layers)
        assert e.cycles == e.spent.compute_cycles + e.spent.drain_cycles + e.spent.fill_cycles
        assert e.macs == cost_of(lenet).total.macs
        assert e.dram_bits == 28 * 28 * 8 + 10 * lenet.signals[lenet.output].bits  # the image and the scores
        if e.energy is not None:
            layers = sum(x.energy.total_joules for x in e.layers if x.energy)
            table, between = e.technology.energy, e.interval_cycles - e.cycles + 6
            assert table is not None
            rest = energy_of_time(table, e.array, e.memory_bits, between, 100e6).total_joules
            borders = e.dram_bits * table.dram * 1e-12
            load = memory_joules(e.load_accesses, access_joules(table, e.memories))
            assert e.energy.total_joules == pytest.approx(layers + rest + borders + load)
        assert (e.energy is None) == all(x.energy is None for x in e.layers)
        assert e.cycles != total_cycles(lenet, replace(e.array, pixel_lanes=4))  # negative control: another array

    def test_bits_are_the_programs(self, lenet: Program) -> None:
        """What is stored is what `cost_of` counts; blocks hold that and are no smaller."""
        cost, e = cost_of(lenet), estimate(lenet, array_for(lenet, 8, 8, overlap=False))
        assert e.stored_bits == cost.memory_bits
        weights = sum(x.counts.weights * x.weight_bits for x in cost.layers)  # without what fills blocks at an edge
        filling = cost.total.weight_memory_bits - weights
        control = sum(x.control_bits for x in e.layers)  # what the index has become, and sizes, but for the shifts
        index = cost.total.index_memory_bits
        assert e.payload_bits == cost.memory_bits - filling - index + control  # no scores are held at the peak
        assert e.memory_bits == e.payload_bits + e.waste_bits
        by_name = {memory.name: memory.payload_bits for memory in e.memories}
        shifts = 6 * sum(x.counts.requantize_memory_bits > 0 for x in cost.layers)  # they lie in the words of layers
        assert by_name["weights"] == weights
        assert by_name["constants"] == cost.total.bias_memory_bits + cost.total.requantize_memory_bits - shifts
        assert by_name.get("entries", 0) + by_name["taps"] + by_name["layers"] == control + shifts
        assert by_name["signals"] == cost.signal_memory_bits

    def test_the_next_image(self, lenet: Program) -> None:
        """The image that runs and the next one have places that nothing else takes: their bits come on top."""
        e, alone = of(lenet), estimate(lenet, array_for(lenet, 8, 8, overlap=False))
        signals = next(m for m in e.memories if m.name == "signals")
        image = lenet.input_signal.bits * math.prod(lenet.input_shape)
        others = [x.held_bits - (image if x.name == "conv1" else 0) for x in alone.layers]
        assert signals.payload_bits == max(others) + 2 * image == max(x.held_bits for x in e.layers)
        assert (e.cycles, e.interval_cycles) == (alone.cycles, alone.interval_cycles - e.load_cycles)

    def test_a_record_is_json(self, lenet: Program) -> None:
        """Plain numbers: what is written is read back equal, with a row for each layer that computes and memory."""
        found = record(of(lenet))
        assert json.loads(json.dumps(found)) == listed(found)
        assert [row["name"] for row in found["layers"]] == ["conv1", "conv2", "conv3", "fc4", "fc5"]  # pools are fused
        assert sum(row["cycles"] for row in found["layers"]) + 6 == found["cycles"]

    @pytest.mark.parametrize("network", [chain(), residual()])
    def test_what_layers_leave_empty(self, network: Network) -> None:
        """Words of weights and constants are the layers' payload and filling; the peak of signals is what one holds."""
        it = programmed(network, "kernel")
        e = estimate(it, array_for(it, 3, 4, overlap=False))
        weights, constants, signals = (
            next(m for m in e.memories if m.name == x) for x in ("weights", "constants", "signals")
        )
        filling = sum(x.filling_bits for x in e.layers)
        assert filling == weights.bits + constants.bits - weights.payload_bits - constants.payload_bits
        assert max(x.held_bits for x in e.layers) == signals.payload_bits
        assert all(x.filling_bits >= 0 < x.held_bits for x in e.layers)
        assert filling != sum(x.filling_bits for x in of(it, (4, 4)).layers)  # negative control: other lanes

    @pytest.mark.parametrize("network", [chain(), residual()])
    def test_facts_are_for_all_arrays(self, network: Network) -> None:
        """What was found once for some lanes is what a Program of its own would say."""
        it = programmed(network, "kernel")
        invariants = Invariants(it)
        for lanes in ((8, 8), (3, 4), (8, 8), (1, 1)):
            for bits in (5, 8):
                depths = {"signal_words": 1 << 10, "weight_words": 1 << 12, "list_entries": 1 << 9}
                array = replace(invariants.array(invariants.words, *lanes, depths), weight_bits=bits)
                assert estimate_of(invariants, invariants.words, array, ASIC, FREE) == estimate(it, array)
                assert estimate(it, array).cycles == total_cycles(it, array)


class TestFits:
    def test_exactly(self, lenet: Program) -> None:
        """Memory of exactly the bits of the blocks is enough; one bit less is not, and the line says so."""
        bits = of(lenet).memory_bits
        assert of(lenet, sram_bits=bits).fits
        short = of(lenet, sram_bits=bits - 1)
        assert not short.fits
        assert problems(short)[0].startswith(f"memory blocks of {bits / 8192:.1f} KiB are needed, ")
        assert verdict(short).startswith("does not fit: ")
        assert binding(short).startswith("room binds: memory blocks of")

    def test_streaming(self) -> None:
        """Were weights streamed, there would be room for two groups of them, and the array would wait."""
        it = lenet5("dense")
        resident, stalled = of(it), stream(it, 1e8)
        assert (resident.weights, stalled.weights) == (RESIDENT, STREAMED)
        assert stalled.memory_bits < resident.memory_bits
        assert stalled.cycles == resident.cycles + stalled.spent.stall_cycles > resident.cycles
        # the largest group is conv3's: 8 outputs of 16 x 25 weights; 2 buffers
        assert memory(stalled, "weights").words == 2 * 400 // 8
        # what is loaded: groups of 8 outputs, the last one of a layer filled up: 8 + 16 + 120 + 88 + 16 rows;
        # of 84 inputs of the last 88, which are 11 windows
        words = 8 * 25 + 16 * 150 + 120 * 400 + 88 * 120 + 16 * 88
        assert stalled.dram_bits - resident.dram_bits == 4 * words
        assert stream(it, 1e12).spent.stall_cycles == stream(it, 1e10).spent.stall_cycles  # a word a cycle at most

    def test_streaming_is_asked_for(self, lenet: Program) -> None:
        """None are streamed unasked; the array that does so has two buffers, which are what is sized."""
        stalled = stream(lenet, 1e8)
        assert (stalled.weights, stalled.fits, problems(stalled)) == (STREAMED, True, ())
        array = array_for(lenet, 8, 8, stream=True)
        assert (stalled.array, estimate(lenet, array, dram_bytes_per_s=1e8).cycles) == (array, stalled.cycles)
        fast = estimate(lenet, array)  # a word a cycle
        assert fast.interval_cycles == total_interval(lenet, array) < stalled.interval_cycles
        short = of(lenet, sram_bits=of(lenet).memory_bits - 1, dram_bytes_per_s=1e8)
        assert (short.weights, short.fits, short.spent.stall_cycles) == (RESIDENT, False, 0)
        assert of(lenet, dram_bytes_per_s=1e8).fits  # negative control
        with pytest.raises(EspalierError, match="weights can be streamed only from a DRAM of a given bandwidth"):
            Limits(stream=True)

    def test_a_faster_dram_waits_less(self) -> None:
        """Stalls never rise with the bandwidth; where they are most of the cycles, its roof is the lower one."""
        found = [stream(lenet5("dense"), rate) for rate in (1e7, 1e8, 2e8, 1e10)]
        waits = [e.spent.stall_cycles for e in found]
        assert waits == sorted(waits, reverse=True)
        assert len(set(waits)) == 4
        assert 0.9 < waits[0] / found[0].cycles < 1
        assert (found[0].roofline.bound, found[-1].roofline.bound) == ("bandwidth", "compute")

    def test_multipliers_and_blocks(self) -> None:
        """An FPGA has so many multipliers and blocks: 16 x 8 lanes at 8 bits are 128 and 8 to requantise, of 72."""
        it = lower(zoo.load("digits"), Widths(8, 8), np.random.default_rng(0).random((8, 1, 8, 8), np.float32))
        wide = of(it, (16, 8), technology="ecp5-45f")  # type: ignore[arg-type]
        assert problems(wide) == ("136 multipliers are needed, there are 72",)
        assert of(it, (8, 8), technology="ecp5-45f").fits  # type: ignore[arg-type]
        large = of(lenet5("dense"), (8, 128), technology="ecp5-45f")  # type: ignore[arg-type]
        assert (
            problems(large)[0]
            == f"{sum(x.count for x in large.memories if x.macro == 'EBR')} EBR are needed, there are 108"
        )

    def test_what_binds(self) -> None:
        """Where it fits, what most cycles go to: steps; rows that a tile of few steps leaves; the pipeline."""
        assert binding(of(lenet5("dense"))).startswith("multipliers bind: 8")
        one, many = (mac_layer("conv", INPUT, np.ones((n, 1, 1)), PIXEL, window=Window((1, 1))) for n in (1, 64))
        assert binding(of(program([one]))).startswith("the pipeline between layers binds: 9")
        assert binding(of(program([many], (1, 9, 1)), (64, 1))).startswith("the drain binds, one row a cycle: 9")


class TestEnergy:
    def test_by_hand(self) -> None:
        """One layer of 2 outputs x 3 pixels x 4 weights on 2 x 4 lanes: each event times its number in the table."""
        layer = mac_layer("conv", INPUT, np.full((2, 1, 4), 7), PIXEL, window=Window((1, 4)), weight_bits=8)
        it = program([layer], (1, 1, 6))
        e = of(it, (2, 4))
        table, (row,) = ASIC.energy, e.layers
        assert table is not None
        assert (row.cost.counts.macs, row.spent.compute_cycles) == (24, 4)  # one tile, 4 steps
        mac = 0.2e-12 + table.add.at(layer.accumulator_bits) * 1e-12  # 8 x 8 bits
        weights, signals = memory(e, "weights"), memory(e, "signals")
        reads = 4 * table.sram_joules(weights.macro_bits // 4, 16)  # a word a step, of one of 4 banks
        reads += 4 * 4 * table.sram_joules(signals.macro_bits // 8, 8)  # 4 signals a step; 8 banks; sums leave the chip
        for name, words in (("taps", 4), ("constants", 2), ("layers", 1)):  # a step, a row, a layer
            reads += words * table.sram_joules(memory(e, name).macro_bits, memory(e, name).width_bits)
        assert row.energy is not None
        assert row.energy.mac_joules == pytest.approx(24 * mac)
        assert row.energy.sram_joules == pytest.approx(reads)
        bits = 3 * (8 + 8) + layer.accumulator_bits  # operands, the product twice, the accumulator; then its shadow
        clock = row.cycles * 8 * (bits + layer.accumulator_bits) * 0.00037
        assert row.energy.register_joules == pytest.approx((24 * bits * 0.009 + clock) * 1e-12)
        leaking = 0.0033e-3 * e.memory_bits / 2**20
        assert row.energy.leakage_joules == pytest.approx(row.cycles / 100e6 * leaking)
        assert (row.energy.requantize_joules, row.energy.dram_joules) == (0, 0)  # accumulators leave as they are
        borders = 6 * 8 + 6 * layer.accumulator_bits
        assert e.energy is not None
        assert e.energy.dram_joules == pytest.approx(borders * 1950e-12 / 64, rel=1e-3)
        load = 8 * table.sram_joules(signals.macro_bits // 8, 8)  # two beats of 4 words for 6
        assert e.energy.sram_joules == pytest.approx(reads + load)

    def test_fewer_weights_take_less(self) -> None:
        """Pruned layers multiply less and read less; narrower words multiply for less."""
        dense, pruned = of(lenet5("dense")).energy, of(lenet5("kernel")).energy
        assert dense is not None
        assert pruned is not None
        assert pruned.mac_joules < dense.mac_joules
        assert pruned.sram_joules < dense.sram_joules
        invariants = Invariants(lenet5("dense"))
        by_bits = [at(invariants, bits, bits).energy for bits in range(2, 9)]
        joules = [x.mac_joules for x in by_bits if x]
        assert len(joules) == 7
        assert joules == sorted(joules)

    def test_area(self) -> None:
        """8-bit lanes: 282 square micrometers, an adder and registers; memory 1.211 a bit and 12,640 a block.

        None where nothing is known.
        """
        it = programmed(chain(), weight_bits=8, signal_bits=8)
        e = of(it)
        table = ASIC.area
        assert table is not None
        bits = e.array.accumulator_bits
        lanes = 64 * (282 + table.add.at(bits) + 5.98 * (48 + 2 * bits))
        drain = 8 * table.multiply.at(math.sqrt(bits * 16))
        memories = e.memory_bits * 1.211 + sum(x.count for x in e.memories) * 12_640
        assert e.area_mm2 == pytest.approx((lanes + drain + memories) / 1e6)
        assert of(it, technology="zu7ev").area_mm2 is None  # type: ignore[arg-type]


def at(invariants: Invariants, weight_bits: int, signal_bits: int, lanes: tuple[int, int] = (8, 8)) -> Estimate:
    """Return the estimate at other word lengths."""
    words = invariants.words.scaled(weight_bits, signal_bits)
    return estimate_of(invariants, words, invariants.array(words, *lanes), ASIC, FREE)


INVARIANTS = {
    name: Invariants(programmed(network, "kernel")) for name, network in (("chain", chain()), ("residual", residual()))
}
lane_counts = st.tuples(st.integers(1, 20), st.sampled_from([1, 2, 4, 8, 16]))


class TestWordLengths:
    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(["chain", "residual"]), st.integers(2, 8), st.integers(1, 8), lane_counts, st.booleans())
    @example(name="chain", weight_bits=5, signal_bits=1, lanes=(5, 1), weights=True)
    def test_memory_never_falls_when_bits_rise(
        self, name: str, weight_bits: int, signal_bits: int, lanes: tuple[int, int], weights: bool
    ) -> None:
        """A bit more of weights or signals: no memory has fewer bits, of the Program or in words, nor blocks less room.

        The array's words grow with the Program's, but for additions, which take fewer words of a wider array, and where
        lanes stop sharing multipliers and may take maps of their own: there the array stays as it is.
        """
        invariants, words = INVARIANTS[name], INVARIANTS[name].words.scaled(weight_bits, signal_bits)
        wider = invariants.words.scaled(weight_bits + weights, signal_bits + (not weights))
        arrays = [invariants.array(x, *lanes) for x in (words, wider)]
        if name == "residual" or arrays[0].weights_per_multiplier != arrays[1].weights_per_multiplier:
            arrays[0] = arrays[1]
        less, more = (
            estimate_of(invariants, x, array, ASIC, FREE) for x, array in zip((words, wider), arrays, strict=True)
        )
        assert more.stored_bits > less.stored_bits
        taken = (sum(x.count * ASIC.block_size(KINDS[x.macro]) for x in e.memories) for e in (more, less))
        assert next(taken) >= next(taken)
        for ours, theirs in zip(less.memories, more.memories, strict=True):
            assert theirs.bits >= ours.bits
            assert theirs.payload_bits >= ours.payload_bits
        assert more.cycles == less.cycles

    def test_lanes_that_part(self) -> None:
        """Where wider weights no longer share a multiplier, lanes may take maps of their own: cycles change."""
        narrow, wide = (at(INVARIANTS["chain"], x, 1, (2, 1)) for x in (5, 6))
        assert narrow.array.weights_per_multiplier > wide.array.weights_per_multiplier
        assert wide.cycles < narrow.cycles

    def test_additions_take_words(self) -> None:
        """Negative control: on an array that grows with it, a residual network's weight memory can be fewer bits."""
        narrow, wide = (memory(at(INVARIANTS["residual"], bits, 1, (2, 1)), "weights").bits for bits in (2, 3))
        assert narrow > wide

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(["chain", "residual"]), lane_counts)
    def test_utilization_is_a_share(self, name: str, lanes: tuple[int, int]) -> None:
        """No layer uses more lanes than there are, nor attains more than the roofs."""
        e = at(INVARIANTS[name], 5, 5, lanes)
        assert 0 < e.utilization <= 1
        assert all(0 <= x.utilization <= 1 for x in e.layers)
        assert e.roofline.attained_macs_per_s <= e.roofline.peak_macs_per_s

    @pytest.mark.parametrize("pattern", ["dense", "kernel", "irregular"])
    def test_scaled_words_are_near_a_programs_own(self, pattern: str) -> None:
        """Exact for weights, index and signals; accumulators and biases within two bits of the lowered Program's."""
        version, pixels = zoo.load("lenet5", pattern), np.random.default_rng(0).random((8, 1, 28, 28), np.float32)
        invariants = Invariants(lower(version, Widths(4, 6), pixels))
        for bits in ((3, 4), (6, 8)):
            own, ours = Words.of(lower(version, Widths(*bits), pixels)), invariants.words.scaled(*bits)
            assert (own.exact, ours.exact) == (True, False)
            leaving = set(own.output)
            assert {n: b for n, b in own.signals.items() if n not in leaving} == {
                n: b for n, b in ours.signals.items() if n not in leaving
            }
            for name, mine in own.layers.items():
                assert mine.weight_bits == ours.layers[name].weight_bits
                assert abs(mine.accumulator_bits - ours.layers[name].accumulator_bits) <= 2
                assert abs(mine.bias_bits - ours.layers[name].bias_bits) <= 2

    def test_the_same_words_are_exact(self) -> None:
        """Scaled to what they are, word lengths cost what they cost."""
        invariants = Invariants(programmed(chain(), "kernel", 5, 6))
        same = at(invariants, 5, 6)
        assert not same.exact
        assert replace(same, exact=True) == estimate_of(invariants, invariants.words, same.array, ASIC, FREE)


class TestRefusals:
    it = programmed(chain())

    @pytest.mark.parametrize(
        ("limits", "words"),
        [
            ({"technology": "asic"}, "unknown technology 'asic': did you mean 'asic-45nm'?"),
            ({"clock_hz": 0}, "clock_hz must be a positive number, got 0"),
            ({"clock_hz": math.nan}, "clock_hz must be a positive number, got nan"),
            ({"dram_bytes_per_s": -1.0}, "dram_bytes_per_s must be a positive number, got -1.0"),
            ({"sram_bits": 0}, "sram_bits must be a positive number, got 0"),
        ],
    )
    def test_limits(self, limits: dict[str, float], words: str) -> None:
        """What cannot be is told with its name."""
        with pytest.raises(EspalierError) as refused:
            of(self.it, **limits)
        assert str(refused.value).startswith(words)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"accumulator_bits": 9}, "chain does not run on this array: conv1: needs accumulator_bits of"),
            ({"weight_bits": 4}, "chain does not run on this array: conv1: needs weight_bits of 5, the array has 4"),
            ({"signal_bits": 7}, "chain does not run on this array: signals need signal_bits of 8, the array has 7"),
        ],
    )
    def test_an_array_too_small(self, words: dict[str, int], message: str) -> None:
        """An array whose words do not hold the Program's is refused, with the layer, the need and the limit."""
        array = array_for(self.it, 4, 4)
        assert estimate(self.it, array).fits  # negative control: just wide enough
        with pytest.raises(EspalierError) as refused:
            estimate(self.it, replace(array, **words))  # type: ignore[arg-type]
        assert str(refused.value).startswith(message)

    def test_word_lengths(self) -> None:
        """Nor are word lengths scaled that no Program has."""
        with pytest.raises(EspalierError, match=r"weight_bits must be 2\.\.16, got 1"):
            Words.of(self.it).scaled(1, 4)
        with pytest.raises(EspalierError, match=r"signal_bits must be 1\.\.16, got 17"):
            Words.of(self.it).scaled(4, 17)


def test_grouped_layers_say_how_they_lie() -> None:
    """96 maps that read themselves, 4 taps each: 0.4 KiB of weights, and what fills words; no line without groups."""
    own = np.eye(96, dtype=bool)[:, :, None] & np.ones(4, bool)
    words = {"kept": own, "pattern": "groups-96", "encoding": "by groups", "window": Window.square(2)}
    e = of(program([mac_layer("own", INPUT, own * 7, PIXEL, weight_bits=8, **words)], (96, 4, 4)), (8, 8))
    filling = f"{e.layers[0].filling_bits / 8192:.1f}"
    assert filled(e) == f"grouped: own lie as weights for all lanes: 0.4 KiB of them, {filling} KiB of filling"
    assert filled(of(lenet5("dense"))) is None
