"""Windows of any stride on the hardware: golden's codes in the closed form's cycles."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, program
from support.rtl_programs import ARRAY, SIGNED, avg, check, images_of, mac

from accel.cost.cycles import tiles_of
from accel.network import INPUT
from accel.program_layers import MaxPoolLayer
from accel.window import Window


class TestStrides:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("stride", "tiles"),
        [((1, 2), 5 * 1), ((3, 1), 2 * 2), ((2, 3), 3 * 3), ((5, 4), 1 * 2), ((2, 8), 3 * 1)],
        ids=str,
    )
    def test_strides(self, stride: Any, tiles: int, rng: np.random.Generator) -> None:
        """Of any size and different in both directions; pixels above 2 words apart are a tile each."""
        window = Window((3, 2), stride, (1, 0, 1, 1))
        layer = mac(rng, "conv", INPUT, (3, 2, window.taps), PIXEL, window=window, pattern="kernel")
        of = program([layer], (2, 5, 7))
        assert len(tiles_of(of, layer, ARRAY)) == tiles
        check(of, images_of(rng, of, 1))

    @pytest.mark.parametrize("kernel", [(3, 3), (8, 8), (3, 2)], ids=str)
    def test_pools_by_their_own_stride(self, kernel: Any, rng: np.random.Generator) -> None:
        """Windows of a pool side by side, several of them or one over the whole map."""
        first = MaxPoolLayer("pool", (INPUT,), Window(kernel, kernel))
        of = program(
            [first, avg("mean", "pool", Window((3, 2), (3, 2)), PIXEL, SIGNED)], (1, 3 * kernel[0], 2 * kernel[1])
        )
        check(of, images_of(rng, of, 1), replace(ARRAY, signal_words=1024))
