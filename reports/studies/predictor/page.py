"""The page of the study of the predictor: README.md, from saved results and the fit alone."""

from collections.abc import Iterable, Mapping

from accel.cost.hardware_terms import multipliers_of
from accel.cost.predictor import AREA, CELL_FF, CELL_PERIOD, FF, FPGA_PERIOD, LUT, Model, block_ram
from reports.shared import markdown
from reports.studies.files import picture
from reports.studies.predictor.definition import ARRAYS, DRAWN, SIZED_FOR_HZ
from reports.studies.predictor.figures import CAPTIONS
from reports.studies.predictor.fit import Figure, Held
from reports.studies.predictor.results import CELLS, CLOCK, FPGA, Results

TARGETS = {
    LUT: (0.05, 0.15),
    FF: (0.05, 0.15),
    AREA: (0.05, 0.15),
    FPGA_PERIOD: (0.15, 0.15),
    CELL_PERIOD: (0.15, 0.15),
    CELL_FF: (0.05, 0.15),
}
WORDS = {
    LUT: "look-up tables, ECP5",
    FF: "flip-flops, ECP5",
    AREA: "cell area, SkyWater 130",
    FPGA_PERIOD: "clock, ECP5",
    CELL_PERIOD: "clock, SkyWater 130",
    CELL_FF: "flip-flops, SkyWater 130",
}
HOW = """What an array takes on an ECP5-45F (Yosys and nextpnr) and in SkyWater's cells of 130 nm (Yosys and OpenSTA,
memories not counted, cells sized for {clock:g} MHz, nothing placed), and what `accel.cost.predictor` says of it without
building it. Look-up tables and flip-flops are those that nextpnr packs, the frame of shift registers around the array
included; the clock of the ECP5 is that of nextpnr's analysis after routing, which changes by a tenth with the seed of
placement, and by more where memories are large: 2x1 and 4x1 lanes with the same ones are an example.

    python -m reports.studies.predictor sweep --liberty sky130_fd_sc_hd__tt_025C_1v80.lib.gz

measures what is missing, the cheapest first, and goes on where it was stopped;

    python -m reports.studies.predictor structures
    python -m reports.studies.predictor fit

count what these arrays and {drawn} drawn at random are made of, and fit. A fit has two steps of nonnegative least
squares of relative errors: from what arrays are made of, which no tool has synthesised, the bits of registers, sums,
choices, comparisons, products and gates as sums of terms such as *lanes x bits of an accumulator*
(`accel.cost.hardware_terms`); from the sweep, what a bit of each kind takes. The second has few coefficients, drawn a
little to what such a bit takes by itself, so that few arrays tell them. Multipliers and block RAMs are counted, not
fitted. Each error is of an array whose synthesis had no part in the fit."""


def page(results: Results, model: Model, fitted: Mapping[str, Figure], figures: Iterable[str]) -> str:
    """Return README.md; `figures` are file names."""
    parts = [
        "# What arrays take, predicted",
        "    python -m reports.studies.predictor fit",
        HOW.format(clock=SIZED_FOR_HZ / 1e6, drawn=DRAWN),
        f"**{headline(model)}**",
        _errors(model),
        _counted(results),
        picture("errors", CAPTIONS, figures),
        _swept(results),
        _arrays(fitted),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def headline(model: Model) -> str:
    """Return how far off the predictor is."""
    told = [f"{WORDS[name]} {model.fits[name].median_error:.1%}" for name in (LUT, AREA, FPGA_PERIOD)]
    return f"Median errors of arrays that had no part in the fit: {'; '.join(told)}"


def _errors(model: Model) -> str:
    rows = []
    for name, (middle, worst) in TARGETS.items():
        fit = model.fits[name]
        met = "met" if fit.median_error < middle and fit.worst_error < worst else "**missed**"
        target = f"median < {middle:.0%}, worst < {worst:.0%}" if middle < worst else f"worst < {worst:.0%}"
        errors = f"{fit.median_error:.1%}", f"{fit.worst_error:.1%}"
        rows.append([WORDS[name], f"{fit.arrays}", *errors, target, met])
    return markdown.table("| arrays | median error | worst error | target |", "lrrrll", rows)


def _counted(results: Results) -> str:
    """Return whether multipliers and block RAMs are as counted."""
    built = [entry for entry in results.entries if entry.has(FPGA)]
    wrong = [
        entry.name
        for entry in built
        if (entry.fpga["dsp"], entry.fpga["block_ram"]) != (multipliers_of(entry.mac_array), block_ram(entry.mac_array))
    ]
    exact = f"Multipliers and block RAMs are as counted in {len(built) - len(wrong)} of {len(built)} builds"
    return f"{exact}{f'; not in {chr(59).join(wrong)}' if wrong else ''}."


def _swept(results: Results) -> str:
    """Return how much of the sweep was run."""
    parts = {FPGA: "counts of an ECP5", CELLS: "standard cells", CLOCK: "place and route"}
    told = [f"{words} {sum(x.has(part) for x in results.entries)}" for part, words in parts.items()]
    most = max((x.mac_array.macs_per_cycle for x in results.entries if x.has(CLOCK)), default=0)
    lanes = f"the largest of the last has {most} lanes"
    return f"Of the {len(ARRAYS)} arrays of the sweep were run: {', '.join(told)}; {lanes}."


def _arrays(fitted: Mapping[str, Figure]) -> str:
    """Return a line for each array: what was built and how far off the prediction is."""
    held: dict[str, dict[str, Held]] = {name: {x.name: x for x in fitted[name].held_out} for name in TARGETS}
    lanes = "array: lanes, bits of weights/signals/accumulators, memories"
    rows = [
        [name, *(_cell(held[figure].get(name), figure) for figure in TARGETS)]
        for name in ARRAYS
        if any(name in found for found in held.values())
    ]
    return markdown.table(f"{lanes} | LUT | FF | um2 | MHz, ECP5 | MHz, cells | FF, cells", "lrrrrrr", rows)


def _cell(one: Held | None, figure: str) -> str:
    if one is None:
        return ""
    if figure in (FPGA_PERIOD, CELL_PERIOD):
        return f"{1e3 / one.measured:.1f} ({one.measured / one.predicted - 1:+.1%})"
    return f"{one.measured:,.0f} ({one.error:+.1%})"
