"""Values in bins: none is lost, each lies within the edges of its bin, and the step is that of a full sort."""

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.quantize import binned, fit_step, l2_step, quantization_error
from accel.quantize.binned import BINS, Binned

DRAWN = {
    "normal": lambda rng, count: rng.normal(size=count),
    "laplace": lambda rng, count: rng.laplace(size=count),
    "relu": lambda rng, count: np.maximum(rng.normal(size=count), 0),
    "negative": lambda rng, count: -rng.exponential(size=count),
}
COUNT = 60_000


def drawn(name: str, dtype: type[np.floating] = np.float32) -> np.ndarray:
    """Return values of a distribution."""
    return np.asarray(DRAWN[name](np.random.default_rng(5), COUNT), dtype)


@pytest.fixture
def few_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bins be coarse and pieces short, so that what holds for a hundred million values is seen on a few."""
    for name, value in (("BINS", 1 << 12), ("_AT_ONCE", 1000)):
        monkeypatch.setattr(binned, name, value)
    monkeypatch.setattr(fit_step, "MOST_SORTED", 1000)
    monkeypatch.setattr(fit_step, "FEWEST_CHANGES", 3000)
    monkeypatch.setattr(fit_step, "MOST_CHANGES", 2000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DRAWN)
def test_bins_hold_every_value(name: str, dtype: type[np.floating]) -> None:
    """Counts and sums add up to those of the values of a sign, and each value lies between the edges of its bin."""
    values = drawn(name, dtype)
    found = Binned.of(values)
    for bins, sign in ((found.positive, 1), (found.negative, -1)):
        own = np.sort(sign * values[sign * values > 0].astype(np.float64))
        zeros = np.count_nonzero(values == 0) if BINS in bins.places else 0  # beside a value that is hardly more
        assert bins.counts.sum() == own.size + zeros
        assert bins.sums.sum() == pytest.approx(own.sum(), rel=1e-12)
        for place, count, (low, high) in [*zip(bins.places, bins.counts, bins.edges, strict=True)][::97]:
            apart = np.abs(found.apart(np.array([place])))
            assert apart.size == count
            assert low <= apart.min() <= apart.max() <= high
    places = np.concatenate([found.positive.places, found.negative.places])
    assert 0 <= places.min() <= places.max() < 2 * BINS
    assert found.apart(places[:-1]).size < np.count_nonzero(values)  # negative control: one bin is left out


@pytest.mark.usefixtures("few_bins")
@pytest.mark.parametrize("codes", [(-127, 127), (-7, 7), (-1, 1), (0, 15), (-8, 7)])
@pytest.mark.parametrize("name", DRAWN)
def test_the_step_is_that_of_a_full_sort(monkeypatch: pytest.MonkeyPatch, name: str, codes: tuple[int, int]) -> None:
    """Its squared error is the least that a sweep over all values finds, but for what two grids of steps differ in."""
    values = drawn(name)
    step = l2_step(values, *codes)
    monkeypatch.setattr(fit_step, "MOST_SORTED", COUNT)
    monkeypatch.setattr(fit_step, "MOST_CHANGES", 1 << 30)  # no grid: every choice of codes is seen
    best = quantization_error(values, l2_step(values, *codes), *codes)
    assert best <= quantization_error(values, step, *codes) * (1 + 1e-12)
    assert quantization_error(values, step, *codes) <= best * (1 + 5e-7)
    if (values * codes[1] > 0).any() or codes[0]:  # negative control, where any value has a code
        assert quantization_error(values, 1.03 * step, *codes) > best * (1 + 5e-7)


@pytest.mark.usefixtures("few_bins")
def test_what_bins_are_too_wide_for_is_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One value a million times as large as the rest leaves all of them one bin; the step is the one of a sort."""
    values = np.append(drawn("normal"), np.float32(1e6))
    step = l2_step(values, -127, 127)
    monkeypatch.setattr(fit_step, "MOST_SORTED", COUNT + 1)
    assert step == l2_step(values, -127, 127)


@pytest.mark.usefixtures("few_bins")
def test_zeros_ask_for_no_step_and_nothing_infinite_has_one() -> None:
    """As of a few values: 1.0 where all are zero or of a sign without codes; a line where one is not finite."""
    assert l2_step(np.zeros(COUNT, np.float32), -7, 7) == 1.0
    assert l2_step(drawn("negative"), 0, 7) == 1.0
    for bad in (np.inf, -np.inf, np.nan):
        with pytest.raises(EspalierError, match="not finite"):
            l2_step(np.append(drawn("normal"), np.float32(bad)), -7, 7)
