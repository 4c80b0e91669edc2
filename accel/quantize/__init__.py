"""Step sizes, word lengths, and lowering a network to a Program."""

from accel.progress import Progress
from accel.quantize.allocate import Allocation, allocate
from accel.quantize.calibration import Calibration
from accel.quantize.fit_step import alternating_step, clip_step, l2_step, power_of_two_step, quantization_error
from accel.quantize.formats import FOUND, Formats
from accel.quantize.lane_order import in_order, lane_orders, ordered_for
from accel.quantize.lower import lower, lower_calibrated
from accel.quantize.lower_shapes import lower_shapes
from accel.quantize.narrow_accumulators import narrow_accumulators
from accel.quantize.operands import Operand, bits_of, operands_of, widths_with
from accel.quantize.search_steps import FACTORS, POWERS, search_steps, steps_of
from accel.quantize.sensitivity import HIGH_BITS, Sensitivity, highest_bits, sensitivity
from accel.quantize.steps import RULES, Steps
from accel.quantize.widths import Widths
from accel.quantize.zero_runs import with_zero_runs

__all__ = [
    "FACTORS",
    "FOUND",
    "HIGH_BITS",
    "POWERS",
    "RULES",
    "Allocation",
    "Calibration",
    "Formats",
    "Operand",
    "Progress",
    "Sensitivity",
    "Steps",
    "Widths",
    "allocate",
    "alternating_step",
    "bits_of",
    "clip_step",
    "highest_bits",
    "in_order",
    "l2_step",
    "lane_orders",
    "lower",
    "lower_calibrated",
    "lower_shapes",
    "narrow_accumulators",
    "operands_of",
    "ordered_for",
    "power_of_two_step",
    "quantization_error",
    "search_steps",
    "sensitivity",
    "steps_of",
    "widths_with",
    "with_zero_runs",
]
