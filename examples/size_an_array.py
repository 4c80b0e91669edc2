"""Find the smallest array that runs a network fast enough.

    python examples/size_an_array.py [IMAGES_PER_SECOND]

Costs are closed forms: nothing is simulated, and images only calibrate the steps, on which costs do not
depend.
"""

import sys

import espalier as esp
from accel.demand import array_for
from accel.quantize import ordered_for

LANES = [(1, 1), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8), (16, 8)]


def main(wanted: float = 20_000) -> None:
    """Print what each array takes, and the first that gives `wanted` images a second."""
    images = esp.load_data("digits", "train").pixels()[:256]
    program = esp.lower(esp.load("digits", "kernel"), esp.Widths(weight_bits=4, signal_bits=5), images)
    print(f"{program.name}, {program.pattern}: {esp.cost_of(program).memory_bits / 8192:.2f} KiB stored")
    print(f"{'array':>6} {'multipliers':>11} {'KiB of blocks':>13} {'cycles':>7} {'images/s':>8} {'useful':>6}")
    enough = None
    for output_lanes, pixel_lanes in LANES:
        ordered = ordered_for(program, output_lanes, split=pixel_lanes > 1)  # so that its lanes agree on what they read
        array = array_for(ordered, output_lanes, pixel_lanes)
        cost = esp.estimate(ordered, array, "asic-45nm", clock_hz=200e6)
        print(
            f"{output_lanes:>3}x{pixel_lanes:<2} {cost.multipliers:>11} {cost.memory_bits / 8192:>13.1f} "
            f"{cost.cycles:>7,} {cost.images_per_s:>8,.0f} {cost.utilization:>6.1%}"
        )
        if enough is None and cost.images_per_s >= wanted:
            enough = array
    if enough is None:
        sys.exit(f"none of these arrays gives {wanted:,.0f} images/s at 200 MHz")
    print(f"{wanted:,.0f} images/s at 200 MHz need {enough.output_lanes}x{enough.pixel_lanes} lanes")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
