"""What an optimisation found: plain numbers, versioned JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from accel.records import record_of
from reports.shared.schema import Kind

KIND = Kind("espalier-optimization", 1, "the results of an optimisation")
GOALS = ("fast", "small")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for.

    Parameters
    ----------
    network, data, array : str
    patterns : tuple of str
    goal : {"fast", "small"}
        Whether cycles are to be few, or bits of memory.
    max_error : str
        As it was given, and `limit`, the error rate on validation images that it means.
    memory_bits : int or None
        That the memories of the array may have.
    epochs, seed : int
        Of the longest training, and of all.
    dense_error_rate : float
        Of the dense float network on validation images.
    dense_cycles, dense_memory_bits : int
        Of its Program of 8 bits.
    validation_images : int
    """

    network: str
    data: str
    array: str
    patterns: tuple[str, ...]
    goal: str
    max_error: str
    limit: float
    memory_bits: int | None
    epochs: int
    seed: int
    dense_error_rate: float
    dense_cycles: int
    dense_memory_bits: int
    validation_images: int

    def beyond(self, version: "Version") -> float:
        """Return by how much a version exceeds the limits, as shares of these, added; 0 where it is within both."""
        given = ((version.error_rate, self.limit), (version.memory_bits, self.memory_bits))
        return sum(
            max(0.0, found / limit - 1) if limit else float(found > 0) for found, limit in given if limit is not None
        )


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A mix of patterns after so many epochs: its error rate on validation images, and whether it went on."""

    mix: str
    epochs: int
    error_rate: float
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Version:
    """A Program that was made.

    Parameters
    ----------
    mix, widths : str
        Patterns and ratios of the layers, bits of the operands, in words.
    error_rate : float
        On validation images, by the bit-accurate engine, and
    memory_bits, cycles : int
        of the memories of the array that is just large enough, and of an image on it.
    epochs : int
        Of the retraining as the Program computes; 0 where there was none.
    fits : bool
        Whether it is within all limits.
    """

    mix: str
    widths: str
    error_rate: float
    memory_bits: int
    cycles: int
    epochs: int
    fits: bool

    def rank(self, goal: str) -> tuple[int, int, float]:
        """Return what is to be low: what the goal says, then the other, then errors."""
        costs = (self.cycles, self.memory_bits) if goal == "fast" else (self.memory_bits, self.cycles)
        return *costs, self.error_rate


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that was tried, and the place of what was chosen among the versions, if one fits.

    `test_error_rates` are those of the dense float network and of what was chosen, on test images, at which no decision
    was made.
    """

    asked: Asked
    trained: tuple[Trained, ...]
    versions: tuple[Version, ...]
    chosen: int | None
    test_images: int
    test_error_rates: dict[str, float]

    def to_json(self) -> str:
        """Return the results as text."""
        lists = {"trained": map(asdict, self.trained), "versions": map(asdict, self.versions)}
        rest = {name: getattr(self, name) for name in ("chosen", "test_images", "test_error_rates")}
        return KIND.written({"asked": asdict(self.asked), **rest}, **lists)

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""

        def made(record: dict[str, Any]) -> Results:
            return record_of(cls, record)

        return KIND.read(text, made)


def chosen_of(versions: tuple[Version, ...], goal: str) -> int | None:
    """Return the place of the best version that fits, or None if none does."""
    fitting = [place for place, version in enumerate(versions) if version.fits]
    return min(fitting, key=lambda place: versions[place].rank(goal), default=None)
