"""What a layer may ask of an array beside room in its memories, and the line that says so."""

from typing import Any

from accel.array import MOST_FORMATS, MOST_TAPS, MacArray
from accel.errors import EspalierError
from accel.fusion import written
from accel.program import Program
from accel.program_layers import MacLayer, ProgramLayer
from accel.window import Window


def check_limits(program: Program, layer: ProgramLayer, array: MacArray, formats: int, final: str) -> None:
    """Raise EspalierError where a layer asks for more than the array's words hold.

    Parameters
    ----------
    program : Program
    layer : ProgramLayer
    array : MacArray
    formats : int
        Output formats that the hardware knows.
    final : str
        The layer whose rows leave the chip.
    """
    window, signals = window_of(layer), program.signals
    scale = getattr(layer, "requantize", None)
    raw, gives = isinstance(layer, MacLayer) and scale is None, (layer.name, written(program, layer, array))
    if isinstance(layer, MacLayer) and layer.accumulator_overflow is not None:
        how = f"{layer.accumulator_bits} bits ({layer.accumulator_overflow.name})"
        raise EspalierError(f"{layer.name}: its accumulators overflow at {how}, those of the array hold every sum")
    if raw and layer.name != final:
        raise EspalierError(f"{layer.name}: hands out its accumulators, which only the last layer can")
    check(
        layer.name,
        ("weight bits", getattr(layer, "weight_bits", 1), array.weight_bits),
        ("accumulator bits", getattr(layer, "accumulator_bits", 1), array.accumulator_bits),
        ("multiplier bits", scale.multiplier_bits if scale else 1, array.multiplier_bits),
        ("offset bits", scale.offset_bits if scale else 0, array.offset_bits),
        ("bits of an input signal", max(signals[source].bits for source in layer.inputs), array.signal_bits),
        ("bits of an output signal", 1 if raw else max(signals[name].bits for name in gives), array.signal_bits),
        ("output formats", formats, MOST_FORMATS),
        ("rows or columns of a kernel", max(window.kernel), MOST_TAPS),
        ("rows or columns of padding", max(window.padding), MOST_TAPS - 1),
    )


def check(name: str, *needs: tuple[str, int, int]) -> None:
    """Raise EspalierError, naming a layer, at the first of its needs (what, how much, limit) beyond its limit."""
    for what, need, limit in needs:
        if need > limit:
            raise EspalierError(f"{name}: needs {need} {what}, the array has {limit}")


def window_of(layer: Any) -> Window:
    """Return the window of a layer, of one pixel where it has none."""
    return getattr(layer, "window", None) or Window((1, 1))
