"""One array with a design of each network: its numbers, and the limits that it has to meet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accel.array import MOST_FORMATS
from reports.explore.space import Lanes
from reports.workflow.limits import ERROR, POWER, Budget, Guard, Limit, limits_of, power_mw

FORMATS = "output formats"  # of signals, of which one build of the hardware knows a few


@dataclass(frozen=True, kw_only=True)
class Member:
    """A design of one network, as it runs on the array of all.

    Parameters
    ----------
    version : str
    weight_bits, signal_bits : int
    error_rate : float
        On its validation images, 0..1.
    cycles, load_wait_cycles, energy_pj : int
        As `reports.explore.points.Point` has them.
    share : float
        Of the images, 0..1.
    """

    version: str
    weight_bits: int
    signal_bits: int
    error_rate: float
    cycles: int
    share: float
    load_wait_cycles: int = 0
    energy_pj: int = 0

    @property
    def interval_cycles(self) -> int:
        """Cycles from the start of one image to that of the next."""
        return self.cycles + self.load_wait_cycles


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The least that an array takes on which designs run, of which perhaps not all are chosen yet.

    Parameters
    ----------
    output_lanes, pixel_lanes, memory_bits, multipliers, area_um2 : int
        Of the array.
    cycles : float
        Of an image, the mean by the shares of the networks.
    interval_cycles : int
        Of the slowest network.
    error_rates : tuple of float
        Of each network.
    error_rate : float
        The mean by the shares.
    formats : int
        Output formats that the hardware has to know.
    short : bool
        Whether the technology has too little for it in any case.
    """

    output_lanes: int
    pixel_lanes: int
    memory_bits: int
    multipliers: int
    area_um2: int
    cycles: float
    interval_cycles: int
    error_rates: tuple[float, ...]
    error_rate: float
    formats: int
    energy_pj: float = 0.0
    short: bool = False

    def power_mw(self, clock_hz: float) -> float:
        """Return the least power, of which nothing is known before a design is costed."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Design:
    """One array and what runs on it, a design of each network.

    Parameters
    ----------
    output_lanes, pixel_lanes : int
    weight_bits, signal_bits, accumulator_bits : int
        Of the array's words.
    memory_bits, multipliers, area_um2, built_bits : int
        Of the array; `built_bits` before they are blocks of the technology.
    formats : int
        Output formats that the hardware has to know.
    members : tuple of Member
        In the order of the networks.
    short : bool
        Whether the technology has too few blocks or multipliers.
    """

    output_lanes: int
    pixel_lanes: int
    weight_bits: int
    signal_bits: int
    accumulator_bits: int
    memory_bits: int
    built_bits: int
    multipliers: int
    area_um2: int
    formats: int
    members: tuple[Member, ...]
    short: bool = False

    @property
    def lanes(self) -> Lanes:
        """Output lanes and pixel lanes of the array."""
        return self.output_lanes, self.pixel_lanes

    @property
    def cycles(self) -> float:
        """Cycles of an image, the mean by the shares of the networks."""
        return sum(member.share * member.cycles for member in self.members)

    @property
    def worst_cycles(self) -> int:
        """Cycles of an image of the slowest network."""
        return max(member.cycles for member in self.members)

    @property
    def interval_cycles(self) -> int:
        """Cycles from one image to the next of the slowest network."""
        return max(member.interval_cycles for member in self.members)

    @property
    def energy_pj(self) -> float:
        """Energy of an image, the mean by the shares."""
        return sum(member.share * member.energy_pj for member in self.members)

    @property
    def error_rates(self) -> tuple[float, ...]:
        """How often each network errs."""
        return tuple(member.error_rate for member in self.members)

    @property
    def error_rate(self) -> float:
        """How often they err, the mean by the shares."""
        return sum(member.share * member.error_rate for member in self.members)

    def power_mw(self, clock_hz: float) -> float:
        """Return the power of the network that takes the most, an estimate."""
        return max(power_mw(member, clock_hz) for member in self.members)


def error_of(name: str) -> str:
    """Return what the limit on the errors of a network is called."""
    return f"{ERROR} of {name}"


def limits_together(
    names: Sequence[str], most: Sequence[float], guards: Sequence[Guard], budget: Budget, reaches_hz: float | None
) -> tuple[Limit, ...]:
    """Return what an array for several networks has to meet: errors each its own, all else the array or the worst.

    Parameters
    ----------
    names : sequence of str
        Of the networks.
    most : sequence of float
        Error rates that are allowed, of each.
    guards : sequence of Guard
        Of each, by its own images.
    budget : Budget
        Everything else that is asked for.
    reaches_hz : float or None
        The highest clock that is known of the technology.
    """
    errors = [
        Limit(error_of(name), rate, lambda p, place=place, guard=guard: guard.upper(p.error_rates[place]))  # type: ignore[misc]
        for place, (name, rate, guard) in enumerate(zip(names, most, guards, strict=True))
    ]
    others = [
        replace(limit, use=lambda p: p.power_mw(budget.clock_hz)) if limit.name == POWER else limit
        for limit in limits_of(budget, None, reaches_hz)
        if limit.name != ERROR
    ]
    return (*errors, *others, Limit(FORMATS, MOST_FORMATS, lambda p: p.formats))
