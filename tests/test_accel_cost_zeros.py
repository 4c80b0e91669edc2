"""Effective MACs, those of two operands that are not zero, beside loops that count; what gates spare of energy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.programs import CASES, PIXEL, Codes, batches, mac_layer, program, programs, signal

from accel.array import MacArray
from accel.cost import Invariants, Limits, cost_of, estimate_of, load_technology
from accel.cost.energy import written_bits
from accel.cost.zeros import LayerZeros, zero_gated, zeros_of
from accel.grouped_convolution import across_groups
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MacLayer
from accel.signal import Requantize
from accel.sparsity import LayerMask
from accel.window import Window
from sim import golden

some = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def measured(of: Program, codes: Codes) -> dict[str, LayerZeros]:
    """Return what is not zero of each layer's operands, from golden's tensors."""
    nonzeros = {name: np.count_nonzero(tensor, axis=0) for name, tensor in golden.run(of, codes).items()}
    return {x.name: x for x in zeros_of(of, nonzeros, len(codes))}


def by_loops(layer: MacLayer, signals: Codes) -> tuple[int, int]:
    """Return multiplications of kept weights, and those of two operands that are not zero, one after the other."""
    outputs, maps, taps = layer.shape
    window = layer.window or Window((1, 1))
    images = signals if layer.window else signals[:, :, None, None]
    (top, left, _, _), (down, across) = window.padding, window.stride
    height, width = window.output_size(*images.shape[2:])
    done = effective = 0
    for m, c, t in np.argwhere(layer.kept):
        weight = layer.matrix[m, c * taps + t]
        for image, y, x in np.ndindex(len(images), height, width):
            row, column = y * down + t // window.kernel[1] - top, x * across + t % window.kernel[1] - left
            inside = 0 <= row < images.shape[2] and 0 <= column < images.shape[3]
            done += 1
            effective += bool(weight and inside and images[image, c, row, column])
    assert (outputs, maps) == layer.kept.shape[:2]
    return done, effective


def counted(of: Program, codes: Codes) -> dict[str, tuple[int, int]]:
    """Return `by_loops` of every layer with weights."""
    tensors = golden.run(of, codes)
    return {layer.name: by_loops(layer, tensors[layer.inputs[0]]) for layer in of.mac_layers}


def sparse(shape: tuple[int, ...], highest: int, density: float, seed: int = 0) -> Codes:
    """Return codes of which about so many are not zero."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.integers(1, highest, shape, endpoint=True), 0)


def convolution(weights: Codes, window: Window, shape: tuple[int, int, int], **settings: Any) -> Program:
    """Return a Program of one convolution."""
    return program([mac_layer("conv", INPUT, weights, PIXEL, window=window, **settings)], shape)


class TestEffectiveMacs:
    @pytest.mark.parametrize("case", dict(CASES).items())
    @some
    @given(data=st.data())
    def test_patterns(self, case: tuple[str, str], data: st.DataObject) -> None:
        """Of any Program of any pattern each multiplication is counted once, and in all there are those charged."""
        of = data.draw(programs(case=case, every_kind=True))
        codes = data.draw(batches(of, 3))
        found = measured(of, codes)
        charged = {layer.name: layer.counts.macs for layer in cost_of(of).layers}
        for name, (done, effective) in counted(of, codes).items():
            assert found[name].nonzero_macs == effective
            assert found[name].macs * len(codes) == done == charged[name] * len(codes)

    @pytest.mark.parametrize(
        "window",
        [
            Window.square(3),
            Window.square(3, stride=2, padding=1),
            Window((2, 3), (1, 3), (1, 0, 0, 2)),
            Window.square(1),
            Window.square(5, padding=2),
        ],
    )
    @pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
    def test_windows(self, window: Window, density: float) -> None:
        """Strides leave signals out, borders add zeros: counted as the loops do.

        Negative control: with one signal more that is not zero, which a kernel reads, it is another number.
        """
        of = convolution(sparse((3, 2, window.taps), 7, 0.8), window, (2, 6, 7))
        codes = sparse((4, 2, 6, 7), 255, density)
        found = measured(of, codes)["conv"]
        assert found.nonzero_macs == counted(of, codes)["conv"][1]
        assert found.signal_density == pytest.approx(np.count_nonzero(codes) / codes.size)
        if density < 1:
            changed = codes.copy()
            changed[0, 0, 0, 0] = 0 if codes[0, 0, 0, 0] else 1  # which the first tap inside the map reads
            assert measured(of, changed)["conv"].nonzero_macs == counted(of, changed)["conv"][1] != found.nonzero_macs

    def test_borders_are_zeros(self) -> None:
        """A 3x3 kernel of ones on a full 3x3 map with a border reads 9 + 4 x 6 + 4 x 4 signals of 81.

        All signals of the map are not zero: the border, which is no signal, is none of the density.
        """
        found = measured(
            convolution(np.ones((1, 1, 9)), Window.square(3, padding=1), (1, 3, 3)), np.ones((1, 1, 3, 3), int)
        )
        assert (found["conv"].macs, found["conv"].effective_macs) == (81, 49)
        assert (found["conv"].signal_density, found["conv"].mac_density) == (1.0, 49 / 81)

    def test_weights_that_became_zeros(self) -> None:
        """A weight that is kept and has code 0 multiplies nothing, though it is stored and takes a cycle."""
        of = convolution(np.array([[[5], [0]], [[0], [3]], [[1], [1]]]), Window.square(1), (2, 1, 2))
        found = measured(of, np.array([[[[7, 0]], [[1, 1]]]]))["conv"]
        assert (found.weights, found.nonzero_weights, found.macs) == (6, 4, 12)
        assert found.nonzero_macs == 2 * 1 + 2 * 2  # two weights of map 0 meet one signal, two of map 1 two
        assert found.map_densities == (0.5, 1.0)

    def test_depthwise(self) -> None:
        """Each map meets its own kernel alone: of maps with 0, 2 and 4 signals, and kernels with 3, 2 and 1 weights."""
        own = np.array([[1, 1, 1, 0], [0, 2, 2, 0], [0, 0, 0, 3]])
        mask, codes = across_groups(LayerMask("dense", np.ones((3, 1, 4), bool)), own, 3)
        layer = {"kept": mask.kept, "pattern": mask.pattern, "encoding": "by groups"}
        of = convolution(codes.reshape(3, 3, 4), Window.square(2), (3, 2, 2), **layer)
        images = np.array([[[[0, 0], [0, 0]], [[0, 5], [0, 6]], [[1, 1], [1, 1]]]])
        found = measured(of, images)["conv"]
        assert (found.weights, found.nonzero_weights, found.macs) == (12, 6, 12)
        assert found.nonzero_macs == counted(of, images)["conv"][1] == 0 + 1 + 1
        assert found.map_densities == (0.0, 0.5, 1.0)

    def test_fully_connected(self) -> None:
        """Behind a flatten densities are those of the maps before it; MACs are per input."""
        flat = FlattenLayer("flat", (INPUT,))
        scores = mac_layer("scores", "flat", np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]]), PIXEL)
        of, codes = program([flat, scores], (2, 1, 2)), np.array([[[[3, 0]], [[9, 9]]], [[[0, 0]], [[9, 0]]]])
        found = measured(of, codes)["scores"]
        assert (found.reads, found.map_densities) == (INPUT, (0.25, 0.75))
        assert found.nonzero_macs == 3 + 2 == counted(of, codes)["scores"][1]
        assert found.effective_macs == 2.5

    def test_layer_after_layer(self) -> None:
        """What counts is the code that is read: a value too small for its step is a zero for the next layer."""
        first = {"requantize": Requantize([1], 4), "output": signal(4), "window": Window.square(1)}
        layers = [
            mac_layer("small", INPUT, np.array([[[1]]]), PIXEL, **first),
            mac_layer("next", "small", np.array([[[1]]]), signal(4), window=Window.square(1)),
        ]
        found = measured(program(layers, (1, 1, 4)), np.array([[[[1, 15, 16, 99]]]]))
        assert (found["small"].effective_macs, found["next"].effective_macs) == (4, 2)  # 16 and 99 are 1 and 6


class TestGates:
    """A lane that holds still spares its multiplier, its adder and the registers behind its operands."""

    ARRAY = MacArray(4, 4, 8, 8, 24)

    def estimated(self, of: Program) -> tuple[Any, Invariants]:
        """Return what a Program costs on an array that fits it."""
        invariants = Invariants(of)
        array = invariants.array(invariants.words, 4, 4)
        return estimate_of(invariants, invariants.words, array, load_technology("asic-45nm"), Limits()), invariants

    def test_what_is_spared(self) -> None:
        """Of 4 maps x 36 weights x 25 pixels with half of the signals zero: the energies by hand; cycles as before.

        Negative control: without a zero nothing is spared.
        """
        of = convolution(np.full((4, 4, 9), 3), Window.square(3), (4, 7, 7))
        e, invariants = self.estimated(of)
        codes = np.tile(np.array([0, 9] * 7)[:7], (1, 4, 7, 1))
        found = measured(of, codes)["conv"]
        gated = zero_gated(e, invariants, [found])
        (before,), (after,) = ([x.energy for x in one.layers] for one in (e, gated))
        table, spared = e.technology.energy, found.macs - found.effective_macs
        assert found.macs == 4 * 36 * 25
        assert 0 < spared < found.macs
        assert before.mac_joules - after.mac_joules == pytest.approx(spared * before.mac_joules / found.macs)
        behind = table.register + table.flip_flop * (written_bits(e.array) - 16)
        assert before.register_joules - after.register_joules == pytest.approx(spared * behind * 1e-12)
        rest = {"mac_joules": 0.0, "register_joules": 0.0}
        assert replace(before, **rest) == replace(after, **rest)
        assert (gated.cycles, gated.spent, gated.dram_bits) == (e.cycles, e.spent, e.dram_bits)
        full = measured(of, np.ones((1, 4, 7, 7), int))["conv"]
        assert zero_gated(e, invariants, [full]).energy == e.energy

    def test_nothing_but_zeros(self) -> None:
        """Then no lane multiplies, and operands still arrive in its registers while its clock runs."""
        of = convolution(np.full((4, 4, 9), 3), Window.square(3), (4, 7, 7))
        e, invariants = self.estimated(of)
        (layer,) = zero_gated(e, invariants, measured(of, np.zeros((1, 4, 7, 7), int)).values()).layers
        table, bits = e.technology.energy, written_bits(e.array) + e.array.accumulator_bits
        clock = e.array.macs_per_cycle * bits * e.cycles * table.clock
        arriving = 3600 * (e.array.weight_bits + e.array.signal_bits) * table.flip_flop
        assert layer.energy.mac_joules == 0
        assert layer.energy.register_joules == pytest.approx((arriving + clock) * 1e-12, rel=0.01)
        assert layer.energy.sram_joules == e.layers[0].energy.sram_joules > 0

    def test_without_energies(self) -> None:
        """A technology that says nothing of energy stays as it is, and so do layers of which nothing is known."""
        of = convolution(np.full((4, 4, 9), 3), Window.square(3), (4, 7, 7))
        e, invariants = self.estimated(of)
        zeros = measured(of, np.zeros((1, 4, 7, 7), int)).values()
        silent = replace(e, technology=load_technology("ecp5-45f"))
        assert zero_gated(silent, invariants, zeros) is silent
        assert zero_gated(e, invariants, []).energy == e.energy
