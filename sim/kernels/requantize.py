"""Accumulators to codes: `accel.fixedpoint`'s two rules, compiled."""

from typing import Any

import numpy as np

from accel import fixedpoint
from accel.fixedpoint import Overflow, Rounding
from sim.kernels.compiled import compiled, inlined

round_shift = inlined(fixedpoint.round_shift)
overflow_code = inlined(fixedpoint.overflow_code)

# what a layer does to its accumulators, as one int64 array: the places of
RELU, SHIFT, ROUNDING, WIDTH, SIGNED, OVERFLOW, SATURATION_BITS = range(7)
_RND, _SAT = int(Rounding.RND), int(Overflow.SAT)


@compiled
def finish(accumulators: Any, multiplier: Any, offset: Any, rules: Any, out: Any) -> None:
    """Write the codes of one output position, for all lanes, to `out`; without rules the accumulators themselves."""
    if len(rules) == 0:  # and not None, which would be another type: twice as much to compile
        for lane in range(len(out)):
            out[lane] = accumulators[lane]
        return
    lowest = np.int64(0) if rules[RELU] else np.iinfo(np.int64).min
    shift, width, signed = rules[SHIFT], rules[WIDTH], rules[SIGNED] != 0
    # the default modes as constants, which lets the compiler fold the rules and use vectors
    if rules[ROUNDING] == _RND and rules[OVERFLOW] == _SAT and signed:
        _codes(accumulators, lowest, multiplier, offset, shift, _RND, width, True, _SAT, 0, out)
    elif rules[ROUNDING] == _RND and rules[OVERFLOW] == _SAT:
        _codes(accumulators, lowest, multiplier, offset, shift, _RND, width, False, _SAT, 0, out)
    else:
        modes = rules[ROUNDING], rules[OVERFLOW], rules[SATURATION_BITS]
        _codes(accumulators, lowest, multiplier, offset, shift, modes[0], width, signed, modes[1], modes[2], out)


@inlined
def _codes(
    accumulators: Any,
    lowest: Any,
    multiplier: Any,
    offset: Any,
    shift: Any,
    rounding: Any,
    width: Any,
    signed: Any,
    overflow: Any,
    saturation_bits: Any,
    out: Any,
) -> None:
    for lane in range(len(out)):
        value = max(np.int64(accumulators[lane]) * multiplier + offset, lowest)
        rounded = round_shift(value, shift, rounding)
        out[lane] = overflow_code(rounded, value >> shift, width, signed, overflow, saturation_bits)
