"""What a plan for a memory says: what stays on the chip, how each layer runs there, and what goes to DRAM and comes."""

from dataclasses import dataclass

from accel.cost.tiling import Tile

Tensors = frozenset[str]
NOTHING: Tensors = frozenset()


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """How one stage runs.

    Parameters
    ----------
    name : str
    tile : Tile or None
        None: whole, all that it needs being on the chip, or row by row in a group.
    group : int
        The number of its group of layers that run at once, from 1 on; 0: it runs alone.
    weights_stay : bool
        Whether its weights are on the chip for all images; true where it has none.
    there : frozenset of str
        Tensors that are on the chip while it runs.
    weight_room_bits, signal_room_bits : int
        Buffers for weights; tensors that are there, buffers for inputs, and accumulators.
    input_bits, weight_bits, sum_bits, output_bits : int
        From and to DRAM for one image.
    """

    name: str
    tile: Tile | None
    weights_stay: bool
    there: Tensors
    weight_room_bits: int = 0
    signal_room_bits: int = 0
    group: int = 0
    input_bits: int = 0
    weight_bits: int = 0
    sum_bits: int = 0
    output_bits: int = 0

    @property
    def dram_bits(self) -> int:
        """From and to DRAM for one image, in all."""
        return self.input_bits + self.weight_bits + self.sum_bits + self.output_bits


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What stays on a chip, and how each layer runs there.

    Parameters
    ----------
    room_bits : int
        Of the memory.
    layers : tuple of LayerPlan
    image_bits : int
        Of the image, where it comes at once and stays; else it is among the inputs of layers.
    resident_bits : int
        Of weights that stay, which come once for all images.
    """

    room_bits: int
    layers: tuple[LayerPlan, ...]
    image_bits: int
    resident_bits: int

    @property
    def dram_bits(self) -> int:
        """From and to DRAM for one image."""
        return self.image_bits + sum(layer.dram_bits for layer in self.layers)

    @property
    def weight_room_bits(self) -> int:
        """Bits of memory for weights: those that stay, and the largest buffers."""
        return self.resident_bits + max((layer.weight_room_bits for layer in self.layers), default=0)

    @property
    def signal_room_bits(self) -> int:
        """The most bits of memory for signals and accumulators."""
        return max((layer.signal_room_bits for layer in self.layers), default=0)

    @property
    def first_dram_bits(self) -> int:
        """From and to DRAM for the first image, with weights that stay."""
        return self.dram_bits + self.resident_bits

    @property
    def whole(self) -> bool:
        """Whether every layer runs alone, with all that it needs on the chip."""
        return all(layer.tile is None and not layer.group for layer in self.layers)
