"""Step sizes, word lengths, and lowering a network to a Program."""

from accel.quantize.lower import lower
from accel.quantize.steps import l2_step, power_of_two_step, quantization_error
from accel.quantize.widths import Widths

__all__ = ["Widths", "l2_step", "lower", "power_of_two_step", "quantization_error"]
