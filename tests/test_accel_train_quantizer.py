import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from accel.fixedpoint import FixedFormat, Overflow, Rounding  # noqa: E402
from accel.train.quantizer import Levels, assigned, quantize, rounded  # noqa: E402

EDGES = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, -0.49999997, 0.5000001, -0.5000001, 0.0, 1e-30, -1e-30, 4.0, -4.0]
WRAPPING = [
    (Overflow.WRAP, 0),
    (Overflow.WRAP, 2),
    (Overflow.WRAP_SM, 0),
    (Overflow.WRAP_SM, 1),
    (Overflow.SAT_ZERO, 0),
]


def of(width: int, signed: bool = True, rounding: Rounding = Rounding.RND, overflow: Overflow = Overflow.SAT) -> Levels:
    """Return the levels of a signal."""
    return Levels.of_signal(FixedFormat(width, width, signed, rounding, overflow))


def run(
    values: list[float], step: float, levels: Levels, upstream: list[float], scale: float = 1.0
) -> list[list[float]]:
    """Return what comes out, the gradient of the values, and that of the step, for gradients from above."""
    inputs = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    steps = torch.tensor([step], dtype=torch.float64, requires_grad=True)
    out = quantize(inputs, steps, levels, scale)
    out.backward(torch.tensor(upstream, dtype=torch.float64))
    return [out.tolist(), inputs.grad.tolist(), steps.grad.tolist()]


class TestForward:
    @pytest.mark.parametrize("mode", Rounding)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @given(values=st.lists(st.floats(-300, 300, width=32), min_size=1))
    @settings(max_examples=30, deadline=None)
    def test_every_rounding_is_that_of_the_formats(self, mode: Rounding, dtype: type, values: list[float]) -> None:
        """Ties, their neighbours and any other value round as `FixedFormat.encode` rounds them, exactly."""
        array = np.float32(EDGES + values)
        expected = FixedFormat(20, 20, rounding=mode).encode(array)
        assert rounded(torch.tensor(array, dtype=dtype), mode).tolist() == expected.tolist()

    @pytest.mark.parametrize(("overflow", "saturated"), [(Overflow.SAT, 0), (Overflow.SAT_SYM, 0), *WRAPPING])
    @pytest.mark.parametrize("signed", [True, False])
    def test_every_overflow_is_that_of_the_formats(self, overflow: Overflow, saturated: int, signed: bool) -> None:
        """Every code within three times the range of four bits on each side, and the ties between them."""
        if overflow == Overflow.WRAP_SM and not signed:
            return
        form = FixedFormat(4, 4, signed, Rounding.RND, overflow, saturated)
        values = torch.arange(-50.0, 50.0, 0.5)
        assert assigned(values, form).tolist() == form.encode(values.numpy()).tolist()

    def test_weights_by_the_formula_of_the_source(self) -> None:
        """sgn(w) * step * min(floor(|w| / step + 0.5), 3) with 7 levels; ties go away from zero, and clip at +-3."""
        values = [-9, -1.75, -1.25, -0.25, -0.2, 0, 0.2, 0.25, 0.6, 1.25, 1.75, 9]
        out, _, _ = run(values, 0.5, Levels.of_weights(3, clipped=False), [0] * 12)
        assert out == [-1.5, -1.5, -1.5, -0.5, 0, 0, 0, 0.5, 0.5, 1.5, 1.5, 1.5]

    def test_a_signal_without_sign_is_its_own_relu(self) -> None:
        """Two bits, step 0.5: 0..1.5; the tie at 0.25 goes up."""
        out, _, _ = run([-7, -0.2, 0.2, 0.25, 0.75, 1.3, 7], 0.5, of(2, signed=False), [0] * 7)
        assert out == [0, 0, 0, 0.5, 1.0, 1.5, 1.5]

    def test_a_relu_comes_before_an_overflow(self) -> None:
        """A signed signal after a ReLU has no code below zero; one that wraps does not wrap what was negative."""
        signed = FixedFormat(3, 3, True, Rounding.RND, Overflow.SAT)
        assert run([-3, -1, 2, 9], 1.0, Levels.of_signal(signed, relu=True), [0] * 4)[0] == [0, 0, 2, 3]
        wrapping = FixedFormat(3, 3, False, Rounding.RND, Overflow.WRAP)
        assert run([-3, -1, 2, 9], 1.0, Levels.of_signal(wrapping, relu=True), [0] * 4)[0] == [0, 0, 2, 1]
        assert run([-3, -1, 2, 9], 1.0, Levels.of_signal(wrapping), [0] * 4)[0] == [5, 7, 2, 1]  # without one it does

    def test_steps_by_output_are_each_for_their_row(self) -> None:
        """Rows with steps 0.5 and 2 round each on its own grid."""
        values = torch.tensor([[0.9, -0.9], [0.9, -3.2]])
        out = quantize(values, torch.tensor([[0.5], [2.0]]), Levels.of_weights(3, clipped=False))
        assert out.tolist() == [[1.0, -1.0], [0.0, -4.0]]


class TestGradient:
    # In units of the step 0.5: -18, -2.4, -0.6, 0.4, 1.4 and 6.2; codes -4, -2, -1, 0, 1 and 3 of three bits.
    VALUES, CODES = (-9, -1.2, -0.3, 0.2, 0.7, 3.1), (-4, -2, -1, 0, 1, 3)
    UPSTREAM = (1, 10, 100, 1000, 10_000, 100_000)

    def test_it_goes_straight_through_but_for_clipped_signals(self) -> None:
        """Rounding counts as the identity, clipping as a constant: the first and last value get nothing."""
        out, values, _ = run(list(self.VALUES), 0.5, of(3), list(self.UPSTREAM))
        assert out == [code / 2 for code in self.CODES]
        assert values == [0, 10, 100, 1000, 10_000, 0]

    def test_it_goes_straight_through_for_clipped_weights(self) -> None:
        """A float weight beyond the largest code goes on learning; with steps that are learned it does not (LSQ)."""
        upstream = list(self.UPSTREAM)
        assert run(list(self.VALUES), 0.5, Levels.of_weights(3, clipped=False), upstream)[1] == upstream
        assert run(list(self.VALUES), 0.5, Levels.of_weights(3, clipped=True), upstream)[1] == [0, *upstream[1:-1], 0]

    def test_signals_after_a_relu_have_its_gradient(self) -> None:
        """Nothing at or below zero, nothing at or beyond the last code, which is 3 * 0.5."""
        values = [-1, 0, 0.1, 1.4, 1.5, 2]
        for levels in (of(2, signed=False), Levels.of_signal(FixedFormat(3, 3, overflow=Overflow.SAT), relu=True)):
            assert run(values, 0.5, levels, [1] * 6)[1] == [0, 0, 1, 1, 0, 0]

    def test_the_gradient_of_a_step_is_that_of_lsq(self) -> None:
        """Esser et al., equation 3: code - v / s inside, the code at which it is clipped outside; then the scale.

        -4 * 1 + (-2 + 2.4) * 10 + (-1 + 0.6) * 100 + (0 - 0.4) * 1000 + (1 - 1.4) * 10000 + 3 * 100000 = 295560.
        """
        _, _, (step,) = run(list(self.VALUES), 0.5, of(3), list(self.UPSTREAM))
        assert step == pytest.approx(295_560)
        scale = of(3).gradient_scale(6)
        assert scale == pytest.approx(1 / math.sqrt(6 * 3))  # six values, largest code 3
        _, _, (scaled,) = run(list(self.VALUES), 0.5, of(3), list(self.UPSTREAM), scale)
        assert scaled == pytest.approx(295_560 / math.sqrt(18))

    def test_the_gradient_of_a_step_is_near_the_slope_of_the_error(self) -> None:
        """Where codes stay, d(code * s)/ds = code; less v / s, because LSQ counts a rounding as the identity."""
        _, _, (step,) = run([0.7], 0.5, of(3), [1])
        assert step == pytest.approx(1 - 1.4)

    def test_steps_by_output_learn_each_from_its_row(self) -> None:
        """The gradients of a row are summed for its own step, and scaled by its own scale."""
        values = torch.tensor([[0.7, 0.2], [9.0, 9.0]])
        steps = torch.tensor([[0.5], [1.0]], requires_grad=True)
        scale = torch.tensor([[0.1], [10.0]])
        quantize(values, steps, Levels.of_weights(3, clipped=True), scale).sum().backward()
        # row 1: (1 - 1.4) + (0 - 0.4), row 2: 3 + 3
        assert steps.grad.flatten().tolist() == pytest.approx([-0.08, 60])
