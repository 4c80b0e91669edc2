import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from support.networks import Sketch, chain, images_for

from accel.errors import EspalierError
from accel.layers import Linear
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import (
    HIGH_BITS,
    Calibration,
    Operand,
    Progress,
    Sensitivity,
    Widths,
    bits_of,
    highest_bits,
    lower_calibrated,
    operands_of,
    sensitivity,
)
from sim import golden

A, B = Operand("weights", "conv1"), Operand("signals", "conv1")


def toy(widths: Widths) -> float:
    """Return an error rate to which the weights of conv1 contribute 4**-bits, its signals twice that."""
    return 4.0 ** -bits_of(widths, A) + 2 * 4.0 ** -bits_of(widths, B)


def test_one_group_at_a_time() -> None:
    """Every error rate is that of one operand's bits and the other's 16: a closed form; more bits, less error."""
    rest = 4.0**-16
    found = sensitivity([A, B], toy, bits=[2, 3, 8])
    assert [(each.operand, each.bits) for each in found] == [(A, 2), (A, 3), (A, 8), (B, 2), (B, 3), (B, 8)]
    of_a, of_b = ([each.error_rate for each in found if each.operand == operand] for operand in (A, B))
    assert of_a == [4.0**-bits + 2 * rest for bits in (2, 3, 8)]
    assert of_b == [2 * 4.0**-bits + rest for bits in (2, 3, 8)]
    assert of_a == sorted(of_a, reverse=True)
    assert of_a != of_b


def test_what_is_asked_for() -> None:
    """Each operand has all bits from 2 to 8; what is not under test, save the image, has 16 bits, or fewer if told."""
    asked: list[Widths] = []
    sensitivity([A, B], lambda widths: asked.append(widths) or 0.5)  # type: ignore[func-returns-value]
    expected = [Widths(16, 16, 8, {"conv1": bits}, {}) for bits in range(2, 9)]
    assert asked == expected + [Widths(16, 16, 8, {}, {"conv1": bits}) for bits in range(2, 9)]
    sensitivity([A], lambda widths: asked.append(widths) or 0.5, bits=[4], high_bits=12, input_bits=6)  # type: ignore[func-returns-value]
    assert asked[-1] == Widths(12, 12, 6, {"conv1": 4}, {})


def test_full_precision_is_asked_for_once() -> None:
    """At the bits of the rest nothing is under test: one evaluation is that of all operands."""
    seen: list[Progress] = []
    found = sensitivity([A, B], toy, bits=[2, 16], progress=seen.append)
    assert [each.error_rate for each in found if each.bits == 16] == [3 * 4.0**-16] * 2
    assert [(step.evaluations, step.budget) for step in seen] == [(1, 3), (2, 3), (3, 3)]


def test_sixteen_bits_restore_the_float_network() -> None:
    """Measured by the golden model against the float network's classes: no image differs at 16 bits, some at 2."""
    network, images = chain(2), images_for(chain(2), 40)
    classes = network.scores(images).argmax(axis=1)
    calibration = Calibration(PrunedNetwork(network), images)

    def error_rate(widths: Widths) -> float:
        program = lower_calibrated(calibration, widths)
        scores = golden.run(program, program.input_signal.encode(images))[program.output]
        return float((scores.argmax(axis=1) != classes).mean())

    operands = operands_of(PrunedNetwork(network))
    found = sensitivity(operands, error_rate, bits=[2, HIGH_BITS])
    assert [each.error_rate for each in found if each.bits == HIGH_BITS] == [0.0] * len(operands)
    assert max(each.error_rate for each in found if each.bits == 2) > 0.1


def test_results_go_to_json() -> None:
    """What is measured is names and numbers."""
    text = json.dumps(asdict(Sensitivity(A, 3, 0.25)))
    assert text == '{"operand": {"kind": "weights", "layer": "conv1"}, "bits": 3, "error_rate": 0.25}'


def test_the_most_bits() -> None:
    """16, or as many as give a Program; what has none at 2 bits either says why."""

    def lowered(most: int) -> Any:
        def inner(widths: Widths) -> None:
            if max(widths.weight_bits, widths.signal_bits) > most:
                raise EspalierError(f"not {widths.weight_bits}")

        return inner

    assert [highest_bits(lowered(most)) for most in (99, 16, 12, 3, 2)] == [16, 16, 12, 3, 2]
    assert highest_bits(lowered(12), most=8) == 8
    with pytest.raises(EspalierError, match=r"^not 2$"):
        highest_bits(lowered(1))


@pytest.mark.slow
def test_the_most_bits_of_a_wide_layer() -> None:
    """2**14 products of magnitudes of 15 bits and signals of 16 need 46 bits, with a multiplier of 16 bits 62.

    That is one more than there are. The weights are 0.5 to 1, so that their codes are 3/4 of the largest on average.
    """
    sketch = Sketch(1, 128, 128)
    sketch.conv("conv", 1, kernel=1)
    sketch.relu("relu")
    sketch.flatten()
    weight = np.float32(np.random.default_rng(0).uniform(0.5, 1, (2, 1 << 14)))
    sketch.put(Linear("fc1", ("flat",), weight=weight, bias=np.zeros(2, np.float32)))
    sketch.relu("relu1")
    sketch.linear("fc2", 2)
    network = sketch.network()
    calibration = Calibration(PrunedNetwork(network), images_for(network, 1))

    def lowered(widths: Widths) -> Program:
        return lower_calibrated(calibration, widths)

    with pytest.raises(EspalierError, match="needs more than 61 bits"):
        lowered(Widths(16, 16))
    assert highest_bits(lowered) == 15


@pytest.mark.parametrize(("operands", "bits"), [([], [2]), ([A], [])])
def test_nothing_to_measure(operands: list[Operand], bits: list[int]) -> None:
    """No operands, or no bits, are refused."""
    with pytest.raises(EspalierError, match=r"^a sensitivity needs at least one operand and one width$"):
        sensitivity(operands, toy, bits=bits)


def test_bits_that_no_word_has() -> None:
    """Widths are checked before anything is measured."""
    with pytest.raises(EspalierError, match=r"^weight_bits must be 2..16, got 1$"):
        sensitivity([A], lambda widths: pytest.fail("asked"), bits=[8, 1])
