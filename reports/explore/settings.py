"""Designs as saved results hold them: a line for each version at its word lengths, in it a number for each array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from accel.errors import EspalierError
from reports.explore.points import Point
from reports.explore.space import Lanes

LISTED = (
    "memory_bits",
    "multipliers",
    "cycles",
    "area_um2",
    "energy_pj",
)  # one number for each array, in the arrays' order
PARTS = ("blocks", "multiply_um2", "add_um2", "flip_flop_um2")
RARE = ("stall_cycles", "load_wait_cycles", "short", *PARTS)  # as well, where any is not 0


@dataclass(frozen=True)
class Setting:
    """A version at its word lengths, as the file has it: `LISTED` and, where any is not 0, `RARE` by array."""

    version: str
    weight_bits: int
    signal_bits: int
    error_rate: float
    memory_bits: tuple[int, ...]
    multipliers: tuple[int, ...]
    cycles: tuple[int, ...]
    area_um2: tuple[int, ...]
    energy_pj: tuple[int, ...]
    layers: str = ""
    stall_cycles: tuple[int, ...] = ()
    load_wait_cycles: tuple[int, ...] = ()
    short: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    multiply_um2: tuple[int, ...] = ()
    add_um2: tuple[int, ...] = ()
    flip_flop_um2: tuple[int, ...] = ()

    def points(self, arrays: Sequence[Lanes], where: str) -> Iterator[Point]:
        """Yield the designs; `where` is the place of the setting in the file."""
        lists = {name: getattr(self, name) for name in LISTED + RARE if name in LISTED or getattr(self, name)}
        for name, numbers in lists.items():
            if len(numbers) != len(arrays):
                raise EspalierError(f"{where}.{name}: expected {len(arrays)} numbers, got {len(numbers)}")
        for index, lanes in enumerate(arrays):
            values = {name: numbers[index] for name, numbers in lists.items()}
            values["short"] = bool(values.get("short", False))
            yield Point(
                version=self.version,
                weight_bits=self.weight_bits,
                signal_bits=self.signal_bits,
                layers=self.layers,
                output_lanes=lanes[0],
                pixel_lanes=lanes[1],
                error_rate=self.error_rate,
                **values,
            )
