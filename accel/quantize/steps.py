"""Which steps a network is quantised with: the rule that finds them, and those that are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError
from accel.quantize.fit_step import Sorted, alternating_step, clip_step, l2_step, power_of_two_step, to_power

RULES = ("l2", "alternating", "max", "percentile")


@dataclass(frozen=True, eq=False)
class Steps:
    """How the step of every weight and signal is found, but for those that are given.

    Parameters
    ----------
    rule : str
        ``"l2"``: the least squared error over all steps. ``"alternating"``: the local minimum that Shin, Hwang and Sung
        (arXiv 1512.01322) end in, from the step of ``"max"`` on. ``"max"``: the smallest step that clips no value,
        max |w| / max_code. ``"percentile"``: the same of that percentile of |w|.
    percentile : float
        0..100, of the rule of that name; ``"max"`` is its 100.
    power_of_two : bool
        Round every step to a power of two, so that requantisation is a shift: for ``"l2"`` the power with the least
        error, for ``"max"`` the next one up (which clips nothing either), else the nearest by its logarithm.
    per_output : bool
        Give each output map its own weight step (the last layer keeps one, so that scores compare).
    weights : mapping of layer name to float or float array (M,)
        Given weight steps, used as they are; one for each output map, or one for all.
    signals : mapping of layer name to float
        Given steps of the layers whose accumulators are requantised, used as they are.

    Raises
    ------
    EspalierError
        The rule is unknown, the percentile is not 0..100, or a given step is not positive, or is no power of two where
        all are to be.
    """

    rule: str = "l2"
    percentile: float = 99.9
    power_of_two: bool = False
    per_output: bool = False
    weights: Mapping[str, Any] = field(default_factory=dict)  # kept as read-only float arrays (1,) or (M,)
    signals: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise EspalierError(f"the rule of steps must be one of {', '.join(RULES)}, got {self.rule!r}")
        if not 0 <= self.percentile <= 100:
            raise EspalierError(f"percentile must be 0..100, got {self.percentile}")
        weights = {name: self._given(name, given) for name, given in self.weights.items()}
        signals = {name: float(self._given(name, given, dimensions=0)[0]) for name, given in self.signals.items()}
        object.__setattr__(self, "weights", MappingProxyType(weights))
        object.__setattr__(self, "signals", MappingProxyType(signals))

    def of(self, values: ArrayLike, min_code: int, max_code: int, ordered: Sorted | None = None) -> float:
        """Return the step of `values` (any shape) by the rule, for codes `min_code` .. `max_code`; 1.0 if none asks.

        `ordered` are the same values, where they have been sorted.

        Raises
        ------
        EspalierError
            A value is not finite.
        """
        if self.rule == "l2":
            if self.power_of_two:
                return power_of_two_step(values, min_code, max_code)
            return l2_step(values if ordered is None else ordered, min_code, max_code)
        if self.rule == "alternating":
            step = alternating_step(values, min_code, max_code)
        else:
            step = clip_step(values, min_code, max_code, 100.0 if self.rule == "max" else self.percentile)
        return to_power(step, up=self.rule == "max") if self.power_of_two else step

    def _given(self, name: str, given: ArrayLike, dimensions: int = 1) -> NDArray[np.float64]:
        steps = np.array(given, np.float64)
        if steps.ndim > dimensions or not steps.size:
            raise EspalierError(f"{name}: given steps must be {'one or an array' if dimensions else 'one'}")
        steps = steps.reshape(-1)
        if (wrong := steps[~(np.isfinite(steps) & (steps > 0))]).size:
            raise EspalierError(f"{name}: a given step must be a positive number, got {wrong[0]}")
        if self.power_of_two and (wrong := steps[np.frexp(steps)[0] != 0.5]).size:
            raise EspalierError(f"{name}: a given step must be a power of two here, got {wrong[0]}")
        steps.setflags(write=False)
        return steps


L2 = Steps()
