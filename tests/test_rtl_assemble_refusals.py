"""Programs that an array has no room for, and the line that says so."""

from dataclasses import replace

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, signal
from support.rtl_images import ARRAY, POINT, POOL, SIGNED, chain, conv, layer, point

from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.network import INPUT
from accel.program_layers import AddLayer, FlattenLayer, MaxPoolLayer
from accel.signal import Requantize
from accel.window import Window
from rtl.assemble import assemble, signal_formats


def addition(weight: int) -> AddLayer:
    """Return the sum of the input times `weight` and the input."""
    return AddLayer("b", (INPUT, INPUT), (weight, 1), 20, False, Requantize([1], 1), SIGNED)


FORMATS = [signal(bits) for bits in range(3, 7)] + [signal(bits, rounding=Rounding.TRN_ZERO) for bits in range(3, 8)]
NINE = [point(f"a{i}", f"a{i - 1}" if i else INPUT, x, FORMATS[i - 1] if i else PIXEL) for i, x in enumerate(FORMATS)]
FIRST = point("a", INPUT, reads=PIXEL)

REFUSED = {
    "weight words": (chain(conv()), {"weight_words": 14}, "test: needs 16 words of weights, weight_words are 14"),
    "entries": (
        chain(layer(np.eye(2)[:, :, None], "irregular", POINT, "b"), shape=(2, 4, 5)),
        {"output_lanes": 1, "list_entries": 1},
        "test: needs 2 words of entries, list_entries are 1",
    ),
    "taps": (chain(FIRST, conv("b", "a", SIGNED)), {"taps": 4}, "test: needs 5 words of taps, taps are 4"),
    "constants": (
        chain(FIRST, conv("b", "a", SIGNED)),
        {"constants": 4},
        "test: needs 5 words of constants, constants are 4",
    ),
    "layers": (chain(FIRST, conv("b", "a", SIGNED)), {"layers": 1}, "test: needs 2 words of layers, layers are 1"),
    "accumulator": (
        chain(conv(spare_bits=9)),
        {"accumulator_bits": 22},
        f"b: needs {conv(spare_bits=9).accumulator_bits} accumulator bits, the array has 22",
    ),
    "weights": (chain(conv(weight_bits=9)), {}, "b: needs 9 weight bits, the array has 8"),
    "input": (
        chain(conv(reads=signal(9)), reads=signal(9)),
        {},
        "b: needs 9 bits of an input signal, the array has 8",
    ),
    "output": (chain(point("b", INPUT, signal(9), PIXEL)), {}, "b: needs 9 bits of an output signal, the array has 8"),
    "the image": (
        chain(conv()),
        {"signal_words": 36},
        "test: needs 40 words of signals, signal_words are 36",
    ),
    "signals": (
        chain(FIRST, conv("b", "a", SIGNED)),
        {"signal_words": 76},
        "test: needs 80 words of signals, signal_words are 76",
    ),
    "a list without entries": (
        chain(layer(np.eye(2)[:, :, None], "irregular", POINT, "b"), shape=(2, 4, 5)),
        {"output_lanes": 1, "list_entries": 0},
        "test: needs 2 words of entries, list_entries are 0",
    ),
    "an addition without entries": (
        chain(addition(1)),
        {"list_entries": 0},
        "test: needs 2 words of entries, list_entries are 0",
    ),
    "an addition's weight": (
        chain(addition(7 * 16 + 1)),
        {"weight_bits": 4, "taps": 16},
        "test: needs 17 words of taps, taps are 16",
    ),
    "an addition's accumulator": (
        chain(replace(addition(1), accumulator_bits=23)),
        {"accumulator_bits": 22},
        "b: needs 23 accumulator bits, the array has 22",
    ),
    "the lowest of packed weights": (
        chain(mac_layer("b", INPUT, [[[-16], [15]]], PIXEL, window=POINT, weight_bits=5)),
        {"weight_bits": 5},
        "b: needs 16 as the size of a weight, the array has 15",
    ),
    "accumulators in the middle": (
        chain(conv(), MaxPoolLayer("c", ("b",), POOL)),
        {},
        "b: hands out its accumulators, which only the last layer can",
    ),
    "nine formats": (chain(*NINE), {}, "a0: needs 9 output formats, the array has 8"),
    "padding": (
        chain(conv(window=Window((2, 2), (1, 1), (0, 64, 0, 0)))),
        {},
        "b: needs 64 rows or columns of padding, the array has 63",
    ),
    "a kernel": (
        chain(layer(np.ones((1, 1, 65)), "dense", Window((1, 65), (1, 1), (0, 30, 0, 30)), "b"), shape=(1, 4, 5)),
        {},
        "b: needs 65 rows or columns of a kernel, the array has 64",
    ),
    "output size": (
        chain(conv(window=Window((2, 2), (1, 1), (0, 30, 0, 30)))),
        {"signal_words": 40},  # 3 rows of 32 tiles of 2 pixels are counted
        "test: needs 96 words of signals, signal_words are 40",
    ),
    "another output": (
        chain(FIRST, conv("b", "a", SIGNED), FlattenLayer("c", ("a",))),
        {},
        "c: the hardware hands out what its last layer computes, and nothing else",
    ),
    "no layer": (
        chain(FlattenLayer("c", (INPUT,))),
        {},
        "c: the hardware hands out what its last layer computes, and nothing else",
    ),
}


class TestRefused:
    @pytest.mark.parametrize("what", REFUSED)
    def test_one_line(self, what: str) -> None:
        """What the hardware cannot run, or does not fit, ends in one line that names the layer, the need, the limit."""
        of, sizes, line = REFUSED[what]
        with pytest.raises(EspalierError) as refused:
            assemble(of, replace(ARRAY, **sizes))
        assert str(refused.value) == line

    @pytest.mark.parametrize(
        ("what", "sizes"),
        [
            ("weight words", {"weight_words": 16}),
            ("entries", {"output_lanes": 1, "list_entries": 2}),
            ("taps", {"taps": 5}),
            ("constants", {"constants": 5}),
            ("layers", {"layers": 2}),
            ("accumulator", {"accumulator_bits": conv(spare_bits=9).accumulator_bits}),
            ("weights", {"weight_bits": 9}),
            ("input", {"signal_bits": 9}),
            ("output", {"signal_bits": 9}),
            ("the image", {"signal_words": 40}),
            ("signals", {"signal_words": 80}),
            ("output size", {"signal_words": 96}),
            ("a list without entries", {"output_lanes": 1, "list_entries": 2}),
            ("an addition without entries", {"list_entries": 2}),
            ("an addition's weight", {"weight_bits": 4, "taps": 17}),
            ("an addition's accumulator", {"accumulator_bits": 23}),
            ("the lowest of packed weights", {"weight_bits": 6}),  # no longer packed: 2 * 6 + 8 > 18 bits
        ],
    )
    def test_one_more_is_enough(self, what: str, sizes: dict[str, int]) -> None:
        """Negative control: with exactly what the line asks for, the same Program is taken."""
        of, _, _ = REFUSED[what]
        assert assemble(of, replace(ARRAY, **sizes)).layers

    def test_narrower_packed_weights(self) -> None:
        """With a bit to spare the lowest weight is taken: 2 * 5 + 7 < 18."""
        made = mac_layer("b", INPUT, [[[-16], [15]]], signal(7), window=POINT, weight_bits=5)
        array = replace(ARRAY, weight_bits=5, signal_bits=7)
        assert array.weights_per_multiplier == 2
        assert assemble(chain(made, reads=signal(7)), array).weights == [(-16, 0), (15, 0)]

    def test_eight_formats(self) -> None:
        """Eight formats are taken, in the order of the layers, and each layer names its own."""
        of = chain(*NINE[:8])
        assert signal_formats(of) == tuple(x.format for x in FORMATS[:8])
        assert [words["form"] for words in assemble(of, ARRAY).layers] == list(range(8))

    def test_the_last_layer_is_marked(self) -> None:
        """The last layer that computes ends the network and hands out its rows; no other does."""
        of = chain(FIRST, conv("b", "a", SIGNED), FlattenLayer("c", ("b",)))
        layers = assemble(of, ARRAY).layers
        assert [(words.get("end", 0), words.get("final", 0)) for words in layers] == [(0, 0), (1, 1)]
