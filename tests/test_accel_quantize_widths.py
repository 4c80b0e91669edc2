from typing import Any

import pytest

from accel.errors import EspalierError
from accel.quantize import Widths


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight_bits": 1}, "weight_bits must be 2..16, got 1"),  # one level: -0 .. 0
        ({"weight_bits": 17}, "weight_bits must be 2..16, got 17"),
        ({"signal_bits": 0}, "signal_bits must be 1..16, got 0"),
        ({"signal_bits": 17}, "signal_bits must be 1..16, got 17"),
        ({"input_bits": 0}, "input_bits must be 1..16, got 0"),
        ({"input_bits": 17}, "input_bits must be 1..16, got 17"),
        ({"weight_bits_of": {"conv1": 1}}, "weight_bits must be 2..16, got 1"),
        ({"signal_bits_of": {"conv1": 4, "conv2": 99}}, "signal_bits must be 1..16, got 99"),
    ],
)
def test_out_of_range(arguments: dict[str, Any], message: str) -> None:
    """A width that no word has is refused with its name, its range and what was given."""
    with pytest.raises(EspalierError, match=f"^{message}$"):
        Widths(**{"weight_bits": 8, "signal_bits": 8, **arguments})


@pytest.mark.parametrize(("weight_bits", "signal_bits", "input_bits"), [(2, 1, 1), (16, 16, 16)])
def test_the_ends_of_the_ranges(weight_bits: int, signal_bits: int, input_bits: int) -> None:
    """The narrowest and the widest words are fine."""
    widths = Widths(weight_bits, signal_bits, input_bits)
    assert (widths.weight_bits, widths.signal_bits, widths.input_bits) == (weight_bits, signal_bits, input_bits)


def test_the_camera_has_eight_bits() -> None:
    """The image's width is its own: 8 bits, however narrow the network is."""
    assert Widths(3, 3).input_bits == 8


def test_layers_with_widths_of_their_own() -> None:
    """A named layer has its own width, of weights or of signals; all others have the common one."""
    widths = Widths(4, 5, weight_bits_of={"conv1": 8}, signal_bits_of={"conv2": 3})
    assert [widths.of_weights(layer) for layer in ("conv1", "conv2", "conv3")] == [8, 4, 4]
    assert [widths.of_signal(layer) for layer in ("conv1", "conv2", "conv3")] == [5, 3, 5]
