import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.masks import few

from accel.errors import EspalierError
from accel.quantize import l2_step, power_of_two_step, quantization_error

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[int, int]

RANGES = [(-1, 1), (-3, 3), (-7, 7), (-127, 127), (0, 1), (0, 7), (0, 255), (-8, 7), (-2, 5), (-5, 0)]
every_range = pytest.mark.parametrize("codes", RANGES)


def error_of(values: Array, step: float, codes: Range) -> float:
    """Return the squared error with every value at its nearest code, value by value."""
    total = 0.0
    for value in np.ravel(values).tolist():
        nearest = min(max(math.floor(value / step + 0.5), codes[0]), codes[1])
        total += (nearest * step - value) ** 2
    return total


def errors_of(values: Array, steps: Array, codes: Range) -> Array:
    """Return the errors of many steps."""
    nearest = np.clip(np.floor(values / steps[:, None] + 0.5), *codes)
    return np.asarray(((nearest * steps[:, None] - values) ** 2).sum(axis=1))


def candidate_steps(values: Array, codes: Range, points: int = 3000) -> Array:
    """Return a fine grid of steps, and every step that gives some value exactly one of its codes."""
    largest = np.abs(values).max()
    grid = np.geomspace(largest / max(map(abs, codes)) / 50, 2 * largest, points)
    exact = [value / code for value in values for code in range(codes[0], codes[1] + 1) if code and value / code > 0]
    return np.concatenate([grid, exact])


@st.composite
def values(draw: st.DrawFn) -> Array:
    """Draw numbers as layers have them, and as they have them not: ties, outliers, one value, one sign, zeros."""
    rng = np.random.default_rng(draw(st.integers(0)))
    count = draw(st.sampled_from([1, 2, 3, 5, 12, 40]))
    kind = draw(st.sampled_from(["normal", "heavy", "relu", "discrete", "outlier", "uniform", "negative", "one"]))
    drawn = rng.normal(size=count)
    if kind == "heavy":
        drawn = drawn**5
    if kind == "relu":
        drawn = np.maximum(drawn, 0)
    if kind == "discrete":
        drawn = rng.integers(-4, 5, count) * 0.375
    if kind == "outlier":
        drawn[0] = draw(st.sampled_from([30.0, -1000.0]))
    if kind == "uniform":
        drawn = rng.uniform(0, 1, count)
    if kind == "negative":
        drawn = -np.abs(drawn)
    if kind == "one":
        drawn[:] = drawn[0]
    return drawn * draw(st.sampled_from([1.0, 1e-6, 1e4]))


def asks_for_a_step(numbers: Array, codes: Range) -> bool:
    """Return whether some value has a sign for which there is a code."""
    return bool(((numbers > 0).any() and codes[1]) or ((numbers < 0).any() and codes[0]))


def swept(numbers: Array, codes: Range) -> float:
    """Return the step of the least error, every change of a code after the other from the largest step down."""
    sides = []
    for sign, highest in ((1, codes[1]), (-1, -codes[0])):
        each, counts = np.unique(sign * numbers[sign * numbers > 0], return_counts=True)
        if each.size and highest:
            sides.append((each.astype(np.float64), counts.astype(np.float64), highest))
    if not sides:
        return 1.0
    high = max(each[-1] for each, *_ in sides)
    low = min(each @ counts / counts.sum() / highest for each, counts, highest in sides) * (1 - 1e-9)
    products = squares = 0.0
    changes = []
    for each, counts, highest in sides:
        first, last = (np.minimum(np.ceil(each / step - 0.5), highest) for step in (high, low))
        products += float((counts * each) @ first)
        squares += float(counts @ first**2)
        for value, count, begin, end in zip(each.tolist(), counts.tolist(), first, last, strict=True):
            changes += [(value / (k + 0.5), count * value, count * (2 * k + 1)) for k in range(int(begin), int(end))]
    changes.sort(key=lambda change: -change[0])
    best, step, more_products, more_squares = products * products / squares, products / squares, 0.0, 0.0
    for _, product, square in changes:
        more_products, more_squares = more_products + product, more_squares + square
        p, q = products + more_products, squares + more_squares
        if p * p / q > best:
            best, step = p * p / q, p / q
    return step


class TestL2:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @every_range
    @settings(few, max_examples=50)
    @given(numbers=values())
    def test_the_step_is_that_of_one_change_after_another(self, codes: Range, dtype: Any, numbers: Array) -> None:
        """To the last bit: sorting, counting and adding up in bulk change no rounding."""
        numbers = numbers.astype(dtype)
        assert l2_step(numbers, *codes) == swept(numbers, codes)

    def test_another_value_is_seen(self) -> None:
        """Negative control: with one value twice, or one code more, it is another step."""
        numbers = np.random.default_rng(3).normal(size=200)
        step = l2_step(numbers, -7, 7)
        assert step == swept(numbers, (-7, 7))
        assert step not in (swept(np.append(numbers, numbers[0]), (-7, 7)), swept(numbers, (-7, 8)))

    @every_range
    @settings(few, max_examples=100)
    @given(numbers=values())
    def test_no_step_is_better(self, codes: Range, numbers: Array) -> None:
        """Of a fine grid, and of all steps that hit a value exactly, none has a smaller error (by more than 1e-6).

        Where no value asks for a step it is 1.
        """
        if not asks_for_a_step(numbers, codes):
            assert l2_step(numbers, *codes) == 1.0
            return
        step, square = l2_step(numbers, *codes), float(numbers @ numbers)
        assert step > 0
        found, least = error_of(numbers, step, codes), errors_of(numbers, candidate_steps(numbers, codes), codes).min()
        assert found <= least * (1 + 1e-6) + 1e-12 * square

    @pytest.mark.parametrize("factor", [0.9, 1.1])
    def test_a_step_that_is_off_is_noticed(self, factor: float) -> None:
        """Negative control: a tenth more or less fails the comparison with the grid."""
        numbers, codes = np.random.default_rng(0).normal(size=40), (-3, 3)
        step, least = l2_step(numbers, *codes), errors_of(numbers, candidate_steps(numbers, codes), codes).min()
        assert error_of(numbers, step, codes) <= least * (1 + 1e-6)
        assert error_of(numbers, step * factor, codes) > least * (1 + 1e-2)

    @pytest.mark.parametrize(("count", "codes"), [(20_000, (-127, 127)), (20_000, (0, 255)), (100_000, (-7, 7))])
    def test_many_values(self, count: int, codes: Range) -> None:
        """Where a sweep over all changes of codes would be long, a part is swept, and holds the best step."""
        numbers = np.random.default_rng(count).normal(size=count)
        step = l2_step(numbers, *codes)
        around = step * np.geomspace(0.25, 4, 401)
        assert quantization_error(numbers, step, *codes) <= min(
            quantization_error(numbers, other, *codes) for other in around
        ) * (1 + 1e-6)

    @every_range
    @few
    @given(step=st.sampled_from([0.25, 0.1, 3.0]), seed=st.integers(0))
    def test_what_was_quantised_stays(self, codes: Range, step: float, seed: int) -> None:
        """Values that are codes times a step have no error, also where the outermost codes do not occur.

        So a network that was retrained with quantised weights is lowered as it was.
        """
        low, high = (code // 2 if abs(code) > 1 else code for code in codes)
        numbers = np.random.default_rng(seed).integers(low, high + 1, 20) * step
        assert error_of(numbers, l2_step(numbers, *codes), codes) <= 1e-12 * float(numbers @ numbers)

    @pytest.mark.parametrize(
        ("numbers", "codes", "step"),
        [
            ([2.0], (-3, 3), [2, 1, 2 / 3]),  # one value is one of its codes
            ([1.0, 2, 3], (0, 3), [1]),
            ([-1.0, 1], (-1, 1), [1]),
            # w z / z z with all codes 1, 0 or -1: mean |w| of those that are not 0; 4 and 3 beside 0.1: 3.5
            ([4.0, -3, 0.1], (-1, 1), [3.5]),
            ([-5.0, 4], (0, 1), [4]),  # a sign that has no code has no say
            ([-4.0, 5], (-1, 0), [4]),
            ([7.5] * 3, (0, 1), [7.5]),
        ],
    )
    def test_by_hand(self, numbers: list[float], codes: Range, step: list[float]) -> None:
        """Cases whose best step can be written down; where several are perfect, one of them."""
        assert any(l2_step(numbers, *codes) == pytest.approx(best, rel=1e-12) for best in step)

    @pytest.mark.parametrize("numbers", [[], [0.0], [0.0, 0, 0]])
    @every_range
    def test_nothing_to_fit(self, codes: Range, numbers: list[float]) -> None:
        """No values, or only zeros, take any step: 1."""
        assert l2_step(numbers, *codes) == power_of_two_step(numbers, *codes) == 1.0

    def test_no_codes(self) -> None:
        """With the one code 0 no step helps: 1."""
        assert l2_step([1.0, -2], 0, 0) == power_of_two_step([1.0, -2], 0, 0) == 1.0

    @few
    @given(numbers=values(), signed=st.booleans(), bits=st.integers(2, 9))
    def test_more_bits_never_hurt(self, numbers: Array, signed: bool, bits: int) -> None:
        """The codes of n + 1 bits include those of n bits, so that the best error can only fall."""
        errors = []
        for width in (bits, bits + 1):
            codes = (1 - 2 ** (width - 1), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
            errors.append(error_of(numbers, l2_step(numbers, *codes), codes))
        assert errors[1] <= errors[0] * (1 + 1e-9) + 1e-12 * float(numbers @ numbers)

    @every_range
    @few
    @given(numbers=values(), exponent=st.integers(-20, 20), factor=st.floats(0.1, 10))
    def test_the_step_scales_with_the_values(self, codes: Range, numbers: Array, exponent: int, factor: float) -> None:
        """Twice the values, twice the step: exactly for powers of two, in its error for any factor.

        Where nothing asks for a step it is 1 whatever the scale.
        """
        if not asks_for_a_step(numbers, codes):
            return
        step = l2_step(numbers, *codes)
        assert l2_step(numbers * 2.0**exponent, *codes) == step * 2.0**exponent
        scaled = error_of(numbers * factor, l2_step(numbers * factor, *codes), codes)
        square = factor**2 * float(numbers @ numbers)
        assert scaled == pytest.approx(factor**2 * error_of(numbers, step, codes), rel=1e-6, abs=1e-12 * square)

    @few
    @given(numbers=values(), seed=st.integers(0))
    def test_order_shape_and_sign_do_not_matter(self, numbers: Array, seed: int) -> None:
        """The values of a layer are a bag of numbers; with symmetric codes so are their negatives."""
        step = l2_step(numbers, -7, 7)
        shuffled = np.random.default_rng(seed).permutation(numbers)
        assert l2_step(shuffled.reshape(1, -1), -7, 7) == step
        mirrored = error_of(-numbers, l2_step(-numbers, -7, 7), (-7, 7))
        assert mirrored == pytest.approx(error_of(numbers, step, (-7, 7)), rel=1e-9, abs=1e-12 * (numbers @ numbers))


class TestPowerOfTwo:
    @every_range
    @few
    @given(numbers=values())
    def test_it_is_the_best_power_of_two(self, codes: Range, numbers: Array) -> None:
        """Of all powers from 2**-60 to 2**60 none has a smaller error."""
        step = power_of_two_step(numbers, *codes)
        if not asks_for_a_step(numbers, codes):
            assert step == 1.0
            return
        assert math.frexp(step)[0] == 0.5
        powers = 2.0 ** np.arange(-60, 61)
        errors = errors_of(numbers, powers, codes)
        found = error_of(numbers, step, codes)
        assert found <= errors.min() * (1 + 1e-9)

    @few
    @given(numbers=values())
    def test_it_is_no_better_than_the_best_step(self, numbers: Array) -> None:
        """A power of two is one of all steps."""
        errors = [error_of(numbers, find(numbers, -7, 7), (-7, 7)) for find in (l2_step, power_of_two_step)]
        assert errors[0] <= errors[1] * (1 + 1e-9) + 1e-12 * float(numbers @ numbers)

    def test_by_hand(self) -> None:
        """3/4 in two bits: 1 leaves 1/16, as 1/2 does, of which the smaller is taken; 5/8 is nearer to 1/2."""
        assert power_of_two_step([0.75], -1, 1) == 0.5
        assert power_of_two_step([0.625], -1, 1) == 0.5
        assert power_of_two_step([0.875], -1, 1) == 1.0
        assert power_of_two_step([0.25 * code for code in (-3, 1, 2)], -3, 3) == 0.25


class TestError:
    @every_range
    @few
    @given(numbers=values(), factor=st.floats(0.3, 3))
    def test_value_by_value(self, codes: Range, numbers: Array, factor: float) -> None:
        """The sum over the values of the distance to the nearest code, squared."""
        step = l2_step(numbers, *codes) * factor
        assert quantization_error(numbers, step, *codes) == pytest.approx(error_of(numbers, step, codes), rel=1e-9)

    def test_by_hand(self) -> None:
        """Codes 0..3 of step 2: 1.5 is 2, 9 is 6, -1 is 0, 4 is itself."""
        assert quantization_error([[1.5, 9], [-1, 4]], 2.0, 0, 3) == 0.25 + 9 + 1 + 0
        assert quantization_error([4.0, 2, 0], 2.0, 0, 3) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("find", [l2_step, power_of_two_step])
def test_values_are_finite(find: Any, bad: float) -> None:
    """A value that is not finite has no code."""
    with pytest.raises(EspalierError, match=r"^cannot find a step for values that are not finite$"):
        find([1.0, bad], -7, 7)
