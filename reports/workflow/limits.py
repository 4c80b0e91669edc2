"""The limits that a design has to meet, and how sure it is that its errors do: a guard band from the sample's size."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from accel.errors import EspalierError

ERROR, MEMORY, MULTIPLIERS, LANES, SPEED = "error", "memory", "multipliers", "lanes", "speed"
AREA, POWER, ENERGY, CLOCK, ROOM = "area", "power", "energy", "clock", "room"
CONFIDENCE = 0.95  # where nobody says how sure to be
Use = Callable[[Any], float]
OPTIONS = {  # by which a limit is given
    "memory_bits": "--sram",
    "multipliers": "--dsp",
    "images_per_s": "--min-fps",
    "clock_hz": "--clock",
    "lanes": "--lanes",
    "area_um2": "--area",
    "power_mw": "--power",
    "energy_pj": "--max-energy",
}


@dataclass(frozen=True)
class Budget:
    """The limits that a design has to meet; None is no limit.

    Parameters
    ----------
    error_rate : float
        The most on validation images, 0..1.
    memory_bits : int or None
        The most bits of memory blocks.
    multipliers : int or None
    images_per_s : float or None
        The fewest, the load of each counted where it binds.
    clock_hz : float
    lanes : int or None
        The most multiply-accumulates of a cycle; two narrow ones may share a multiplier.
    area_um2, power_mw, energy_pj : float or None
        The most, where the technology says what a design has: estimates. Energy is that of one image.

    Raises
    ------
    EspalierError
        A limit is not positive, or a rate none.
    """

    error_rate: float
    memory_bits: int | None
    multipliers: int | None
    images_per_s: float | None
    clock_hz: float
    lanes: int | None = None
    area_um2: float | None = None
    power_mw: float | None = None
    energy_pj: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise EspalierError(f"the most errors must be 0..100 % of the images, got {self.error_rate:.2%}")
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise EspalierError(f"{option}: {name} must be above 0, got {value}")


@dataclass(frozen=True)
class Limit:
    """One limit of a budget.

    Parameters
    ----------
    name : str
    most : float
        Of what `use` says of a point.
    use : function
        From a point to a number; so many times `most` is how far a point is off.
    """

    name: str
    most: float
    use: Use

    def meets(self, point: Any) -> bool:
        """Return whether a point is within the limit."""
        return self.use(point) <= self.most * (1 + 1e-12)

    def share(self, point: Any) -> float:
        """Return what a point uses, 1 being all that there is."""
        return self.use(point) / self.most if self.most else float("inf")


@dataclass(frozen=True)
class Guard:
    """By how much less than its limit an error rate must be, because so few images tell it.

    Parameters
    ----------
    images : int
        That the rates are measured on.
    confidence : float
        0 for none: the rates themselves.
    """

    images: int
    confidence: float

    def upper(self, rate: float) -> float:
        """Return the rate that is not exceeded, at this confidence, where `rate` was measured.

        The upper end of Wilson's score interval, one-sided (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, p. 209).

        >>> round(Guard(250, 0.95).upper(0.0), 4), Guard(250, 0.0).upper(0.012)
        (0.0107, 0.012)
        """
        if not self.confidence:
            return rate
        z, n = NormalDist().inv_cdf(self.confidence), self.images
        middle, spread = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
        return min(1.0, (middle + spread) / (1 + z * z / n))

    def lower(self, most: float) -> float:
        """Return the highest rate that, measured, is not above `most` at this confidence: `upper` turned round.

        >>> guard = Guard(1000, 0.95)
        >>> round(guard.upper(guard.lower(0.02)), 9)
        0.02
        """
        if not self.confidence:
            return most
        z = NormalDist().inv_cdf(self.confidence)
        return max(0.0, most - z * math.sqrt(most * (1 - most) / self.images))


def sureness(rate: float, most: float, images: int) -> float:
    """Return how sure it is that a design errs at most so often, 0..1: the confidence of which `most` is the bound.

    >>> guard = Guard(1000, 0.9)
    >>> round(sureness(0.02, guard.upper(0.02), 1000), 6)
    0.9
    """
    spread = math.sqrt(most * (1 - most) / images)
    return NormalDist().cdf((most - rate) / spread) if spread else float(rate <= most)


def images_needed(rate: float, most: float, confidence: float) -> float:
    """Return how many images it takes to be so sure that a design errs at most so often; infinite if it does not."""
    z = NormalDist().inv_cdf(confidence)
    return (z / (most - rate)) ** 2 * most * (1 - most) if most > rate else math.inf


def limits_of(budget: Budget, guard: Guard | None = None, reaches_hz: float | None = None) -> tuple[Limit, ...]:
    """Return the limits of a budget; that the technology has blocks and multipliers enough is always one.

    Parameters
    ----------
    budget : Budget
    guard : Guard, optional
        Of the errors; the rates themselves by default.
    reaches_hz : float, optional
        The highest clock that is known of the technology.
    """
    upper: Use = guard.upper if guard else lambda rate: rate
    found = [Limit(ERROR, budget.error_rate, lambda p: upper(p.error_rate))]
    if budget.memory_bits is not None:
        found.append(Limit(MEMORY, budget.memory_bits, lambda p: p.memory_bits))
    if budget.multipliers is not None:
        found.append(Limit(MULTIPLIERS, budget.multipliers, lambda p: p.multipliers))
    if budget.lanes is not None:
        found.append(Limit(LANES, budget.lanes, lambda p: p.output_lanes * p.pixel_lanes))
    if budget.images_per_s is not None:
        found.append(Limit(SPEED, budget.clock_hz / budget.images_per_s, lambda p: p.interval_cycles))
    if budget.area_um2 is not None:
        found.append(Limit(AREA, budget.area_um2, lambda p: p.area_um2))
    if budget.power_mw is not None:
        found.append(Limit(POWER, budget.power_mw, lambda p: power_mw(p, budget.clock_hz)))
    if budget.energy_pj is not None:
        found.append(Limit(ENERGY, budget.energy_pj, lambda p: p.energy_pj))
    if reaches_hz is not None:
        found.append(Limit(CLOCK, reaches_hz, lambda p: budget.clock_hz))
    return (*found, Limit(ROOM, 1, lambda p: 1.0 + p.short))


def power_mw(point: Any, clock_hz: float) -> Any:
    """Return the power of a design that takes one image after another: an estimate, as its energy is."""
    return 1e-9 * point.energy_pj * clock_hz / point.interval_cycles


def check_confidence(confidence: float | None) -> None:
    """Raise EspalierError unless one can be that sure."""
    if confidence is not None and not (confidence == 0 or 0.5 <= confidence < 1):
        raise EspalierError(f"--confidence {confidence:g}: expected 0.5 or more and below 1, or 0 for no guard band")


def parse_error(text: str, reference: float) -> float:
    """Return the error rate that `text` allows: so much more than `reference` with a plus, else that much in all.

    >>> parse_error("+1%", 0.0125), parse_error("2%", 0.0125), parse_error("+0.01", 0.5)
    (0.0225, 0.02, 0.51)

    Raises
    ------
    EspalierError
        The text is something else; a 1 without % too, which might be meant as 1 % or as all of the images.
    """
    match = re.fullmatch(r"(\+?)([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*(%?)", text)
    value = float(match[2]) / (100 if match[3] else 1) if match else 2.0
    if not match or value > 1 or (value == 1 and not match[3]):
        raise EspalierError(f"--max-error {text}: expected +1% (more than the dense float network) or 2% (in all)")
    return min(1.0, reference + value) if match[1] else value
