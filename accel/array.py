"""The MAC array: how many lanes it has and how large its words and memories are. Sizes the cost model and the RTL."""

from dataclasses import dataclass, fields

from accel.errors import EspalierError

STRIDES = (1, 2)  # what the address generator can step by
TILE_CYCLES = 3  # between the last steps of two tiles, at least: what it takes to find where the next one begins
MULTIPLIER_WIDTH = 18  # bits of a hardware multiplier's operand


@dataclass(frozen=True)
class MacArray:
    """An array of `output_lanes` x `pixel_lanes` multiply-accumulators and the memories around it.

    In each cycle one weight for every output lane meets one signal for every pixel lane. Where two weights and a signal
    have at most 18 bits together, one multiplier does the work of two output lanes.

    Parameters
    ----------
    output_lanes, pixel_lanes : int
        Output maps, and neighbouring pixels of a row, that are computed at the same time; `pixel_lanes` is a power of
        two.
    weight_bits, signal_bits, accumulator_bits : int
        Word lengths; narrower layers are extended.
    signal_words : int
        Signals that the activation memory holds, over all its banks.
    weight_words : int
        Weight words, each one weight for every output lane.
    list_entries : int
        Index entries {base, offset, stride, count, left}; 0 for an array that runs dense layers alone.
    taps : int
        Tap table entries of all layers together.
    constants : int
        Output maps of all layers together: a bias and a multiplier each.
    layers : int

    Raises
    ------
    EspalierError
        A number is out of its range.
    """

    output_lanes: int = 8
    pixel_lanes: int = 8
    weight_bits: int = 8
    signal_bits: int = 8
    accumulator_bits: int = 24
    signal_words: int = 1 << 14
    weight_words: int = 1 << 14
    list_entries: int = 1 << 12
    taps: int = 1 << 9
    constants: int = 1 << 10
    layers: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            least = {"list_entries": 0, "weight_bits": 2}.get(field.name, 1)
            if getattr(self, field.name) < least:
                raise EspalierError(f"{field.name} must be at least {least}, got {getattr(self, field.name)}")
        if self.pixel_lanes & (self.pixel_lanes - 1):
            raise EspalierError(f"pixel_lanes must be a power of two, got {self.pixel_lanes}")
        for name in ("weight_bits", "signal_bits"):
            if getattr(self, name) > 16:
                raise EspalierError(f"{name} must be at most 16, got {getattr(self, name)}")
        if self.accumulator_bits <= self.signal_bits:
            raise EspalierError(
                f"accumulator_bits must be above signal_bits, to hold any signal and its sign, "
                f"got {self.accumulator_bits} and {self.signal_bits}"
            )
        if self.signal_words % self.banks:
            raise EspalierError(f"signal_words must be a multiple of {self.banks} banks, got {self.signal_words}")

    @property
    def banks(self) -> int:
        """Banks of the activation memory: a row of pixels at stride 2 touches each at most once."""
        return self.pixel_lanes * max(STRIDES)

    @property
    def bank_words(self) -> int:
        """Words of one bank."""
        return self.signal_words // self.banks

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates that the array can do in a cycle."""
        return self.output_lanes * self.pixel_lanes

    @property
    def largest_weight(self) -> int:
        """The largest positive weight of a word."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def weights_per_multiplier(self) -> int:
        """Output lanes that share a multiplier: the products of two narrow weights fit side by side."""
        return 2 if self.signal_bits + 2 * self.weight_bits <= MULTIPLIER_WIDTH else 1
