"""What comes after a sum in a quantised graph: all that its requantisation takes in."""

from dataclasses import dataclass

from accel.interchange.onnx.reading.coded import Quantized
from accel.interchange.onnx.reading.hoist import Hoisted
from accel.layers import BatchNorm, Clip, Concat, ReLU


@dataclass(frozen=True)
class Following:
    """What follows a sum up to its quantiser: gains and offsets of its real values, a ReLU, a bound, the quantiser."""

    names: tuple[str, ...] = ()
    affine: tuple[BatchNorm, ...] = ()
    relu: bool = False
    bound: float | None = None
    quantized: Quantized | None = None


def following_sum(source: Hoisted, name: str) -> Following:
    """Return what follows the sum `name`; nothing is taken in unless a quantiser is at the end of it."""
    names: list[str] = []
    affine: list[BatchNorm] = []
    relu, bound = False, None
    while len(readers := source.readers(name)) == 1:
        (layer,) = readers
        name = layer.name
        names.append(name)
        match layer:
            case Quantized():
                return Following(tuple(names), tuple(affine), relu, bound, layer)
            case BatchNorm() if not relu:
                affine.append(layer)
            case ReLU():
                relu = True
            case Clip():
                relu, bound = True, layer.highest if bound is None else min(bound, layer.highest)
            case _:
                return Following()
    return Following()


def quantizer_behind(source: Hoisted, name: str) -> Quantized | None:
    """Return the quantiser that alone reads what the concatenation `name` joins, behind further ones too, or None."""
    while len(readers := source.readers(name)) == 1:
        (layer,) = readers
        if isinstance(layer, Quantized):
            return layer
        if not isinstance(layer, Concat):
            return None
        name = layer.name
    return None
