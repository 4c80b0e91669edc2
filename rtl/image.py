"""The contents of an array's memories, as `rtl.assemble` makes them."""

from dataclasses import dataclass, field

from accel.fixedpoint import FixedFormat


@dataclass(frozen=True)
class Entry:
    """One index entry: `count` taps of the map `base` words into the input, and of one that lies `other` beyond.

    `left` more entries follow in the list, or more.
    """

    base: int
    offset: int
    stride: int
    count: int
    left: int
    other: int = 0


@dataclass
class Image:
    """What the memories hold.

    Attributes
    ----------
    places : tuple of int
        The words of signals where images begin, in turn; layers of all images follow those of the first.
    weights : list of tuples, one weight for each output lane; where a step reads two maps, of the rows that take the
        second one, the bits of a number behind them
    units : list of lists of such tuples: of each group of output lanes, where they are streamed instead
    entries, taps, constants, layers : list of dicts of field to int
    tables : list of int
        Codes, modulo the bits of a word; each pixel lane has all.
    formats : list of FixedFormat
    """

    places: tuple[int, ...] = (0,)
    weights: list[tuple[int, ...]] = field(default_factory=list)
    units: list[list[tuple[int, ...]]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    taps: list[dict[str, int]] = field(default_factory=list)
    constants: list[dict[str, int]] = field(default_factory=list)
    layers: list[dict[str, int]] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)
    formats: list[FixedFormat] = field(default_factory=list)

    @property
    def computed(self) -> int:
        """Layers of one image."""
        return len(self.layers) // len(self.places)

    @property
    def owners(self) -> list[int]:
        """The layer of each unit of streamed weights: one a group of what has weights of its own."""
        layers = enumerate(self.layers[: self.computed] if self.units else [])
        weighed = ((index, words) for index, words in layers if not words["single"])
        return [index for index, words in weighed for _ in range(-(-words["outputs"] // words["group"]))]
