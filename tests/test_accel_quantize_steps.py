import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import few
from support.networks import Array, chain, images_for, residual

from accel.errors import EspalierError
from accel.layers import Weighted
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import (
    RULES,
    Steps,
    Widths,
    alternating_step,
    clip_step,
    l2_step,
    lower,
    power_of_two_step,
    quantization_error,
    steps_of,
)
from accel.quantize.fit_step import to_power

Codes = tuple[int, int]
RANGES = [(-1, 1), (-3, 3), (-127, 127), (0, 1), (0, 15)]
every_range = pytest.mark.parametrize("codes", RANGES)
every_rule = pytest.mark.parametrize("rule", RULES)
numbers = st.lists(st.floats(-8, 8, width=32).filter(lambda x: not 0 < abs(x) < 1e-3), min_size=1, max_size=30)
WIDTHS = Widths(4, 5)


def is_power_of_two(value: float) -> bool:
    """Return whether `value` is 2**k."""
    return float(np.log2(value)).is_integer()


def has_code(values: list[float], codes: Codes) -> bool:
    """Return whether some value has a sign for which there is a code."""
    return any(codes[1] if value > 0 else value and codes[0] for value in values)


def weights_of(network: Network, name: str) -> Array:
    """Return the weights of a layer, batch norm folded."""
    layer = network.folded()[name]
    assert isinstance(layer, Weighted)
    return layer.weight


def same(one: Program, two: Program) -> bool:
    """Return whether two Programs have the same signals, weights and biases."""
    pairs = list(zip(one.mac_layers, two.mac_layers, strict=True))
    arrays = [(getattr(a, name), getattr(b, name)) for a, b in pairs for name in ("weights", "weight_steps", "bias")]
    return one.signals == two.signals and all(np.array_equal(a, b) for a, b in arrays)


class TestL2:
    @every_range
    @few
    @given(values=numbers)
    def test_no_step_of_a_dense_grid_is_better(self, codes: Codes, values: list[float]) -> None:
        """Of 2,000 steps, far finer than any value needs to twice the largest of them, none has a smaller error."""
        found = quantization_error(values, Steps().of(values, *codes), *codes)
        largest = max(map(abs, values)) or 1.0
        grid = np.geomspace(largest / max(map(abs, codes)) / 50, 2 * largest, 2000)
        assert found <= min(quantization_error(values, step, *codes) for step in grid) * (1 + 1e-9) + 1e-12

    @few
    @given(values=numbers, bits=st.integers(2, 9), signed=st.booleans(), two=st.booleans())
    def test_more_bits_never_give_a_larger_error(self, values: list[float], bits: int, signed: bool, two: bool) -> None:
        """The codes of n bits are among those of n + 1, so that the best error falls or stays; of powers of two too."""
        errors = []
        for width in (bits, bits + 1):
            codes = (1 - 2 ** (width - 1), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
            errors.append(quantization_error(values, Steps(power_of_two=two).of(values, *codes), *codes))
        assert errors[1] <= errors[0] * (1 + 1e-9) + 1e-12


class TestAlternating:
    @every_range
    @few
    @given(values=numbers)
    def test_it_ends_where_neither_codes_nor_step_change(self, codes: Codes, values: list[float]) -> None:
        """With the nearest codes z of its step, the step is sum(w z) / sum(z z); a step that is 1 % off is not."""
        if not has_code(values, codes):
            assert alternating_step(values, *codes) == 1.0
            return
        array, step = np.array(values, np.float64), alternating_step(values, *codes)

        def turn(step: float) -> float:
            z = np.sign(array) * np.ceil(np.abs(array) / step - 0.5)  # the lower code in the middle
            z = np.clip(z, *codes)
            return float(array @ z / (z @ z))

        assert turn(step) == pytest.approx(step, rel=1e-9)
        assert turn(step * 1.01) != pytest.approx(step * 1.01, rel=1e-9)

    @every_range
    @few
    @given(values=numbers)
    def test_it_is_never_better_than_l2_and_never_worse_than_its_start(self, codes: Codes, values: list[float]) -> None:
        """Every turn lowers the error, and the least of all is that of L2."""
        steps = [find(values, *codes) for find in (l2_step, alternating_step, clip_step)]
        least, found, start = (quantization_error(values, step, *codes) for step in steps)
        assert least * (1 - 1e-9) - 1e-12 <= found <= start * (1 + 1e-9) + 1e-12

    def test_by_hand(self) -> None:
        """8, 3, 3 in two bits start at 8, where 3 is 0: settled, with an error of 9 + 9. L2 has 14/3, all codes 1."""
        assert alternating_step([8.0, 3, 3], -1, 1) == 8.0
        assert l2_step([8.0, 3, 3], -1, 1) == pytest.approx(14 / 3, rel=1e-12)
        # 4 and -3 are 1 and -1 of step 4, so that the step becomes 7/2, where they still are
        assert alternating_step([4.0, -3, 0.1], -1, 1) == 3.5


class TestLargest:
    @pytest.mark.parametrize(
        ("values", "codes", "step", "power"),
        [
            ([0.5, -1.75, 1], (-7, 7), 0.25, 0.25),
            ([3.0, -9, 1], (0, 3), 1.0, 1.0),  # what has no code is not looked at
            ([-9.0, 3], (-3, 3), 3.0, 4.0),
            ([2.25], (-1, 1), 2.25, 4.0),  # the next one up, though 2 is nearer
            ([0.0, 0], (-7, 7), 1.0, 1.0),
        ],
    )
    def test_max(self, values: list[float], codes: Codes, step: float, power: float) -> None:
        """The largest magnitude is the last code; a power of two is rounded up, so that it is not clipped either."""
        assert Steps("max").of(values, *codes) == step
        assert Steps("max", power_of_two=True).of(values, *codes) == power

    @pytest.mark.parametrize(
        ("percentile", "step", "power"),
        [(90, 6, 8), (84, 5.6, 4), (100, 100 / 15, 8), (0, 1 / 15, 1 / 16), (0.5, 0.5 / 15, 1 / 32)],
    )
    def test_percentile(self, percentile: float, step: float, power: float) -> None:
        """Of the magnitudes 0..100 the p-th percentile is p: the last code, 15, is p.

        Powers of two are the nearest by their logarithm: 6 = 2**2.58 goes up, 5.6 = 2**2.49 down. At 0 the smallest
        magnitude that is not zero is taken.
        """
        values = np.arange(101) * np.where(np.arange(101) % 2, 1, -1)
        rule = Steps("percentile", percentile)
        assert rule.of(values, -15, 15) == pytest.approx(step, rel=1e-12)
        assert replace(rule, power_of_two=True).of(values, -15, 15) == power

    @few
    @given(values=numbers, codes=st.sampled_from(RANGES))
    def test_only_max_clips_nothing(self, values: list[float], codes: Codes) -> None:
        """With the rule max the nearest code is never beyond the last; a lower percentile gives no larger step."""
        step = Steps("max").of(values, *codes)
        low, high = (
            ((min(values), max(values)) if codes[0] else (0, max(values))) if has_code(values, codes) else (0, 0)
        )
        assert codes[0] * step <= low * (1 - 1e-12) or low >= 0
        assert high * (1 - 1e-12) <= codes[1] * step
        assert Steps("percentile", 50).of(values, *codes) <= step


@every_rule
@every_range
@few
@given(values=numbers)
def test_powers_of_two(rule: str, codes: Codes, values: list[float]) -> None:
    """Asked for, the step of each rule is 2**k, less than twice from the one that is none, but for L2."""
    step, power = (Steps(rule, power_of_two=two).of(values, *codes) for two in (False, True))
    assert is_power_of_two(power)
    if rule == "l2":
        assert power == power_of_two_step(values, *codes)
    else:
        assert 1 / math.sqrt(2) <= power / step < 2
        assert rule != "max" or power >= step


@given(st.integers(-30, 30), st.floats(1, 2, exclude_max=True))
def test_the_nearest_power(exponent: int, factor: float) -> None:
    """By the logarithm the middle of 1 and 2 is sqrt(2); up, everything above 1 is 2."""
    step = factor * 2.0**exponent
    assert to_power(step, up=False) == 2.0 ** (exponent + (factor >= math.sqrt(2)))
    assert to_power(step, up=True) == 2.0 ** (exponent + (factor > 1))


class TestLowering:
    @every_rule
    @pytest.mark.parametrize("build", [chain, residual])
    def test_every_step_is_by_the_rule(self, rule: str, build: Any) -> None:
        """Weights by their own values, conv1's signals by those that are read; the rules differ."""
        network = build()
        images, steps = images_for(network), Steps(rule, 97.0)
        program = lower(PrunedNetwork(network), WIDTHS, images, steps)
        for layer in program.mac_layers:
            assert layer.weight_steps.tolist() == [steps.of(weights_of(network, layer.name), -7, 7)]
        read = "pool1" if build is chain else "relu1"
        values = network.folded().forward(images)[read]
        assert program.signals["conv1"].step == steps.of(values, 0, 31)
        others = [lower(PrunedNetwork(network), WIDTHS, images, Steps(other)) for other in RULES if other != rule]
        assert all(other.signals["conv1"] != program.signals["conv1"] for other in others)

    def test_given_steps_are_used_as_they_are(self) -> None:
        """One step for conv2's weights, one for each of conv1's maps, one for fc3's signals; nothing else changes.

        The codes are those of the formula of the source at these steps.
        """
        given_steps = {"conv1": [0.25, 0.1, 0.3, 1 / 3], "conv2": 0.07}
        images, network = images_for(chain()), chain()
        program = lower(PrunedNetwork(network), WIDTHS, images, Steps(weights=given_steps, signals={"fc3": 0.123}))
        plain = {layer.name: layer for layer in lower(PrunedNetwork(network), WIDTHS, images).mac_layers}
        steps = {layer.name: layer.weight_steps.tolist() for layer in program.mac_layers}
        assert steps["conv1"] == given_steps["conv1"]
        assert steps["conv2"] == [0.07]
        assert steps["fc3"] == plain["fc3"].weight_steps.tolist()
        assert program.signals["fc3"].step == 0.123
        assert program.signals["conv1"] == plain["conv1"].output
        for layer in program.mac_layers:
            weights = weights_of(network, layer.name).reshape(len(layer.matrix), -1).astype(np.float64)
            scaled = np.abs(weights) / np.reshape(steps[layer.name], (-1, 1))
            assert np.array_equal(layer.matrix, np.sign(weights) * np.minimum(np.floor(scaled + 0.5), 7))
        assert not np.array_equal(program.mac_layers[0].matrix, plain["conv1"].matrix)

    @pytest.mark.parametrize("build", [chain, residual])
    @pytest.mark.parametrize("flags", [{}, {"power_of_two": True}, {"per_output": True}])
    def test_all_steps_of_a_program_give_it_again(self, build: Any, flags: dict[str, bool]) -> None:
        """Whatever the images: nothing is left to find. One step that is twice as large is noticed."""
        network = build()
        program = lower(PrunedNetwork(network), WIDTHS, images_for(network), Steps(**flags))
        found = steps_of(program)
        weights = {operand.layer: steps for operand, steps in found.items() if operand.kind == "weights"}
        signals = {operand.layer: float(steps[0]) for operand, steps in found.items() if operand.kind == "signals"}
        images = images_for(network, 2, seed=1)
        again = lower(PrunedNetwork(network), WIDTHS, images, Steps(**flags, weights=weights, signals=signals))
        assert same(program, again)
        signals["conv1"] *= 2
        assert not same(
            program, lower(PrunedNetwork(network), WIDTHS, images, Steps(**flags, weights=weights, signals=signals))
        )

    def test_a_mapping_that_changes_later(self) -> None:
        """Steps keep what they were given: neither the caller's mapping nor an array of it can change them."""
        array, weights = np.array([0.5]), {}
        weights["conv1"] = array
        steps = Steps(weights=weights)
        array[0], weights["conv2"] = 9.0, array
        assert {name: given.tolist() for name, given in steps.weights.items()} == {"conv1": [0.5]}
        with pytest.raises(ValueError, match="read-only"):
            steps.weights["conv1"][0] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "l1"}, "the rule of steps must be one of l2, alternating, max, percentile, got 'l1'"),
        ({"percentile": -1}, "percentile must be 0..100, got -1"),
        ({"percentile": 100.5}, "percentile must be 0..100, got 100.5"),
        ({"percentile": math.nan}, "percentile must be 0..100, got nan"),
        ({"weights": {"conv1": 0.0}}, "conv1: a given step must be a positive number, got 0.0"),
        ({"weights": {"conv1": [0.5, -1, -2]}}, "conv1: a given step must be a positive number, got -1.0"),
        ({"weights": {"conv1": []}}, "conv1: given steps must be one or an array"),
        ({"weights": {"conv1": [[0.5]]}}, "conv1: given steps must be one or an array"),
        ({"signals": {"conv1": math.inf}}, "conv1: a given step must be a positive number, got inf"),
        ({"signals": {"conv1": [0.5, 0.5]}}, "conv1: given steps must be one"),
        ({"signals": {"conv1": 0.3}, "power_of_two": True}, "conv1: a given step must be a power of two here, got 0.3"),
        (
            {"weights": {"conv1": [0.5, 3]}, "power_of_two": True},
            "conv1: a given step must be a power of two here, got 3.0",
        ),
    ],
)
def test_bad_steps(arguments: dict[str, Any], message: str) -> None:
    """What is no rule, no percentile or no step is refused in one line."""
    with pytest.raises(EspalierError, match=f"^{re.escape(message)}$"):
        Steps(**arguments)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            Steps(weights={"pool1": 0.5}),
            "chain: a step is given for the weights of pool1, only conv1, conv2, fc3, fc4 have some",
        ),
        (
            Steps(signals={"input": 0.5}),
            "chain: a step is given for the signals of input, only conv1, conv2, fc3 have some",
        ),
        # the last layer's signals are its accumulators
        (
            Steps(signals={"fc4": 0.5}),
            "chain: a step is given for the signals of fc4, only conv1, conv2, fc3 have some",
        ),
        (Steps(weights={"conv1": [0.5] * 3}), "conv1: takes 1 weight step or 4, got 3"),
        (Steps(weights={"fc4": [0.5] * 3}), "fc4: takes 1 weight step, got 3"),
    ],
)
def test_given_steps_that_do_not_fit(steps: Steps, message: str) -> None:
    """A step for what the network has not, or steps for another number of maps, are refused in one line."""
    with pytest.raises(EspalierError, match=f"^{re.escape(message)}$"):
        lower(PrunedNetwork(chain()), WIDTHS, images_for(chain()), steps)


def test_values_are_finite() -> None:
    """A value that is not finite has no step by any rule."""
    for rule in RULES:
        with pytest.raises(EspalierError, match=r"^cannot find a step for values that are not finite$"):
            Steps(rule).of([1.0, math.nan], -7, 7)
