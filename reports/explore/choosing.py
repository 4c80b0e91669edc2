"""What is wanted of a design beyond its limits, and what one costs; `reports.workflow.recommend` chooses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from accel.cost.technology import AreaTable, Technology
from reports.explore.points import Point
from reports.workflow.limits import AREA, ENERGY, POWER
from reports.workflow.recommend import COUNTED, SMALL, Goal
from reports.workflow.sensitivity import Figure


@dataclass(frozen=True)
class Means:
    """What a technology has of everything, and what is known of it: what the cost of a design is told in.

    Parameters
    ----------
    name, about : str
    memory_bits, multipliers : int or None
        In all; None: as many as one likes.
    area : bool
        Whether areas are known.
    clock_hz : float or None
        The highest at which the array is known to run; None: nobody has measured it.
    figures : mapping of name to float
        Square micrometers of what areas are made of, as `FIGURES` says; empty where nothing is known of areas.
    """

    name: str
    about: str
    memory_bits: int | None
    multipliers: int | None
    area: bool
    clock_hz: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def cost_name(self) -> str:
        """What `cost` is, in words."""
        if self.area:
            return "area"
        return "share of the device" if self.memory_bits and self.multipliers else "memory"

    def cost(self, point: Point) -> float:
        """Return what a design takes: its area, or the mean share of memory and multipliers, or its memory."""
        if self.area:
            return 1.0 * point.area_um2
        if self.memory_bits and self.multipliers:
            return (point.memory_bits / self.memory_bits + point.multipliers / self.multipliers) / 2
        return 1.0 * point.memory_bits


def means_of(technology: Technology) -> Means:
    """Return what a technology has of everything."""
    macros, known = technology.macros, technology.clock
    limited = [macro.bits * macro.available for macro in macros if macro.available is not None]
    memory_bits = sum(limited) if len(limited) == len(macros) else None
    clock_hz, figures = known.hz if known else None, figures_known(technology.area)
    has = memory_bits, technology.multipliers, technology.area is not None
    return Means(technology.name, technology.about, *has, clock_hz, figures)


FIGURES = {
    "sram": "um2 a bit of SRAM",
    "sram_block": "um2 a memory block, beside its bits",
    "multiply": "um2 a multiplier of 8 bits",
    "add": "um2 an adder of 8 bits",
    "flip_flop": "um2 a bit of a register",
}


def figures_known(table: AreaTable | None) -> dict[str, float]:
    """Return the figures of a technology's table of areas, as `FIGURES` names them."""
    if table is None:
        return {}
    return {
        "sram": table.sram,
        "sram_block": table.sram_block,
        "multiply": table.multiply.at(8),
        "add": table.add.at(8),
        "flip_flop": table.flip_flop,
    }


def figures_of(means: Means) -> list[Figure[Point]]:
    """Return the figures that areas follow, and the energies all together, as what one costs depends on them."""
    found = [
        Figure(name, FIGURES[name], value, (AREA,), partial(_at_area, name, value))
        for name, value in means.figures.items()
    ]
    return [*found, Figure("energy", "times all energies", 1.0, (POWER, ENERGY), _at_energy)]


def _at_area(name: str, value: float, point: Point, factor: float) -> Point:
    counts = {"sram": point.memory_bits * value, "sram_block": point.blocks * value}
    part = counts[name] if name in counts else getattr(point, f"{name}_um2")
    return replace(point, area_um2=point.area_um2 + (factor - 1) * part)  # type: ignore[arg-type]


def _at_energy(point: Point, factor: float) -> Point:
    return replace(point, energy_pj=factor * point.energy_pj)  # type: ignore[arg-type]  # no design that is kept


FRUGAL = "frugal"
GOALS = ("efficient", "cheap", "fast", "small", "accurate", FRUGAL)


def goal_of(name: str, means: Means) -> Goal:
    """Return the goal of that name, one of `GOALS`."""
    cost = means.cost
    goals = {
        "efficient": Goal(name, f"least {means.cost_name} x cycles", lambda p: cost(p) * p.cycles),
        "cheap": Goal(name, f"least {means.cost_name}", cost),
        "fast": Goal(name, "fewest cycles", lambda p: p.cycles),
        "small": SMALL,
        "accurate": Goal(name, "fewest errors", lambda p: p.error_rate),
        FRUGAL: Goal(name, "least energy", _energy, (*COUNTED, _energy)),
    }
    return goals[name]


def _energy(point: Any) -> Any:
    return 1.0 * point.energy_pj
