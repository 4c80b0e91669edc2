"""Lowering without values: of a network whose weights have shapes alone, a Program that can be sized and not run.

Its weights are zeros, which take no memory; accumulators, biases and multipliers are as wide as any values may need.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.grouped_convolution import across_groups
from accel.layers import Conv2d, Weighted
from accel.program import Program
from accel.program_layers import MacLayer, code_type
from accel.pruned import PrunedNetwork
from accel.quantize.formats import FOUND
from accel.quantize.lower import Lowering
from accel.quantize.steps import L2, Steps
from accel.quantize.widths import Widths
from accel.signal import MULTIPLIER_BITS, PRODUCT_BITS, Requantize, Signal, signed_bits
from accel.sparsity import parse_pattern


def lower_shapes(pruned: PrunedNetwork, widths: Widths) -> Program:
    """Return a Program of a network at the given word lengths that is as large as any of such shapes and masks.

    Both sides of an addition count as of one step, and pixels as unsigned.

    Raises
    ------
    EspalierError
        A layer is of a kind that no Program has, or no accumulator is wide enough for all values.
    """
    shapes = _Shapes(pruned.folded())
    return _ShapeLowering(shapes, widths, Rounding.RND, Overflow.SAT, FOUND, MULTIPLIER_BITS).run()  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class _Shapes:
    """What stands in the place of a calibration where there is nothing to calibrate with: all steps are 1."""

    pruned: PrunedNetwork
    steps: Steps = L2

    def signal_step(self, name: str, form: FixedFormat, finest: float) -> float:
        return 1.0

    def input_step(self, bits: int) -> tuple[float, bool]:
        return 1.0, False

    def layer(self, key: Hashable, make: Callable[[], MacLayer]) -> MacLayer:
        return make()


class _ShapeLowering(Lowering):
    """A lowering in which every number is as wide as it may have to be."""

    def _new_mac(self, layer: Weighted) -> MacLayer:
        mask, bits = self.pruned.layer_mask(layer.name), self.widths.of_weights(layer.name)
        if isinstance(layer, Conv2d) and layer.groups > 1:
            codes = _zeros(len(layer.weight) * layer.weight[0].size, bits).reshape(len(layer.weight), -1)
            mask, _ = across_groups(mask, codes, layer.groups)
        nest, last = parse_pattern(mask.pattern).nest(mask.kept), layer.name == self.network.output
        reads = self.signals[layer.inputs[0]].format
        columns = max(columns.size for columns in nest.group_columns)
        products = columns * (2 ** (bits - 1) - 1) * max(reads.max_code, -reads.min_code)
        bias_bits = signed_bits(products)  # as large as all products may be
        accumulator_bits = signed_bits(2 * products)
        if accumulator_bits + self.multiplier_bits > PRODUCT_BITS:
            raise EspalierError(
                f"{layer.name}: its sums may need {accumulator_bits} bits, of at most "
                f"{PRODUCT_BITS - self.multiplier_bits} that can be requantised: words must be narrower"
            )
        signal = Signal(FixedFormat(accumulator_bits, accumulator_bits), 1.0)
        return self._with_mask(
            layer,
            mask,
            weight_bits=bits,
            weights=_zeros(nest.stored_words, bits),
            weight_steps=np.ones(1),
            bias_bits=bias_bits,
            bias=np.zeros(len(layer.bias), np.int64),
            accumulator_bits=accumulator_bits,
            requantize=None if last else self._requantize(np.ones(1), signal, layer.name),
            output=signal if last else self._output_signal(layer.name, 1.0),
        )

    def _requantize(self, steps: NDArray[np.float64], output: Signal, name: str) -> Requantize:
        return Requantize(np.array([2**self.multiplier_bits - 1]), self.multiplier_bits)


def _zeros(count: int, bits: int) -> NDArray[np.signedinteger]:
    return np.broadcast_to(code_type(bits)(0), (count,))
