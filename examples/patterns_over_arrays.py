"""What each pattern of pruning gains on arrays of different shapes: cycles against those of the dense network.

    python examples/patterns_over_arrays.py

Fewer MACs are not as many fewer cycles: lanes of an array work in step, and a pattern gains what its groups agree on.
Output maps are in the order in which they agree most.
"""

import espalier as esp
from accel.demand import array_for
from accel.interchange import zoo
from accel.quantize import ordered_for

LANES = [(4, 4), (8, 4), (16, 4), (8, 8)]


def main() -> None:
    """Print a row for each pattern of the zoo: MACs, stored bits, and cycles on each array."""
    images = esp.load_data("digits", "train").pixels()[:256]
    programs = {
        pattern: esp.lower(esp.load("digits", pattern), esp.Widths(weight_bits=5, signal_bits=5), images)
        for pattern in zoo.patterns("digits")
    }
    cycles = {pattern: [cycles_on(program, *lanes) for lanes in LANES] for pattern, program in programs.items()}
    dense_macs = esp.cost_of(programs["dense"]).total.macs
    print(f"{'pattern':>18} {'MACs':>6} {'KiB':>6} " + " ".join(f"{rows:>4}x{columns}" for rows, columns in LANES))
    for pattern, program in programs.items():
        cost = esp.cost_of(program)
        shares = " ".join(f"{own / dense:>6.0%}" for own, dense in zip(cycles[pattern], cycles["dense"], strict=True))
        print(f"{pattern:>18} {cost.total.macs / dense_macs:>6.0%} {cost.memory_bits / 8192:>6.2f} {shares}")


def cycles_on(program: esp.Program, output_lanes: int, pixel_lanes: int) -> int:
    """Return the cycles of one image, with the output maps in the order that suits the array."""
    ordered = ordered_for(program, output_lanes, split=pixel_lanes > 1)
    return esp.estimate(ordered, array_for(ordered, output_lanes, pixel_lanes)).cycles


if __name__ == "__main__":
    main()
