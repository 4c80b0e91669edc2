"""A layer with weights of a quantised graph as one of a Program, but for what follows its sums."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel import encoding
from accel.fixedpoint import FixedFormat
from accel.grouped_convolution import across_groups
from accel.interchange.onnx.reading.coded import Coded
from accel.interchange.onnx.reading.exact_scale import Scale
from accel.interchange.onnx.reading.found_patterns import mask_of_zeros
from accel.layers import Conv2d, Weighted
from accel.program_layers import MacLayer, ProgramLayer
from accel.signal import Signal, proven_accumulator_bits, signed_bits
from accel.sparsity import parse_pattern

Integers = NDArray[np.int64]
Make = Callable[[Scale | None, Signal, bool], ProgramLayer]
"""Makes a layer of what requantises its sums, its output, and whether it has a ReLU."""


def mac_maker(
    layer: Weighted, source: tuple[str, FixedFormat], coded: Coded, codes: Integers, bias: Integers, pixels: int
) -> Make:
    """Return what makes the Program's layer.

    Parameters
    ----------
    layer : Weighted
    source : (str, FixedFormat)
        The tensor that it reads, and its codes.
    coded : Coded
        Its weights as the file has them.
    codes : int array (M, K)
    bias : int array (M,)
    pixels : int
        Of its output.
    """
    mask = mask_of_zeros(codes.reshape(layer.weight.shape), coded.bits)
    codes = codes * mask.kept.reshape(codes.shape)
    matrix = codes
    if isinstance(layer, Conv2d) and layer.groups > 1:
        mask, codes = across_groups(mask, codes, layer.groups)
    pattern = parse_pattern(mask.pattern)
    name, index = encoding.cheapest(pattern, mask.kept)

    def make(scale: Scale | None, output: Signal, relu: bool) -> ProgramLayer:
        total = bias + np.array(scale.steps if scale and scale.steps else 0, np.int64)
        return MacLayer(
            layer.name,
            (source[0],),
            shape=mask.kept.shape,
            window=layer.window if isinstance(layer, Conv2d) else None,
            pattern=mask.pattern,
            encoding=name,
            index=index,
            weight_bits=coded.bits,
            weights=pattern.nest(mask.kept).gather(codes),
            weight_steps=coded.steps,
            bias_bits=max(signed_bits(total.min()), signed_bits(total.max())),
            bias=total,
            accumulator_bits=proven_accumulator_bits(matrix, total, source[1]),
            relu=relu,
            requantize=scale.requantize if scale else None,
            output=output,
            dense_weights=layer.weight.size,
            dense_macs=layer.weight.size * pixels,
        )

    return make
