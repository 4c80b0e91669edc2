from dataclasses import fields, replace

import pytest

from accel.array import MacArray
from accel.errors import EspalierError


@pytest.mark.parametrize("name", [field.name for field in fields(MacArray) if field.type is not bool])
def test_nothing_is_less_than_its_least(name: str) -> None:
    """Lanes, widths and memories are at least 1; 2 bits of a weight hold 1; without entries only dense layers run."""
    least = {"weight_bits": 2, **dict.fromkeys(("list_entries", "stream_words", "table_words", "offset_bits"), 0)}.get(
        name, 1
    )
    for value in (least - 1, -5):
        with pytest.raises(EspalierError, match=rf"^{name} must be at least {least}, got {value}$"):
            MacArray(**{name: value})


@pytest.mark.parametrize("lanes", [3, 5, 6, 12])
def test_pixel_lanes_are_a_power_of_two(lanes: int) -> None:
    """Banks are chosen by the low bits of an address, so that pixel lanes are a power of two; output lanes are any."""
    with pytest.raises(EspalierError, match=f"^pixel_lanes must be a power of two, got {lanes}$"):
        MacArray(8, lanes, signal_words=lanes * 2)
    assert MacArray(lanes, 4).output_lanes == lanes


@pytest.mark.parametrize("name", ["weight_bits", "signal_bits"])
def test_words_have_at_most_16_bits(name: str) -> None:
    """A Program's weights and signals have at most 16 bits, and so have the array's."""
    assert getattr(MacArray(**{name: 16}), name) == 16
    with pytest.raises(EspalierError, match=rf"^{name} must be at most 16, got 17$"):
        MacArray(**{name: 17})


def test_an_accumulator_holds_a_signal() -> None:
    """An accumulator holds any signal, unsigned ones too: a pool's largest signal passes through it."""
    assert MacArray(signal_bits=8, accumulator_bits=9).accumulator_bits == 9
    with pytest.raises(EspalierError, match=r"^accumulator_bits must be above signal_bits, .* got 8 and 8$"):
        MacArray(signal_bits=8, accumulator_bits=8)


def test_banks_are_full() -> None:
    """Signal words fill all banks: two for each pixel lane, so that lanes at stride 2 never meet."""
    array = MacArray(3, 4, signal_words=24)
    assert (array.banks, array.bank_words, array.macs_per_cycle) == (8, 3, 12)
    with pytest.raises(EspalierError, match=r"^signal_words must be a multiple of 8 banks, got 20$"):
        MacArray(3, 4, signal_words=20)


@pytest.mark.parametrize(
    ("weights", "signals", "shared"), [(4, 8, 2), (5, 8, 2), (6, 8, 1), (3, 12, 2), (8, 2, 2), (8, 3, 1)]
)
def test_two_narrow_weights_share_a_multiplier(weights: int, signals: int, shared: int) -> None:
    """Two weights and a signal of 18 bits together fit one multiplier of 18 x 18 bits."""
    array = MacArray(weight_bits=weights, signal_bits=signals)
    assert (array.weights_per_multiplier, array.largest_weight) == (shared, 2 ** (weights - 1) - 1)
    assert replace(array, share=False).weights_per_multiplier == 1
