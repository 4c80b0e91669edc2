"""Accumulators narrower than their proven width, for studies of the error rate against their bits."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import index

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import NARROWEST_BITS, MacLayer, check_narrow_overflow
from accel.signal import Signal, proven_accumulator_bits


def narrow_accumulators(
    program: Program, bits: int | Mapping[str, int], overflow: Overflow, layers: Iterable[str] | None = None
) -> Program:
    """Return `program` with accumulators of at most `bits` bits.

    A layer whose proven width is no more than `bits` stays (or becomes) exact. Any other adds in `bits` bits, and the
    bias and every sum on the way wrap or saturate; see `accel.program`. Where a layer hands out its accumulators, its
    output has their bits.

    Parameters
    ----------
    program : Program
    bits : int or mapping of str to int
        For all of `layers`, or by the name of the layer; at least 2.
    overflow : Overflow.WRAP or Overflow.SAT
    layers : iterable of str, optional
        Names of layers that have weights, all of them by default; not beside a mapping.

    Raises
    ------
    EspalierError
        A width or an overflow is not possible, or a name is not that of a layer with weights.

    Notes
    -----
    What overflow does to accuracy: WrapNet (Ni et al., arXiv 2007.13242) and A2Q (Colbert et al., arXiv 2308.13504).
    That saturation acts in the order of the loop nest, and on the bias too, is our choice.
    """
    check_narrow_overflow(overflow, f"{program.name}: an accumulator's overflow")
    widths = _widths(program, bits, layers)
    signals = {INPUT: program.input_signal}
    made = []
    for layer in program.layers:
        reads = [signals[source] for source in layer.inputs]
        if isinstance(layer, MacLayer) and layer.name in widths:
            layer = _narrowed(layer, reads[0], widths[layer.name], overflow)
        signals[layer.name] = layer.output_signal(*reads)
        made.append(layer)
    return replace(program, layers=tuple(made))


def _widths(program: Program, bits: int | Mapping[str, int], layers: Iterable[str] | None) -> dict[str, int]:
    """Return the bits that are asked for, by layer."""
    known = [layer.name for layer in program.mac_layers]
    if isinstance(bits, Mapping):
        if layers is not None:
            raise EspalierError(f"{program.name}: a mapping of accumulator bits names its layers itself")
        widths = {name: index(width) for name, width in bits.items()}
    else:
        widths = dict.fromkeys(known if layers is None else layers, index(bits))
    for name, width in widths.items():
        if name not in known:
            raise EspalierError(f"{program.name}: has no layer {name!r} with weights, expected {', '.join(known)}")
        if width < NARROWEST_BITS:
            raise EspalierError(f"{name}: accumulator_bits must be at least {NARROWEST_BITS}, got {width}")
    return widths


def _narrowed(layer: MacLayer, reads: Signal, bits: int, overflow: Overflow) -> MacLayer:
    needed = proven_accumulator_bits(layer.matrix, layer.bias, reads.format)
    mode = overflow if bits < needed else None
    if mode is None:
        bits = max(needed, min(bits, layer.accumulator_bits))
    if (bits, mode) == (layer.accumulator_bits, layer.accumulator_overflow):
        return layer
    output = layer.output
    if layer.requantize is None:
        form = FixedFormat(bits, bits, overflow=Overflow.WRAP if mode is None else mode)
        output = replace(output, format=form)
    return replace(layer, accumulator_bits=bits, accumulator_overflow=mode, output=output)
