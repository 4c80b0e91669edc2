"""From Programs to the designs of a report: the same array, technology and limits for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

from accel.cost import Invariants, Limits, Technology, break_even, estimate_of, load_technology
from accel.cost.design import Estimate, LayerEstimate
from accel.cost.fft import layer_fft
from accel.cost.macros import PlacedMemory
from accel.program import Program
from accel.program_layers import MacLayer
from accel.sparsity import parse_pattern
from accel.words import Words
from reports.report.designs import BreakEven, Design, LayerDesign, MemoryDesign
from reports.workflow.verdicts import account

BREAK_EVEN_BITS = tuple(range(2, 9))
DRAM_BYTES_PER_S = 1e9


@dataclass(frozen=True)
class Hardware:
    """What all designs of a report share."""

    output_lanes: int = 8
    pixel_lanes: int = 8
    technology: Technology = field(default_factory=load_technology)
    limits: Limits = field(default_factory=lambda: Limits(dram_bytes_per_s=DRAM_BYTES_PER_S))

    @property
    def name(self) -> str:
        """What reports call the array: output lanes x pixel lanes."""
        return f"{self.output_lanes}x{self.pixel_lanes}"


def designs_of(
    invariants: Invariants, words: Words, label: str, widths: tuple[int, int], hardware: Hardware
) -> Iterator[Design]:
    """Yield the design of a Program; at equal word lengths also what streaming its weights would cost.

    Parameters
    ----------
    invariants : Invariants
        Of a Program whose output maps are in the order that suits the array.
    words : Words
        The lengths of the Program's words.
    label : str
        The pattern that the report knows it by.
    widths : (int, int)
        Bits of a weight, of a signal.
    hardware : Hardware
        Its words are as wide, and its memories as deep, as the Program needs.

    Raises
    ------
    EspalierError
        The array does not run a layer of the Program.
    """
    array = invariants.array(words, hardware.output_lanes, hardware.pixel_lanes)

    def designed(limits: Limits) -> Design:
        return _design(estimate_of(invariants, words, array, hardware.technology, limits), label, widths)

    yield designed(hardware.limits)
    if widths[0] == widths[1] and hardware.limits.dram_bytes_per_s is not None:
        yield designed(replace(hardware.limits, stream=True))


def fft_multiplications(program: Program) -> dict[str, int]:
    """Return the real multiplications that each convolution takes by FFT."""
    return {x.name: layer_fft(program, x).multiplications for x in program.mac_layers if x.shape[2] > 1}


def break_evens(programs: Sequence[Program]) -> tuple[BreakEven, ...]:
    """Return the break-even densities of each pattern that a layer of the Programs has, at its largest layer."""
    largest: dict[str, MacLayer] = {}
    for layer in (layer for program in programs for layer in program.mac_layers):
        known = largest.get(layer.pattern)
        if layer.encoding != "none" and (known is None or layer.dense_weights > known.dense_weights):
            largest[layer.pattern] = layer
    return tuple(_break_even(layer) for layer in largest.values())


def _break_even(layer: MacLayer) -> BreakEven:
    rule, density = parse_pattern(layer.pattern), layer.nest.macs_per_pixel / layer.dense_weights
    found = [break_even(rule, layer.shape, bits) for bits in BREAK_EVEN_BITS]
    densities = {name: [by_name[name] for by_name in found] for name in found[0]}
    return BreakEven(
        pattern=layer.pattern,
        layer=layer.name,
        shape=layer.shape,
        density=density,
        bits=BREAK_EVEN_BITS,
        densities=densities,
    )


def _design(e: Estimate, label: str, widths: tuple[int, int]) -> Design:
    return Design(
        pattern=label,
        weight_bits=widths[0],
        signal_bits=widths[1],
        weights=e.weights,
        fits=e.fits,
        verdict=account(e),
        cycles=e.cycles,
        multipliers=e.multipliers,
        stored_bits=e.stored_bits,
        memory_bits=e.memory_bits,
        payload_bits=e.payload_bits,
        dram_bits=e.dram_bits,
        joules=_short(e.energy.total_joules if e.energy else None),
        area_mm2=_short(e.area_mm2),
        memories=tuple(map(_memory, e.memories)),
        layers=tuple(map(_layer, e.layers)),
    )


def _memory(m: PlacedMemory) -> MemoryDesign:
    return MemoryDesign(**{x.name: getattr(m, x.name) for x in fields(MemoryDesign)})


def _layer(x: LayerEstimate) -> LayerDesign:
    return LayerDesign(
        name=x.name,
        kind=x.kind,
        counts=x.cost.counts,
        spent=x.spent,
        slots=x.slots,
        accumulator_bits=x.cost.accumulator_bits,
        held_bits=x.held_bits,
        control_bits=x.control_bits,
        filling_bits=x.filling_bits,
        dram_bits=x.dram_bits,
        joules=_short(x.energy.total_joules if x.energy else None),
    )


def _short(number: float | None) -> float | None:
    """Return a number that is an estimate with six digits."""
    return None if number is None else float(f"{number:.6g}")
