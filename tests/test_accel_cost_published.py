"""Other people's numbers: SCALE-Sim's closed form and goldens, AlexNet's counts, and the FFT's multiplications."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.programs import PIXEL, mac_layer, program

from accel.cost.fft import FftCost, fft_cost, layer_fft
from accel.cost.shapes import LayerShape
from accel.cost.systolic import DATAFLOWS, Gemm, SystolicArray
from accel.errors import EspalierError
from accel.network import INPUT
from accel.window import Window
from reports.maintain.published_numbers import ALEXNET, ALEXNET_CONVOLUTIONS, SCALE_SIM_CONV1, SCALE_SIM_GEMM

sizes = st.integers(1, 60)


class TestScaleSim:
    """The last cycle is not counted: cycles = folds x P - 1, with P = 2R + C + T - 2, or R + C + T - 2."""

    def test_goldens(self) -> None:
        """M, N, K = 256, 128, 256 on 32 x 32, and conv1 of AlexNet: 12 x 3 folds of 3025 pixels."""
        gemm = Gemm(256, 128, 256)
        assert {flow: SystolicArray(32, 32, flow).cycles(gemm) for flow in DATAFLOWS} == SCALE_SIM_GEMM
        conv1 = Gemm.of(ALEXNET[0])
        assert conv1 == Gemm(55 * 55, 96, 3 * 11 * 11)
        assert {"weight": SystolicArray(32, 32).cycles(conv1)} == SCALE_SIM_CONV1
        assert SystolicArray(32, 31).cycles(conv1) != SCALE_SIM_CONV1["weight"]  # negative control

    @pytest.mark.parametrize(("rows", "columns"), [(3, 4), (5, 2), (1, 1)])
    def test_a_fold_simulated(self, rows: int, columns: int) -> None:
        """One fold, output stationary: element (r, c) gets its k-th pair in cycle r + c + k.

        The last pair meets the last element in cycle R + C + K - 2, counted from 1; the closed form with its missing
        last cycle is R + C + K - 3 for one fold.
        """
        last = max(r + c + k for r in range(rows) for c in range(columns) for k in range(7)) + 1
        assert last == rows + columns + 7 - 2
        assert SystolicArray(rows, columns, "output").cycles(Gemm(rows, columns, 7)) == last - 1

    @given(sizes, sizes, sizes, st.integers(1, 20), st.integers(1, 20), st.sampled_from(DATAFLOWS))
    def test_utilization(self, m: int, n: int, k: int, rows: int, columns: int, flow: str) -> None:
        """An element does one multiply-accumulate a cycle at most, the one cycle that is not counted apart."""
        gemm, array = Gemm(m, n, k), SystolicArray(rows, columns, flow)  # type: ignore[arg-type]
        assert m * n * k <= rows * columns * (array.cycles(gemm) + 1)
        if array.cycles(gemm):
            assert array.utilization(gemm) == pytest.approx(m * n * k / (rows * columns * array.cycles(gemm)))

    @pytest.mark.parametrize("words", [(0, 4, "weight"), (4, 0, "weight"), (4, 4, "row")])
    def test_refusals(self, words: tuple[int, int, str]) -> None:
        """No array is empty, and no other dataflow is known."""
        with pytest.raises(EspalierError):
            SystolicArray(*words)  # type: ignore[arg-type]
        with pytest.raises(EspalierError):
            Gemm(1, 0, 1)


class TestAlexNet:
    def test_weights_and_macs(self) -> None:
        """60,954,656 weights and 724,406,816 MACs; of the convolutions 2,332,704 and 665,784,864.

        As published: 61 M and 724 M (Sze et al., Proc. IEEE 2017, table II), 2.3 M and 666 M (ibid.).
        """
        assert {x.name: (x.weights, x.macs) for x in ALEXNET} == {
            "conv1": (96 * 3 * 121, 105_415_200),
            "conv2": (256 * 48 * 25, 223_948_800),
            "conv3": (384 * 256 * 9, 149_520_384),
            "conv4": (384 * 192 * 9, 112_140_288),
            "conv5": (256 * 192 * 9, 74_760_192),
            "fc6": (9216 * 4096, 37_748_736),
            "fc7": (4096 * 4096, 16_777_216),
            "fc8": (4096 * 1000, 4_096_000),
        }
        assert (sum(x.weights for x in ALEXNET), sum(x.macs for x in ALEXNET)) == (60_954_656, 724_406_816)
        convolutions = [(x.weights, x.macs) for x in ALEXNET_CONVOLUTIONS]
        assert [sum(column) for column in zip(*convolutions, strict=True)] == [2_332_704, 665_784_864]

    def test_the_sizes_follow(self) -> None:
        """227 -> 55 by 11 at stride 4; pools of 3 at stride 2 give 27, 13 and 6; conv2..5 are padded."""
        size = (227 - 11) // 4 + 1
        assert [size, (size - 3) // 2 + 1, ((size - 3) // 2 + 1 - 3) // 2 + 1] == [55, 27, 13]
        assert [x.size[0] for x in ALEXNET_CONVOLUTIONS] == [55, 27, 13, 13, 13]
        assert ALEXNET[5].kernel[0] == (13 - 3) // 2 + 1


def multiplications(points: int) -> int:
    """Return the complex multiplications of a radix-2 FFT, recursively: half as many as points at each level."""
    return 0 if points == 1 else 2 * multiplications(points // 2) + points // 2


class TestFft:
    shape = LayerShape.square("conv", 16, 8, 5, 10)  # of 14 x 14 maps

    def test_by_hand(self) -> None:
        """14 x 14 maps in one tile of 16: 24 maps x 2 x 256 x 4, and 128 pairs x 4 x 16 x 9 real multiplications."""
        assert fft_cost(self.shape) == FftCost(16, 1, 24 * 2 * 256 * 4, 128 * 4 * 16 * 9, 128 * 2 * 16 * 9)
        assert fft_cost(self.shape).multiplications == 49_152 + 73_728 < self.shape.macs == 16 * 8 * 25 * 100

    @pytest.mark.parametrize("tile", [2, 4, 16, 64])
    def test_the_transform(self, tile: int) -> None:
        """2 N^2 log2 N real ones: N rows and N columns of a complex FFT, four real ones each, half for a real map."""
        assert 2 * tile**2 * int(math.log2(tile)) == 2 * tile * multiplications(tile) * 4 // 2

    def test_spectra(self) -> None:
        """A real N x N map has N (N / 2 + 1) spectral values of which no two are conjugates for N's sake: rfft2."""
        assert np.fft.rfft2(np.zeros((16, 16))).size == 16 * 9

    def test_overlap_save(self) -> None:
        """Tiles of N that overlap by k - 1 give the convolution: numpy's FFT against the sum of products."""
        rng, N, k = np.random.default_rng(0), 8, 3
        image, kernel = rng.normal(size=(14, 14)), rng.normal(size=(k, k))
        wanted = np.array([[(image[y : y + k, x : x + k] * kernel).sum() for x in range(12)] for y in range(12)])
        found, step = np.zeros((12, 12)), N - k + 1
        spectrum = np.conj(np.fft.rfft2(kernel, (N, N)))  # cross-correlation
        for y in range(0, 12, step):
            for x in range(0, 12, step):
                tile = np.fft.irfft2(np.fft.rfft2(image[y : y + N, x : x + N], (N, N)) * spectrum, (N, N))
                found[y : y + step, x : x + step] = tile[:step, :step]
        assert np.allclose(found, wanted)
        assert fft_cost(replace(self.shape, kernel=(k, k), size=(12, 12), pairs=1), 1, 1).tiles == (12 // step) ** 2

    def test_kernel_pruning(self) -> None:
        """A pruned kernel saves its product; a map without kernels its transforms; pruned taps save nothing."""
        kept = np.ones((16, 8, 25), bool)
        kept[:, 3] = kept[2, :5] = kept[0, 0] = False

        def cost(kept: np.ndarray, pattern: str, encoding: str) -> FftCost:
            words = {"kept": kept, "pattern": pattern, "encoding": encoding, "window": Window.square(5)}
            layer = mac_layer("conv", INPUT, np.ones(kept.shape), PIXEL, **words)  # type: ignore[arg-type]
            return layer_fft(program([layer], (8, 14, 14)), layer)

        # 16 pairs of map 3, 4 others of output 2, one of output 0
        pairs = 128 - 16 - 4 - 1
        pruned = cost(kept, "kernel", "kernel flags")
        assert pruned == FftCost(16, 1, 23 * 2 * 256 * 4, pairs * 4 * 16 * 9, pairs * 2 * 16 * 9)
        taps = np.broadcast_to(np.arange(25) % 2 == 0, kept.shape)
        assert cost(taps, "ikss", "stride-offset") == fft_cost(self.shape) != pruned

    def test_a_stride_drops_what_was_computed(self) -> None:
        """At stride 2 the same 10 x 10 outputs take what 19 x 19 do."""
        dense = fft_cost(replace(self.shape, size=(19, 19)))
        assert fft_cost(replace(self.shape, stride=(2, 2))) == dense != fft_cost(self.shape)


@pytest.mark.parametrize("words", [{"pairs": 129}, {"pairs": -1}, {"outputs": 0}, {"kernel": (0, 1)}, {"size": (1, 0)}])
def test_shapes_that_cannot_be(words: dict[str, object]) -> None:
    """A shape of nothing, or of more pairs than there are, is refused."""
    with pytest.raises(EspalierError, match="conv: "):
        replace(TestFft.shape, **words)  # type: ignore[arg-type]
