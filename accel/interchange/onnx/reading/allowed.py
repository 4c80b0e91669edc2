"""What an import may do to be a Program: how wide its multipliers are, and whether the nearest number will do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.interchange.onnx.reading.exact_offset import exact_with_offsets
from accel.interchange.onnx.reading.exact_scale import Scale, Sums, exact_requantize
from accel.network import INPUT
from accel.scales import check_multiplier_bits, requantization
from accel.signal import MULTIPLIER_BITS, PRODUCT_BITS, WIDEST_MULTIPLIER_BITS, Requantize

WAYS: Mapping[str, str] = {  # in which a layer may differ from the file's
    "multiplier": "by multipliers of at most {bits} bits",
    "addition": "by whole weights of an addition",
    "bias": "by biases rounded to steps of their sums",
}
MOST_NAMED = 3


@dataclass
class Allowed:
    """What is allowed, and `changed`: which layers are not the file's to the last code, and in which of `WAYS`."""

    multiplier_bits: int = MULTIPLIER_BITS
    nearest: bool = False
    changed: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_multiplier_bits(self.multiplier_bits)

    def bits(self, accumulator_bits: int) -> int:
        """Return the bits of a multiplier, whose product with an accumulator must fit too."""
        return max(1, min(self.multiplier_bits, PRODUCT_BITS - accumulator_bits))

    def change(self, layer: str, way: str) -> bool:
        """Note that a layer is not the file's if that is allowed; return whether it is."""
        if self.nearest and way not in (ways := self.changed.setdefault(layer, [])):
            ways.append(way)
        return self.nearest

    def scale(self, layer: str, sums: Sequence[Sums], form: FixedFormat, accumulator_bits: int) -> Scale:
        """Return multipliers, offsets and a shift that give the codes of every sum's quotient, or the nearest.

        Raises
        ------
        EspalierError
            There are none of so many bits, and the nearest are not allowed.
        """
        bits, adds = self.bits(accumulator_bits), any(part.offset for part in sums)
        if adds:
            scale = exact_with_offsets(sums, form, (1 << bits) - 1)
        else:
            plain = exact_requantize(sums, form, (1 << bits) - 1)
            scale = None if plain is None else Scale(plain)
        if scale is not None:
            return scale
        if not self.change(layer, "multiplier"):
            wider = bits == self.multiplier_bits < WIDEST_MULTIPLIER_BITS
            wider_hint = f"--multiplier-bits {WIDEST_MULTIPLIER_BITS} may find some, " if wider else ""
            what = "multiplier, offset and shift give" if adds else "multiplier and shift give"
            plus = f" plus {float(sums[0].offset):g}" if adds else ""
            raise EspalierError(
                f"its scale: no {bits}-bit {what} the codes of the quotient "
                f"{float(sums[0].ratio):g} for all sums {sums[0].low}..{sums[0].high}{plus}; {wider_hint}--nearest "
                "takes the nearest; or use powers of two as scales, or import the float network and quantise that "
                "(espalier import --data, espalier quantize)"
            )
        return Scale(_nearest(layer, sums, bits))

    def notes(self, layers: Iterable[str]) -> tuple[str, ...]:
        """Return a line that says how many of a Program's layers are not the file's to the last code, and how."""
        if not self.nearest:
            return ()
        changed = {layer: ways for layer, ways in self.changed.items() if layer != INPUT}
        saturates = "nearest: pixels saturate where their word ends, and not where the file's quantiser does"
        image = (saturates,) if INPUT in self.changed else ()
        count = len([*layers])
        if not changed:
            return (f"nearest: none of {count} layers is changed, every code is that of the file's numbers", *image)
        named: dict[str, list[str]] = {}
        for layer, ways in changed.items():
            for way in ways:
                named.setdefault(way, []).append(layer)
        parts = [
            f"{len(named[way])} {how.format(bits=self.multiplier_bits)} ({_listed(named[way])})"
            for way, how in WAYS.items()
            if way in named
        ]
        said = f"{len(changed)} of {count} layers {'are' if len(changed) > 1 else 'is'} not the file's to the last code"
        return (f"nearest: {said}: {', '.join(parts)}", *image)


def _nearest(layer: str, sums: Sequence[Sums], bits: int) -> Requantize:
    ratios = np.array([float(part.ratio) for part in sums])
    least = ratios.max() * 2.0 ** (1 - bits)  # of an output beside which others are large: a multiplier of 1
    scale = requantization(np.maximum(ratios, least), layer, bits)
    multipliers = scale.of_outputs(len(sums))[:, 0].tolist()
    offsets = [min(round(part.offset * of), of - 1) for part, of in zip(sums, multipliers, strict=True)]
    return replace(scale, offsets=np.array(offsets))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown}, ..."
