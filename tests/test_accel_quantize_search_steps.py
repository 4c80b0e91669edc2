import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.masks import few
from support.networks import Sketch, chain, images_for

from accel.errors import EspalierError
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Operand, Progress, Steps, Widths, lower, search_steps, steps_of
from sim import golden


def small() -> Network:
    """Return a network of three operands: weights of conv, signals of conv, weights of fc."""
    sketch = Sketch(1, 2, 2)
    sketch.conv("conv", 2, kernel=1)
    sketch.relu("relu")
    sketch.flatten()
    sketch.linear("fc", 2)
    return sketch.network("small")


def lowered(steps: Steps) -> Program:
    """Return the Program of the small network with 4 bits."""
    return lower(PrunedNetwork(small()), Widths(4, 4), images_for(small(), 4), steps)


START = steps_of(lowered(Steps()))
OPERANDS = [Operand("weights", "conv"), Operand("signals", "conv"), Operand("weights", "fc")]


def scales_of(program: Program) -> list[float]:
    """Return by what the step of each operand differs from the L2 step."""
    return [float(steps[0] / START[operand][0]) for operand, steps in steps_of(program).items()]


def chosen(steps: Steps) -> list[float]:
    """Return the same of found steps, by lowering with them."""
    return scales_of(lowered(steps))


class Planted:
    """An error rate whose lowest is at planted factors; counts how often it is asked."""

    def __init__(self, *factors: float) -> None:
        self.factors, self.calls = factors, 0

    def __call__(self, program: Program) -> float:
        self.calls += 1
        pairs = zip(scales_of(program), self.factors, strict=True)
        return min(1.0, sum(abs(math.log2(scale / factor)) for scale, factor in pairs) / 10)


def drawn(seed: int) -> Any:
    """Return an error rate without any order, in steps of 1/8, so that there are ties."""

    def error_rate(program: Program) -> float:
        digest = hashlib.sha256(repr((seed, np.round(scales_of(program), 6).tolist())).encode()).digest()
        return digest[0] % 9 / 8

    return error_rate


def test_groups() -> None:
    """The operands of a Program are its weights and what is requantised; the scores are not."""
    assert list(START) == OPERANDS


@pytest.mark.parametrize("planted", [(1, 1, 2**0.5), (2**-0.25, 2**0.25, 1), (2**0.5, 2**-0.5, 2**0.25)])
def test_it_finds_planted_steps(planted: tuple[float, ...]) -> None:
    """Where each operand has a better step among the factors, one pass finds all, and a second one that it is done.

    At most 25 of the 125 points are asked for: the start, 4 for each operand, and as many around the end of that pass.
    """
    error_rate = Planted(*planted)
    found = search_steps(lowered, error_rate)
    assert chosen(found) == pytest.approx(planted, rel=1e-12)
    assert error_rate(lowered(found)) == pytest.approx(0, abs=1e-12)
    assert error_rate(lowered(Steps())) > 0.02
    assert error_rate.calls <= 25 + 2


def test_all_steps_are_given() -> None:
    """What comes back names every step, so that the calibration images have no say any more."""
    found = search_steps(lowered, Planted(2**0.5, 1, 1))
    assert found.weights.keys() == {"conv", "fc"}
    assert found.signals.keys() == {"conv"}
    assert float(found.weights["conv"][0]) == float(START[OPERANDS[0]][0]) * 2**0.5


def test_ties_stay_at_the_start() -> None:
    """Where no step makes a difference all stay; where two are as good, the nearer to the start is taken."""
    assert chosen(search_steps(lowered, lambda program: 0.5)) == [1, 1, 1]

    def error_rate(program: Program) -> float:
        return 0.25 if scales_of(program)[0] > 1.1 else 0.5

    assert chosen(search_steps(lowered, error_rate)) == pytest.approx([2**0.25, 1, 1])


@few
@given(seed=st.integers(0, 999), budget=st.integers(1, 25))
def test_never_worse(seed: int, budget: int) -> None:
    """Whatever the error rate: never above that of the start, never asked more often than allowed."""
    asked: list[Progress] = []
    error_rate = drawn(seed)
    found = search_steps(lowered, error_rate, budget=budget, progress=asked.append)
    assert error_rate(lowered(found)) == asked[-1].best <= error_rate(lowered(Steps()))
    assert [step.evaluations for step in asked] == list(range(1, len(asked) + 1))
    assert len(asked) <= budget == asked[0].budget
    assert budget > 1 or chosen(found) == [1, 1, 1]


def test_the_same_again() -> None:
    """Nothing is drawn."""
    assert chosen(search_steps(lowered, drawn(3))) == chosen(search_steps(lowered, drawn(3)))


def test_the_lowest_of_all_that_was_met() -> None:
    """A larger budget only ever lowers the error."""
    rates = [drawn(5)(lowered(search_steps(lowered, drawn(5), budget=budget))) for budget in (1, 4, 13, 100)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0]


def test_powers_of_two_stay_such() -> None:
    """From powers of two on, steps are doubled and halved."""
    start = Steps(power_of_two=True)
    before = steps_of(lowered(start))

    def error_rate(program: Program) -> float:
        ratios = [float(steps[0] / before[operand][0]) for operand, steps in steps_of(program).items()]
        return 0.0 if ratios == [2, 1, 0.5] else 0.5 - 0.1 * (ratios[0] == 2)

    found = search_steps(lowered, error_rate, start)
    assert found.power_of_two
    assert error_rate(lowered(found)) == 0
    with pytest.raises(EspalierError, match=r"^conv: a given step must be a power of two here, got "):
        search_steps(lowered, error_rate, start, factors=[1.5])


def test_steps_of_each_output_move_together() -> None:
    """An operand with a step for each output map is scaled as one."""
    start = Steps(per_output=True)
    before = steps_of(lowered(start))[OPERANDS[0]]
    found = search_steps(
        lowered, lambda program: float(steps_of(program)[OPERANDS[0]][0] != before[0] * 0.75), start, factors=[0.75]
    )
    assert before.size == 2
    assert found.weights["conv"].tolist() == (before * 0.75).tolist()


def test_a_step_without_a_program_is_passed_over() -> None:
    """Signals 2**40 times as fine have no 16-bit multiplier: not an error, and not chosen, however good they seem."""
    signals = {"conv": float(START[OPERANDS[1]][0]) * 2.0**-40}
    with pytest.raises(EspalierError, match="no 16-bit multiplier"):
        lowered(Steps(signals=signals))
    found = search_steps(lowered, lambda program: 0.9, factors=[2.0**-40])
    assert found.signals["conv"] == float(START[OPERANDS[1]][0])
    with pytest.raises(EspalierError, match="no 16-bit multiplier"):  # but the start must have one
        search_steps(lowered, lambda program: 0.9, Steps(signals=signals))


def test_a_network_of_three_bits() -> None:
    """Measured by the golden model, the steps that are found choose the float network's class more often than L2's."""
    network, images = chain(2), images_for(chain(2), 60)
    classes = network.scores(images).argmax(axis=1)

    def lowered(steps: Steps) -> Program:
        return lower(PrunedNetwork(network), Widths(3, 3), images[:20], steps)

    def error_rate(program: Program) -> float:
        scores = golden.run(program, program.input_signal.encode(images))[program.output]
        return float((scores.argmax(axis=1) != classes).mean())

    found = search_steps(lowered, error_rate, budget=40)
    assert error_rate(lowered(found)) < error_rate(lowered(Steps()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": [2, 0]}, "factors of steps must be positive numbers, got 2.0, 0.0"),
        ({"factors": [math.nan]}, "factors of steps must be positive numbers, got nan"),
        ({"budget": 0}, "budget must be at least 1 evaluation, got 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    """What is no factor or no budget is refused in one line."""
    with pytest.raises(EspalierError, match=f"^{message}$"):
        search_steps(lowered, lambda program: 0.5, **arguments)


def test_an_error_rate_that_is_none() -> None:
    """An error rate is a share of the images."""
    with pytest.raises(EspalierError, match=r"^an error rate must be 0..1, got 37.0$"):
        search_steps(lowered, lambda program: 37)
