"""Lowering as every command does it, so that the same network and images give the same bytes."""

from typing import Any

from threadpoolctl import threadpool_limits

from accel.program import Program
from accel.quantize import Calibration, Widths, lower_calibrated


def lowered(calibration: Calibration, widths: Widths, **modes: Any) -> Program:
    """Return what `lower_calibrated` does, however many threads there are: sums of floats have one order.

    Signals of a calibration are found when they are first asked for, which is here.
    """
    with threadpool_limits(1, user_api="blas"):
        return lower_calibrated(calibration, widths, **modes)
