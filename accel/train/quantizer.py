"""Quantisers that a gradient goes through: values become code * step, with the codes that a Program's layers have.

Forward they round and clip; backward they count as the identity (the straight-through estimator of Shin, Hwang and
Sung, arXiv 1512.01322), for signals where no code was clipped. A step that is learned gets the gradient of Esser et
al., "Learned Step Size Quantization" (ICLR 2020), equations 3 and 5.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from accel.fixedpoint import SATURATING, FixedFormat, Overflow, Rounding, overflow_code

FARTHEST = 2.0**60  # beyond any code; int64 holds it, and what `overflow_code` makes of it
_TIES: dict[Rounding, Callable[[Tensor], Tensor]] = {  # what a value in the middle between two integers becomes
    Rounding.RND_ZERO: torch.trunc,
    Rounding.RND_MIN_INF: torch.floor,
    Rounding.RND_INF: lambda values: values.trunc() + values.sign(),
}


@dataclass(frozen=True)
class Levels:
    """The codes of a quantiser.

    Parameters
    ----------
    lowest, highest : int
        Values beyond these codes are clipped.
    codes : function of a tensor
        From values in units of the step to codes, of the same type.
    clipped : bool
        Whether values that are clipped get no gradient.
    """

    lowest: int
    highest: int
    codes: Callable[[Tensor], Tensor]
    clipped: bool = True

    @classmethod
    def of_weights(cls, bits: int, clipped: bool) -> "Levels":
        """Return the ``2**bits - 1`` levels of weights: sgn(w) min(floor(|w| + 1/2), highest) (arXiv 1511.06488)."""
        highest = 2 ** (bits - 1) - 1
        return cls(-highest, highest, lambda w: w.sign() * (w.abs() + 0.5).floor().clamp(max=highest), clipped)

    @classmethod
    def of_signal(cls, form: FixedFormat, relu: bool = False) -> "Levels":
        """Return the codes that a signal's format has for what comes out of an accumulator, through a ReLU or not."""
        levels = cls(lowest_code(form), form.max_code, lambda x: assigned(x, form))
        needless = not form.signed and form.overflow in SATURATING  # clipping at zero is the ReLU
        return levels.after_relu() if relu and not needless else levels

    def after_relu(self) -> "Levels":
        """Return the same levels for values of which the negative ones become zero first."""
        codes = self.codes
        return replace(self, lowest=0, codes=lambda values: codes(values.clamp(min=0)))

    def gradient_scale(self, count: Any) -> Any:
        """Return 1 / sqrt(count * highest), by which the gradient of a step that `count` values share is scaled."""
        return (count * max(self.highest, 1)) ** -0.5


def quantize(values: Tensor, step: Tensor, levels: Levels, scale: Any = 1.0) -> Tensor:
    """Return code * step for each value.

    Parameters
    ----------
    values : float tensor
    step : float tensor
        Of a shape that broadcasts.
    levels : Levels
    scale : float or tensor of the shape of `step`
        What the step's gradient is multiplied by.
    """
    return _Quantize.apply(values, step.to(values.dtype), levels, scale)


def rounded(values: Tensor, mode: Rounding) -> Tensor:
    """Return values rounded to integers as `accel.fixedpoint.round_shift` does, exactly."""
    if mode == Rounding.TRN:
        return values.floor()
    if mode == Rounding.RND:  # as everywhere else, in fewer passes; what the difference rounds has no part in it
        floor = values.floor()
        above = values - floor
        return floor.add_(torch.ge(above, 0.5, out=above))
    whole = values.trunc()
    if mode == Rounding.TRN_ZERO:
        return whole
    if mode == Rounding.RND_CONV:
        return values.round()
    return torch.where((values - whole).abs() == 0.5, _TIES[mode](values), values.round())


def lowest_code(form: FixedFormat) -> int:
    """Return the lowest code that a format yields."""
    return form.min_code + (form.signed and form.overflow == Overflow.SAT_SYM)


def assigned(values: Tensor, form: FixedFormat) -> Tensor:
    """Return the codes that values in units of the lowest bit become, as `FixedFormat.encode` gives them."""
    codes = rounded(values, form.rounding)
    if form.overflow in SATURATING:
        return codes.clamp_(lowest_code(form), form.max_code)
    whole, floor = (part.clamp(-FARTHEST, FARTHEST).to(torch.int64) for part in (codes, values.floor()))
    return overflow_code(whole, floor, form.width, form.signed, form.overflow, form.saturation_bits).to(codes.dtype)


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, levels: Levels, scale: Any) -> Tensor:
        scaled = values / step
        codes = levels.codes(scaled)
        # zeros and ones of the values' type: to multiply by what is true or false is to convert it first
        inside = torch.gt(scaled, levels.lowest, out=torch.empty_like(scaled))
        inside.mul_(torch.lt(scaled, levels.highest, out=torch.empty_like(scaled)))
        slopes = torch.sub(codes, scaled.mul_(inside), out=scaled) if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(inside, slopes)
        ctx.clipped, ctx.scale, ctx.shape = levels.clipped, scale, step.shape
        return codes.mul_(step)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        inside, slopes = ctx.saved_tensors
        of_values = gradient * inside if ctx.clipped else gradient
        of_step = None if slopes is None else (gradient * slopes).sum_to_size(ctx.shape) * ctx.scale
        return of_values, of_step, None, None
