"""What few bits cost each operand, estimated by how much the loss curves along it: no evaluation for each of them.

Source: Dong et al. (arXiv 1911.03852): half of the mean second derivative times the squares of what rounding changes.
Ours: errors instead of losses, by the one factor with which the estimates of uniform widths come to the error rate that
was measured for them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from accel.interchange.data.datasets import Dataset
from accel.layers import Array, Weighted
from accel.quantize import Calibration, Operand, Sensitivity, Widths, quantization_error
from accel.signal import integer_format

IMAGES = 128  # from which curvatures are estimated, and to which signals are rounded
FEW = 3  # bits at which estimates are held against a measurement
SEED = 0


def sensitivities(
    calibration: Calibration,
    operands: Sequence[Operand],
    images: Dataset,
    error_rate: Callable[[Widths], float],
    bits: Sequence[int],
) -> tuple[Sensitivity, ...]:
    """Return what each operand costs at each width.

    Parameters
    ----------
    calibration : Calibration
    operands : sequence of Operand
        Of its network.
    images : Dataset
        With labels; of the training images.
    error_rate : function
        From widths to the error rate, 0..1; called twice.
    bits : sequence of int
        Of which the last is the highest.

    Raises
    ------
    EspalierError
        PyTorch is missing, or the images do not fit.
    """
    losses = estimated_losses(calibration, operands, images, bits)
    highest, few = max(bits), max(min(bits), FEW)
    rates = [error_rate(Widths(width, width)) for width in (highest, few)]
    rise = sum(losses[operand, few] - losses[operand, highest] for operand in operands)
    factor = max(0.0, rates[1] - rates[0]) / rise if rise > 0 else 0.0
    return tuple(
        Sensitivity(operand, width, min(1.0, rates[0] + factor * (losses[operand, width] - losses[operand, highest])))
        for operand in operands
        for width in bits
    )


def estimated_losses(
    calibration: Calibration, operands: Sequence[Operand], images: Dataset, bits: Sequence[int]
) -> dict[tuple[Operand, int], float]:
    """Return by how much the loss is estimated to rise by each operand at each width alone."""
    from accel.train import curvatures

    network, few = calibration.network, images.take(min(IMAGES, len(images)))
    tensors = {x.layer: calibration.settled(x.layer) for x in operands if x.kind == "signals"}
    given = few.pixels(), few.labels, np.random.default_rng(SEED)
    curved = curvatures(network, *given, signals=[*dict.fromkeys(tensors.values())])
    values = network.forward(few.pixels())
    found = {}
    for operand in operands:
        for width in bits:
            if operand.kind == "weights":
                curve, lost = curved.weights[operand.layer], _lost_weights(calibration, operand.layer, width)
            else:
                tensor = tensors[operand.layer]
                curve, lost = curved.signals[tensor], _lost_signals(calibration, operand.layer, values[tensor], width)
            found[operand, width] = curve * lost / 2
    return found


def _lost_weights(calibration: Calibration, name: str, bits: int) -> float:
    """Return the squares of what rounding changes of a layer's weights."""
    layer = calibration.network[name]
    assert isinstance(layer, Weighted)
    steps, highest = calibration.weight_steps(layer, bits), 2 ** (bits - 1) - 1
    rows = zip(layer.weight.reshape(len(steps), -1), steps, strict=True)
    return sum(quantization_error(row, float(step), -highest, highest) for row, step in rows)


def _lost_signals(calibration: Calibration, name: str, values: Array, bits: int) -> float:
    """Return the squares of what rounding changes of a tensor's values."""
    form = integer_format(bits, bool(values.min() < 0))
    return quantization_error(values, calibration.signal_step(name, form, 0.0), form.min_code, form.max_code)
